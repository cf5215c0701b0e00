# shellcheck shell=bash
#
# Which PostgreSQL to use: PG_MAJOR if it is set, else the first of 15 to 18
# that is installed, else the first that apt has. Sourced, never run.
#
# Sets pg_major, pg_config and pg_bin; the files need not exist yet.

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

supported_majors="15 16 17 18"

is_debian() { has apt-get && has dpkg-query; }

# "15" for a pg_config that belongs to PostgreSQL 15, nothing if there is none.
major_of() { { "$1" --version | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p'; } 2>/dev/null || true; }

find_postgres() {
    local major
    pg_config=
    if [[ -n ${PG_CONFIG:-} ]]; then
        [[ -x $PG_CONFIG ]] || fail "PG_CONFIG is $PG_CONFIG, and there is no such program." "Set it to the pg_config of a PostgreSQL from 15 to 18, or leave it out."
        pg_config=$PG_CONFIG
        pg_major=$(major_of "$pg_config")
    else
        pg_major=${PG_MAJOR:-}
        for major in $supported_majors; do
            [[ -z $pg_major && -x /usr/lib/postgresql/$major/bin/postgres ]] && pg_major=$major
        done
        if [[ -z $pg_major ]] && ! is_debian && has pg_config; then
            pg_major=$(major_of pg_config)
            pg_config=$(command -v pg_config)
        fi
        pg_major=${pg_major:-$(first_major_of_apt)}
        pg_config=${pg_config:-/usr/lib/postgresql/$pg_major/bin/pg_config}
    fi
    [[ " $supported_majors " == *" $pg_major "* ]] ||
        fail "PostgreSQL ${pg_major:-unknown} is not supported." "Install one of: $supported_majors, and name it with PG_MAJOR or PG_CONFIG."

    if [[ -x $pg_config ]]; then
        pg_bin=$("$pg_config" --bindir)
    else
        pg_bin=/usr/lib/postgresql/$pg_major/bin
    fi
}

# 15 when apt has none at all: the message that follows then names a package.
first_major_of_apt() {
    local major
    for major in $supported_majors; do
        if is_debian && apt-cache show "postgresql-$major" >/dev/null 2>&1; then
            echo "$major"
            return
        fi
    done
    echo 15
}
