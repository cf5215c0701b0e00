# shellcheck shell=bash
#
# What stands in the private cluster: the database, the extension, the API's
# login role and the signing key. Each is made when it is missing, so the
# second run finds nothing to do. Sourced, never run.

# shellcheck source=cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

# psql as the superuser, over the socket.
dba() { PGOPTIONS='' "$pg_bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$socket" -p "$port" -U postgres "$@"; }
# One value, from the database or (before it exists) from another.
ask() { dba -A -t -d "${2:-$database}" -c "$1"; }

prepare_database() {
    if [[ -z $(ask "select 1 from pg_database where datname = '$database'" postgres) ]]; then
        say "Making the database $database"
        dba -d postgres -c "create database $database template template0"
    fi
    prepare_extension
    make_secrets
    prepare_api
}

# The digest of the script that the database was made with stands beside it.
prepare_extension() {
    local has default digest
    has=$(ask "select extversion from pg_extension where extname = 'pg_tenancy'")
    default=$(ask "select default_version from pg_available_extensions where name = 'pg_tenancy'")
    digest=$(extension_digest "$default")
    if [[ -z $has ]]; then
        dba -d "$database" -c 'create extension pg_tenancy'
    elif [[ $has != "$default" ]]; then
        say "Updating the extension from $has to $default"
        dba -d "$database" -c 'alter extension pg_tenancy update' ||
            fail "the extension has no way from $has to $default." "'make reset' makes the database anew; what is in it is lost."
    elif [[ $(cat "$state/extension" 2>/dev/null) != "$digest" ]]; then
        fail "the extension's SQL has changed, under the same version $has, since this database was made." \
            "'make reset' makes it anew; what is in it is lost."
    fi
    echo "$digest" >"$state/extension"
}

make_secrets() {
    [[ ! -e $secrets ]] || return 0
    (
        umask 077
        printf 'DB_PASSWORD=%s\nJWT_SECRET=%s\n' "$(random_hex 24)" "$(random_hex 48)" >"$secrets.new"
        mv "$secrets.new" "$secrets"
    )
}

# The secrets go in by the standard input and are kept out of the server's
# log also when a statement fails; a command line would show them to everybody.
prepare_api() {
    local DB_PASSWORD JWT_SECRET
    # shellcheck source=/dev/null
    source "$secrets"
    dba -d "$database" >/dev/null <<SQL
set log_statement = none;
set log_min_duration_statement = -1;
set log_min_error_statement = panic;
set client_min_messages = warning;
select 'create role tenancy_api' where to_regrole('tenancy_api') is null \gexec
alter role tenancy_api login password '$DB_PASSWORD';
grant tenancy_app, tenancy_authenticator to tenancy_api;
select tenancy.add_signing_key('$JWT_SECRET')
where not exists (select from tenancy.signing_keys where material = convert_to('$JWT_SECRET', 'UTF8'));
SQL
}
