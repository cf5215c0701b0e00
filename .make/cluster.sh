# shellcheck shell=bash
#
# The private PostgreSQL cluster of this folder: made once, kept between runs,
# started for whoever needs it and stopped by the last one. Never the
# system's cluster. Sourced, never run.

# shellcheck source=extension.sh
source "$(dirname "${BASH_SOURCE[0]}")/extension.sh"

# Whoever uses the cluster holds a shared lock; the last one can have it alone.
join_cluster() {
    make_state
    exec 8<"$state/users.lock"
    flock -s 8
    exec 6<"$state/start.lock"
    flock 6
    [[ -e $data ]] || make_cluster
    check_cluster
    is_cluster_running || start_cluster
    port=$(<"$state/port")
    exec 6<&-
}

leave_cluster() {
    if flock -n -x 8; then stop_cluster; fi
    exec 8<&-
}

make_state() {
    mkdir -p "$state" "$socket" "$state/log" || fail "can't make the folder $state."
    touch "$state/users.lock" "$state/start.lock" "$state/run.lock"
    if is_root; then chown postgres: "$socket" "$state/log"; fi
    chmod 700 "$socket" "$state/log"
}

# In a temporary name: an interrupted initdb leaves nothing that looks whole.
make_cluster() {
    local new=$data.new
    say "Making a database cluster in $data"
    rm -rf "$new"
    mkdir -m 700 "$new"
    if is_root; then chown postgres: "$new"; fi
    as_server "$pg_bin/initdb" -D "$new" --username=postgres --encoding=UTF8 --locale=C.UTF-8 \
        --auth-local=peer --auth-host=reject --data-checksums --no-instructions >"$state/initdb.log" 2>&1 ||
        fail "initdb failed: $(tail -n 3 "$state/initdb.log")" "All it said stands in $state/initdb.log"
    cat >>"$new/postgresql.conf" <<CONF

# Added by .make/cluster.sh. The port is given at the start.
cluster_name = 'pg_tenancy'
listen_addresses = '127.0.0.1'
unix_socket_directories = '$socket'
log_line_prefix = '%m [%p] %q%u@%d '
CONF
    # The DBA comes through the socket and is known by the system's user, so
    # that the superuser needs no password and has no way in over TCP.
    cat >"$new/pg_hba.conf" <<'CONF'
local all postgres              peer map=dba
local all all                   scram-sha-256
host  all postgres 127.0.0.1/32 reject
host  all all      127.0.0.1/32 scram-sha-256
CONF
    printf 'dba %s postgres\n' postgres "$(id -un)" >"$new/pg_ident.conf"
    mv -T "$new" "$data"
}

check_cluster() {
    local of
    of=$(cat "$data/PG_VERSION" 2>/dev/null) || fail "$data is no whole data folder." "'make reset' makes it anew; what is in it is lost."
    [[ $of == "$pg_major" ]] || fail "$data belongs to PostgreSQL $of, and this is PostgreSQL $pg_major." \
        "Use that one: PG_MAJOR=$of make run" "Or make it anew: make reset (what is in it is lost)"
}

# The pid in the file may have been given to another program since a crash.
is_cluster_running() {
    local pid
    pid=$(head -n1 "$data/postmaster.pid" 2>/dev/null) || return 1
    kill -0 "$pid" 2>/dev/null || return 1
    [[ ! -r /proc/$pid/cmdline ]] || tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF -- "$data"
}

start_cluster() {
    local log=$state/log/server.log pid
    pid=$(head -n1 "$data/postmaster.pid" 2>/dev/null) || true
    if [[ -n $pid ]]; then
        say "The database was not stopped the last time; it recovers by itself"
        # PostgreSQL removes a stale file itself, unless the pid is in use again.
        if kill -0 "$pid" 2>/dev/null; then rm -f "$data/postmaster.pid"; fi
    fi
    choose_port
    # Without our locks: the server outlives this script.
    as_server "$pg_bin/pg_ctl" -D "$data" -l "$log" -o "-p $(<"$state/port")" -w -t 60 start \
        >/dev/null 2>&1 6<&- 7<&- 8<&- 9<&- ||
        fail "PostgreSQL did not start. The end of $log:" "$(tail -n 5 "$log" 2>/dev/null)" \
            "If it can't be mended, 'make reset' makes it anew; what is in it is lost."
}

stop_cluster() {
    is_cluster_running || return 0
    as_server "$pg_bin/pg_ctl" -D "$data" -m fast -w -t 60 stop >/dev/null 2>&1 || say "PostgreSQL did not stop; its log: $state/log/server.log"
}

# The port of the last time, or else the first one that nobody uses.
choose_port() {
    local candidate
    for candidate in $(cat "$state/port" 2>/dev/null) $(seq 54315 54415); do
        is_port_taken "$candidate" && continue
        echo "$candidate" >"$state/port"
        return 0
    done
    fail "all ports from 54315 to 54415 are in use." "Write a free one into $state/port"
}
