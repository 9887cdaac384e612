#!/bin/bash
# Makes the database cluster on the first start, then becomes the server. As root it becomes the user postgres first.
set -euo pipefail

# A variable, or the content of the file that NAME_FILE names, or a default.
setting() {
    local file="${1}_FILE"
    if [ -n "${!1:-}" ] && [ -n "${!file:-}" ]; then
        echo "Only one of $1 and $file may be set." >&2
        exit 1
    fi
    if [ -n "${!file:-}" ]; then
        export "$1"="$(< "${!file}")"
    else
        export "$1"="${!1:-${2:-}}"
    fi
    unset "$file"
}

run_sql() {
    PGHOST='' psql --no-psqlrc --no-password --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" \
        --dbname "$POSTGRES_DB" "$@"
}

run_first_files() {
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
            *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
            *.sql) run_sql --file "$file" ;;
        esac
    done
}

make_cluster() {
    if [ -z "$POSTGRES_PASSWORD" ]; then
        echo "The database is new and has no password yet: set POSTGRES_PASSWORD." >&2
        exit 1
    fi
    if [ "$PG_MAJOR" -ge 18 ] && { [ -s /var/lib/postgresql/data/PG_VERSION ] || mountpoint -q /var/lib/postgresql/data; }
    then
        echo "From 18 on the volume belongs at /var/lib/postgresql, not at /var/lib/postgresql/data." >&2
        exit 1
    fi
    eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") '"$POSTGRES_INITDB_ARGS"
    printf '\nhost all all all %s\n' "$(postgres -C password_encryption "${@:2}")" >> "$PGDATA/pg_hba.conf"
    # Reached by its socket alone, so that nobody takes it for the real one.
    PGUSER="$POSTGRES_USER" pg_ctl -D "$PGDATA" -w -o "$(printf '%q ' "${@:2}" -c listen_addresses=)" start
    if [ "$POSTGRES_DB" != postgres ]; then
        POSTGRES_DB=postgres run_sql --set db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db"'
    fi
    run_first_files
    PGUSER="$POSTGRES_USER" pg_ctl -D "$PGDATA" -m fast -w stop
}

if [ "${1:0:1}" = - ]; then
    set -- postgres "$@"
fi
if [ "$1" = postgres ]; then
    setting POSTGRES_PASSWORD
    setting POSTGRES_USER postgres
    setting POSTGRES_DB "$POSTGRES_USER"
    setting POSTGRES_INITDB_ARGS
    install -d -m 0700 "$PGDATA"
    if [ "$(id -u)" = 0 ]; then
        find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres {} +
        exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
    fi
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        make_cluster "$@"
    fi
fi
exec "$@"
