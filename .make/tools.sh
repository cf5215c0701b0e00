# shellcheck shell=bash
#
# What the tests of the API's description need beside Rust: programs of Python and
# packages of npm, at the versions that tests/ pins. They are installed once, into a
# cache outside of this folder, and found there without a network from then on.
# Sourced, never run.

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

tools_cache=${XDG_CACHE_HOME:-$HOME/.cache}/pg_tenancy
chromium=${CHROMIUM:-/usr/bin/chromium}

# One Debian package on a line for each program that isn't there.
missing_tools() {
    has node || echo nodejs
    has npm || echo npm
    has_venv || printf '%s\n' python3 python3-venv
    [[ -x $chromium ]] || echo chromium
}

# Debian's Python comes without the half of venv that installs pip.
has_venv() { python3 -c 'import ensurepip, venv' 2>/dev/null; }

# Leaves in the environment what the tests look for.
set_up_tools() {
    PG_TENANCY_VENV=$tools_cache/venv-$(digest_of "$root/tests/openapi/requirements.txt" "$(python3 --version)")
    PG_TENANCY_NODE=$tools_cache/node-$(digest_of "$root/tests/client/package-lock.json")
    CHROMIUM=$chromium
    export PG_TENANCY_VENV PG_TENANCY_NODE CHROMIUM
    mkdir -p "$tools_cache"
    if [[ ! -e $PG_TENANCY_VENV/whole ]]; then make_venv; fi
    if [[ ! -e $PG_TENANCY_NODE/whole ]]; then make_node; fi
}

# Of a file, and of what else decides whether the cache is good.
digest_of() { { cat "$1" && printf '%s' "${2:-}"; } | sha256sum | cut -c1-16; }

# A venv holds its own path, so it is made where it stays; "whole" comes last.
make_venv() {
    say "Installing the validator and schemathesis into $PG_TENANCY_VENV"
    rm -rf "$PG_TENANCY_VENV"
    if ! python3 -m venv "$PG_TENANCY_VENV" ||
        ! "$PG_TENANCY_VENV/bin/pip" install -q --disable-pip-version-check --no-input \
            -r "$root/tests/openapi/requirements.txt" >&2; then
        fail "the programs of tests/openapi/requirements.txt could not be installed." "Look at pip's messages above; the network may be down."
    fi
    touch "$PG_TENANCY_VENV/whole"
}

make_node() {
    say "Installing the generator of clients into $PG_TENANCY_NODE"
    rm -rf "$PG_TENANCY_NODE"
    mkdir -p "$PG_TENANCY_NODE"
    cp "$root"/tests/client/{package.json,package-lock.json,.npmrc} "$PG_TENANCY_NODE"
    (cd "$PG_TENANCY_NODE" && npm ci --ignore-scripts --no-audit --no-fund >&2) ||
        fail "the packages of tests/client/package-lock.json could not be installed." "Look at npm's messages above; the network may be down."
    touch "$PG_TENANCY_NODE/whole"
}
