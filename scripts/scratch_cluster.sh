# A PostgreSQL cluster to throw away, for the gate, the demo and the benchmark: sourced, not run.
#
# Everything lies in one directory of user postgres, the socket too, and no port of the network is
# opened: no cluster of this machine can be met. It is stopped and removed however the script ends.
# Needs bash with set -euo pipefail, and root or sudo.

as_root() {
  if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

# No setting of the caller's libpq may lead elsewhere. $SCRATCH is where postgres may be; its own
# home need not exist.
as_postgres() {
  (cd "$SCRATCH" && as_root runuser -u postgres -- env -i HOME="$SCRATCH" LC_ALL=C.UTF-8 TZ=UTC \
    PATH="$SCRATCH_BIN:/usr/sbin:/usr/bin:/sbin:/bin" PGHOST="$SCRATCH/socket" PGPORT=5432 \
    PGUSER=postgres PGDATABASE=postgres PGDATA="$SCRATCH/data" "$@")
}

# One value, or rows with | between columns. Arguments: the SQL, then options of psql.
query() {
  local sql=$1
  shift
  as_postgres psql -XAtq -v ON_ERROR_STOP=1 "$@" -c "$sql"
}

# scratch_begin PG_CONFIG: makes $SCRATCH; from here on the end cleans up.
scratch_begin() {
  unset "${!PG@}" 2>/dev/null || true
  SCRATCH_BIN=$("$1" --bindir)
  SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/backup_ext.XXXXXXXX")
  trap scratch_end EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  chmod 755 "$SCRATCH"
  as_root chown postgres: "$SCRATCH"
  as_postgres mkdir -m 700 socket
}

# scratch_init [OPTION OF INITDB...]; lines for postgresql.conf come on standard input.
scratch_init() {
  as_postgres initdb -D data --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
    --no-sync "$@" >/dev/null
  { cat; cat <<CONF
listen_addresses = ''
unix_socket_directories = '$SCRATCH/socket'
port = 5432
logging_collector = off
CONF
  } | as_postgres tee -a data/postgresql.conf >/dev/null
}

scratch_start() {
  as_postgres pg_ctl -D data -l server.log -w -t 120 start >/dev/null || {
    as_postgres tail -n 20 server.log >&2
    return 1
  }
}

scratch_restart() {
  as_postgres pg_ctl -D data -m fast -w -t 120 stop >/dev/null
  scratch_start
}

# Stops every server below $SCRATCH, staged ones too.
scratch_end() {
  local status=$? pid_file
  trap '' INT TERM HUP
  trap - EXIT
  set +e
  if [[ -n ${SCRATCH:-} && -d $SCRATCH ]]; then
    as_postgres find . -name postmaster.pid -print 2>/dev/null | while read -r pid_file; do
      as_postgres pg_ctl -D "$(dirname "$pid_file")" -m immediate -w -t 30 stop
    done >/dev/null 2>&1 </dev/null
    wait
    [[ ! -d $SCRATCH/small_fs ]] || as_root umount -l "$SCRATCH/small_fs" 2>/dev/null
    cd / && as_root rm -rf "$SCRATCH"
  fi
  exit "$status"
}
