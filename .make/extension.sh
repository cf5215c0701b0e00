# shellcheck shell=bash
#
# Builds the extension in release mode, and copies it into PostgreSQL's
# folders if it differs from what is there. Sourced, never run.
#
# Building and copying are two steps (cargo pgrx package, then install), so
# that cargo never runs as root for somebody else's files, and a server that
# starts meanwhile never sees half a file.

# shellcheck source=setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

build_extension() {
    local log
    package=$(target_dir)/release/pg_tenancy-pg$pg_major
    # What an earlier build made may have had files that are no longer wanted.
    rm -rf "$package"
    say "Building the extension (release)"
    # The compiler speaks on the standard error; the rest is for a failure.
    log=$(cd "$root/pg_tenancy" && cargo pgrx package --pg-config "$pg_config" --out-dir "$package") ||
        fail "the extension could not be built." "The messages above say why." "$log"
}

# Two clones share one PostgreSQL: whoever holds this lock may write there.
# A folder can be locked by everybody who can read it, and needs no file.
lock_extension() {
    local folder
    folder=$("$pg_config" --sharedir)/extension
    exec 7<"$folder"
    flock -n 7 && return 0
    say "Waiting: another clone installs or tests the extension"
    flock 7
}
unlock_extension() { exec 7<&-; }

install_extension() {
    local file target changed=no
    while read -r file; do
        target=${file#"$package"}
        cmp -s "$file" "$target" && continue
        changed=yes
        # Beside the target and then renamed: running servers keep the old one.
        as_root install -m 644 "$file" "$target.new"
        as_root mv -f "$target.new" "$target"
    done < <(find "$package" -type f)
    [[ $changed == no ]] || say "Installed the extension into PostgreSQL $pg_major"
}

# A digest of the installed script, blind to the comments (which have line
# numbers of the sources) and to the order (which isn't stable).
extension_digest() {
    local version=$1
    grep -v '^ *--' "$("$pg_config" --sharedir)/extension/pg_tenancy--$version.sql" | sort | sha256sum | cut -d' ' -f1
}
