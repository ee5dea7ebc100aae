# What the benchmarks share: the scratch cluster with its data, the peers' set-up, figures. Sourced in
# the root of the tree, not run.
source scripts/scratch_cluster.sh
# Builds are makes of their own.
unset MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
as_bytes() { numfmt --to=iec --suffix=B "$1"; }

# bench_cluster PG_CONFIG: installs the extension there and begins a cluster; further settings come
# on standard input.
bench_cluster() {
  make -j"$(nproc)" PG_CONFIG="$1" > /dev/null
  as_root make PG_CONFIG="$1" install > /dev/null
  scratch_begin "$1"
  { cat; cat <<CONF
shared_preload_libraries = 'backup_ext'
shared_buffers = 256MB
max_wal_size = 8GB
autovacuum = off
synchronous_commit = off
backup_ext.enabled = off
backup_ext.workers = 2
backup_ext.compression_level = 1
backup_ext.repository = '$SCRATCH/ours'
CONF
  } | scratch_init --data-checksums
  as_postgres mkdir archive
  scratch_start
  query 'CREATE EXTENSION backup_ext'
}

# bench_data SCALE VARIED: pgbench and other kinds of data, a tablespace too. Prepares pgBackRest.
bench_data() {
  echo "making the data: pgbench at scale $1 and $2 times 380 MB of other kinds"
  query "CREATE TABLESPACE archive LOCATION '$SCRATCH/archive'"
  query 'CREATE DATABASE bank'
  query 'CREATE DATABASE library'
  as_postgres pgbench -q -i -I dtGvp -s "$1" bank > /dev/null 2>&1
  as_postgres psql -XqAt -v ON_ERROR_STOP=1 -v scale="$2" -d library < scripts/varied_data.sql > /dev/null
  query 'CHECKPOINT'
  bench_pgbackrest
}

# pgBackRest reads no setting from our command line that it can have in a file. Block incremental is
# there since 2.46; Debian 12 has 2.45.
bench_pgbackrest() {
  local version block=n
  version=$(command pgbackrest version | sed 's/^pgBackRest //')
  if [[ $(printf '%s\n' 2.46 "$version" | sort -V | head -n 1) == 2.46 ]]; then block=y; fi
  as_postgres tee pgbackrest.conf > /dev/null <<CONF
[global]
repo1-path=$SCRATCH/pgbackrest
repo1-bundle=y
$([[ $block == n ]] || echo repo1-block=y)
repo1-retention-full=1
process-max=2
compress-type=zst
compress-level=1
start-fast=y
archive-check=n
log-level-console=warn
log-level-file=off
lock-path=$SCRATCH/lock
spool-path=$SCRATCH/spool
[main]
pg1-path=$SCRATCH/data
pg1-socket-path=$SCRATCH/socket
pg1-port=5432
CONF
  as_postgres mkdir -p pgbackrest lock spool
  as_postgres pgbackrest --config="$SCRATCH/pgbackrest.conf" --stanza=main --no-online stanza-create
}
pgbackrest_main() { as_postgres pgbackrest --config="$SCRATCH/pgbackrest.conf" --stanza=main "$@"; }

# Outside of any measured time: nothing left to be written back, everything to be read warm.
settle_cluster() {
  query 'CHECKPOINT'
  sync
  as_postgres find data archive -type f -not -path '*/pg_wal/*' -exec cat {} + > /dev/null
}

stored_bytes() { as_postgres sh -c "[ ! -e $1 ] || du -sb $1" | cut -f 1; }

# Samples the memory of our worker until it ends: the peak of its resident set, and of the part that
# is its own and not the server's shared memory (kB). The kernel keeps the first one itself (VmHWM).
watch_worker() {
  local pid='' all=0 own=0 key value
  until [[ -n $pid ]]; do
    pid=$(query 'SELECT pid FROM backup_progress() LIMIT 1') || return 0
    sleep 0.05
  done
  while [[ -r /proc/$pid/status ]]; do
    while read -r key value _; do
      case $key in
        VmHWM:) ((value > all)) && all=$value ;;
        RssAnon:) ((value > own)) && own=$value ;;
      esac
    done < "/proc/$pid/status" 2>/dev/null
    echo "$all $own" > "$measurements/memory.last"
    sleep 0.05
  done
}

# begin_watch ... end_watch: around what is measured; adds the peaks of our worker to $measurements/memory.
# A run that is too short is not seen.
begin_watch() {
  echo '0 0' > "$measurements/memory.last"
  watch_worker &
  watcher=$!
}
end_watch() {
  sleep 0.1
  kill "$watcher" 2>/dev/null || true # it waits still for a run that it did not see
  wait "$watcher" 2>/dev/null || true
  cat "$measurements/memory.last" >> "$measurements/memory"
}
# peak_mb FIELD [FILE]: 1 the resident set, 2 what is its own; of all runs, or of the one in FILE.
peak_mb() { cut -d ' ' -f "$1" "${2:-$measurements/memory}" | sort -n | tail -n 1 | awk '{ printf "%.0f", $1 / 1024 }'; }
# peak_of COMMAND...: runs it as the server's user, without its output; prints its peak memory in MB.
peak_of() {
  as_postgres python3 -c '
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
sys.exit(code)' "$@"
}
