# shellcheck shell=bash
#
# Installs what is missing, and never what is there: the packages of the
# system, and cargo-pgrx at the version the extension is built with. On Debian
# and Ubuntu it installs the packages itself; elsewhere it names them.
# Sourced, never run; set_up is the way in.

# shellcheck source=postgres.sh
source "$(dirname "${BASH_SOURCE[0]}")/postgres.sh"
# shellcheck source=tools.sh
source "$(dirname "${BASH_SOURCE[0]}")/tools.sh"

# The same version as pgrx in pg_tenancy/Cargo.toml, or the build refuses.
pgrx_version=$(sed -n 's/^pgrx = "=\(.*\)"/\1/p' "$root/pg_tenancy/Cargo.toml")

# set_up run|test: "test" asks for what only the tests need, too.
purpose=
set_up() {
    purpose=${1:-}
    check_rust "$@"
    find_postgres
    if is_debian; then
        refresh_packages
        # Which PostgreSQL there is may depend on a list that only now is there.
        find_postgres
    fi
    install_packages
    [[ -x $pg_config ]] || fail "PostgreSQL $pg_major is installed, but $pg_config is missing." "Set PG_CONFIG to its pg_config."
    pg_bin=$("$pg_config" --bindir)
    install_cargo_pgrx
    introduce_postgres
    if [[ $purpose == test ]]; then set_up_tools; fi
}

check_rust() {
    local wanted found part
    has cargo || fail "Rust is missing: there is no cargo on the PATH." "Install it from https://rustup.rs, open a new shell, and try again."
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
    found=$(rustc --version | cut -d' ' -f2)
    [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n1) == "$wanted" ]] ||
        fail "Rust $found is too old: $wanted is needed." "With rustup: rustup update stable"
    [[ ${1:-} == test ]] || return 0
    for part in fmt clippy; do
        cargo "$part" --version >/dev/null 2>&1 || fail "cargo $part is missing." "With rustup: rustup component add rustfmt clippy"
    done
}

has_cargo_pgrx() { [[ $(cargo pgrx --version 2>/dev/null) == "cargo-pgrx $pgrx_version" ]]; }

# One Debian package on a line for each thing that isn't there.
missing_packages() {
    if ! has cc || [[ ! -e /usr/include/stdio.h ]]; then printf '%s\n' gcc libc6-dev; fi
    has pkg-config || echo pkg-config
    has curl || echo curl
    has flock || echo util-linux
    [[ $(ldconfig -p 2>/dev/null) == *libclang* ]] || compgen -G '/usr/lib/llvm*/lib/libclang*.so*' >/dev/null || echo libclang-dev
    [[ -x $pg_bin/postgres ]] || echo "postgresql-$pg_major"
    [[ -x $pg_config && -e $("$pg_config" --includedir-server)/postgres.h ]] || echo "postgresql-server-dev-$pg_major"
    if [[ $purpose == test && ! -x /usr/sbin/pgbouncer ]]; then has pgbouncer || echo pgbouncer; fi
    # cargo-pgrx links against OpenSSL when it is built.
    has_cargo_pgrx || pkg-config --exists openssl 2>/dev/null || echo libssl-dev
    if [[ $purpose == test ]]; then missing_tools; fi
}

install_packages() {
    local missing
    read -ra missing <<<"$(missing_packages | tr '\n' ' ')"
    [[ ${#missing[@]} -gt 0 ]] || return 0
    is_debian || fail "some things are missing. Their names on Debian: ${missing[*]}" \
        "Install them with your system's package manager, and try again." \
        "If PostgreSQL is somewhere unusual, set PG_CONFIG to its pg_config."
    say "Installing ${missing[*]}"
    apt_install "${missing[@]}"
    read -ra missing <<<"$(missing_packages | tr '\n' ' ')"
    [[ ${#missing[@]} -eq 0 ]] || fail "still missing after the installation: ${missing[*]}"
}

apt_install() {
    local no_cluster=/etc/postgresql-common/createcluster.d/pg_tenancy.conf
    [[ -n $is_refreshed ]] || update_package_list || fail "apt-get update failed." "Look at its messages above; the network may be down."
    if [[ ! -x $pg_bin/postgres ]]; then
        # Debian's package would make and start a cluster that nobody asked for.
        as_root mkdir -p "${no_cluster%/*}"
        echo 'create_main_cluster = false' | as_root tee "$no_cluster" >/dev/null
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >&2 ||
        fail "apt-get could not install: $*" "If it has no such package, add PostgreSQL's own: https://wiki.postgresql.org/wiki/Apt"
    as_root rm -f "$no_cluster"
    # The tests start their own; Debian's package starts one that nobody asked for.
    if [[ " $* " == *" pgbouncer "* ]]; then as_root systemctl disable --now pgbouncer >/dev/null 2>&1 || true; fi
}

# In this run, and within a day.
is_refreshed=
refreshed=${XDG_CACHE_HOME:-$HOME/.cache}/pg_tenancy/packages-refreshed
is_package_list_fresh() { [[ -n $(find "$refreshed" -mmin -1440 2>/dev/null) ]]; }
update_package_list() {
    say "Refreshing the list of packages"
    as_root apt-get -qq update >&2 || return 1
    is_refreshed=yes
    remember_refresh
}
remember_refresh() { mkdir -p "${refreshed%/*}" && touch "$refreshed"; }

# The patch release matters: an old one has holes in row-level security that
# no extension can close. Asked once a day, and never in the way of a run.
refresh_packages() {
    local policy installed
    if [[ ! -x $pg_bin/postgres ]]; then
        update_package_list || true
        return 0
    fi
    ! is_package_list_fresh || return 0
    if ! is_root && ! sudo -n true 2>/dev/null; then
        say "Not looking for a newer PostgreSQL $pg_major, which needs root: 'sudo apt-get update' and upgrade it now and then."
        remember_refresh
        return 0
    fi
    update_package_list || { say "Going on with the old list of packages."; return 0; }
    policy=$(LC_ALL=C apt-cache policy "postgresql-$pg_major")
    installed=$(sed -n 's/^  Installed: //p' <<<"$policy")
    # "(none)": it came from elsewhere, and whoever put it there keeps it new.
    if [[ $installed == [0-9]* && $installed != $(sed -n 's/^  Candidate: //p' <<<"$policy") ]]; then
        say "Upgrading PostgreSQL $pg_major"
        apt_install "postgresql-$pg_major" "postgresql-client-$pg_major" "postgresql-server-dev-$pg_major"
    fi
}

install_cargo_pgrx() {
    has_cargo_pgrx && return 0
    say "Installing cargo-pgrx $pgrx_version (some minutes, once)"
    # A target folder of its own: the project's is not for another workspace.
    env -u CARGO_TARGET_DIR cargo install cargo-pgrx --version "=$pgrx_version" --locked >&2 ||
        fail "cargo-pgrx $pgrx_version could not be built." "Its messages above say why."
    has_cargo_pgrx || fail "cargo-pgrx $pgrx_version is installed, but cargo doesn't find it." "Put ${CARGO_HOME:-$HOME/.cargo}/bin on the PATH."
}

# pgrx keeps a list of the servers it may build against.
introduce_postgres() {
    local config=${PGRX_HOME:-$HOME/.pgrx}/config.toml
    grep -qsF "pg$pg_major = \"$pg_config\"" "$config" && return 0
    say "Telling cargo-pgrx about PostgreSQL $pg_major"
    cargo pgrx init "--pg$pg_major" "$pg_config" >&2
}
