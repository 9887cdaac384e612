#!/bin/bash
# Makes pgAdmin's own database on the first start, with the user and the servers it is given, then serves.
set -euo pipefail

if [ ! -s /pgadmin4/config_distro.py ]; then
    {
        echo "LOG_FILE = '/dev/null'"
        for name in "${!PGADMIN_CONFIG_@}"; do
            value="${!name}"
            case "${value,,}" in
                true) value=True ;;
                false) value=False ;;
            esac
            echo "${name#PGADMIN_CONFIG_} = $value"
        done
    } > /pgadmin4/config_distro.py
fi

if [ -n "${PGADMIN_DEFAULT_PASSWORD_FILE:-}" ]; then
    PGADMIN_DEFAULT_PASSWORD="$(< "$PGADMIN_DEFAULT_PASSWORD_FILE")"
fi
if [ ! -f /var/lib/pgadmin/pgadmin4.db ]; then
    if [ -z "${PGADMIN_DEFAULT_EMAIL:-}" ] || [ -z "${PGADMIN_DEFAULT_PASSWORD:-}" ]; then
        echo "Set PGADMIN_DEFAULT_EMAIL, and PGADMIN_DEFAULT_PASSWORD or PGADMIN_DEFAULT_PASSWORD_FILE." >&2
        exit 1
    fi
    # pgAdmin's own check, as strict as the official image calls it.
    if ! (cd pgadmin/utils && /venv/bin/python -c '
import sys
from validation_utils import validate_email
rules = {"CHECK_EMAIL_DELIVERABILITY": False, "ALLOW_SPECIAL_EMAIL_DOMAINS": [], "GLOBALLY_DELIVERABLE": True}
sys.exit(0 if validate_email(sys.argv[1], rules) else 1)' "$PGADMIN_DEFAULT_EMAIL"); then
        echo "PGADMIN_DEFAULT_EMAIL is no valid address: $PGADMIN_DEFAULT_EMAIL" >&2
        exit 1
    fi
    PGADMIN_SETUP_EMAIL="$PGADMIN_DEFAULT_EMAIL" PGADMIN_SETUP_PASSWORD="$PGADMIN_DEFAULT_PASSWORD" \
        /venv/bin/python run_pgadmin.py
    servers="${PGADMIN_SERVER_JSON_FILE:-/pgadmin4/servers.json}"
    if [ -f "$servers" ]; then
        /venv/bin/python setup.py load-servers "$servers" --user "$PGADMIN_DEFAULT_EMAIL"
    fi
    if [ -f "${PGPASS_FILE:-}" ]; then
        folder="/var/lib/pgadmin/storage/${PGADMIN_DEFAULT_EMAIL//@/_}"
        install -d "$folder"
        install -m 0600 "$PGPASS_FILE" "$folder/.pgpass"
    fi
fi

port="${PGADMIN_LISTEN_PORT:-80}"
if [ -z "${PGADMIN_LISTEN_PORT:-}" ] && grep -q '^NoNewPrivs:[[:space:]]*1' /proc/self/status; then
    # The official image's Python has a capability for low ports, which it loses here.
    port=8080
fi
exec /venv/bin/python /venv/bin/gunicorn --bind "${PGADMIN_LISTEN_ADDRESS:-[::]}:$port" --workers 1 \
    --threads "${GUNICORN_THREADS:-25}" --timeout 86400 --access-logfile "${GUNICORN_ACCESS_LOGFILE:--}" run_pgadmin:app
