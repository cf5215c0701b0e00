# shellcheck shell=bash
#
# What the commands share: how they speak, whom they act as, and where the
# database of this folder lives. Sourced, never run.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

# To the standard error, so that `make -s psql` prints the answers alone.
say() { printf '==> %s\n' "$*" >&2; }

# The first line says what is wrong, the others what to do.
fail() {
    printf '\nerror: %s\n' "$1" >&2
    shift
    [[ $# -eq 0 ]] || printf '       %s\n' "$@" >&2
    exit 1
}

is_root() { [[ $(id -u) -eq 0 ]]; }
has() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if is_root; then
        "$@"
    elif has sudo; then
        sudo "$@"
    else
        fail "this needs root: $*" "Run it as root, or install sudo, and try again."
    fi
}

# PostgreSQL refuses to run as root, so there it runs as the user that Debian
# made for it. From / because that user may not enter the caller's folder.
as_server() {
    if is_root; then
        (cd / && exec runuser -u postgres -- "$@")
    else
        "$@"
    fi
}

random_hex() { od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'; }
is_port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Where cargo builds, wherever CARGO_TARGET_DIR or a cargo config put it.
target_dir() {
    cargo metadata --no-deps --format-version 1 --manifest-path "$root/Cargo.toml" |
        sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}

# The state of `make run`: data folder, socket, log, secrets. As root outside
# the project, because the user postgres can't reach a clone below /root.
if [[ -n ${PG_TENANCY_STATE:-} ]]; then
    state=$PG_TENANCY_STATE
elif is_root; then
    state=/var/lib/pg_tenancy/$(basename "$root" | tr -c 'A-Za-z0-9._\n' '-')-$(printf %s "$root" | sha256sum | cut -c1-8)
else
    state=$root/.data
fi
data=$state/data
secrets=$state/secrets
database=pg_tenancy

# A socket's path has room for some hundred bytes and no more.
socket=$state/socket
if [[ ${#socket} -gt 85 ]]; then
    socket=/tmp/pg_tenancy-$(id -u)-$(printf %s "$state" | sha256sum | cut -c1-8)
fi
