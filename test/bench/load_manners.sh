#!/usr/bin/env bash
# What a backup costs those who work meanwhile: transactions a second of pgbench at full load, without
# a backup and during one, for ours, pg_basebackup and pgBackRest.
#
#   BENCH_RUNS=5           rounds; in each, every tool runs once, in turn, each after a time without
#   BENCH_SCALE=130        of pgbench (15 MB each)
#   BENCH_CLIENTS=8        of pgbench
#   BENCH_QUIET=20         seconds without a backup before each one
#   BENCH_TOOLS="ours pg_basebackup pgbackrest"
#
# As root or with sudo, on Debian 12. One backup after the other runs against the same pgbench, which
# never stops; a second counts for the tool when its backup ran all through it. Shown are the medians
# of the transactions of all seconds, and each tool's against those without. Ours is allowed two
# threads as the others are; commits are synchronous.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source test/bench/peers.sh
pg_config=/usr/lib/postgresql/15/bin/pg_config
runs=${BENCH_RUNS:-5}
scale=${BENCH_SCALE:-130}
clients=${BENCH_CLIENTS:-8}
quiet=${BENCH_QUIET:-20}
read -r -a tools <<< "${BENCH_TOOLS:-ours pg_basebackup pgbackrest}"

prepare() {
  scripts/install_dependencies.sh bench
  bench_cluster "$pg_config" < /dev/null
  query 'ALTER SYSTEM SET synchronous_commit = on'
  query 'SELECT pg_reload_conf()' > /dev/null
  query 'CREATE DATABASE bank'
  as_postgres pgbench -q -i -I dtGvp -s "$scale" bank > /dev/null 2>&1
  query 'CHECKPOINT'
  bench_pgbackrest
}

run_ours() { query "SELECT backup_now(kind => 'full')" -q > /dev/null 2>&1; }
run_pg_basebackup() {
  as_postgres pg_basebackup -D pg_basebackup -Ft -X stream -c fast -Z server-zstd:level=1,workers=2
  as_postgres rm -rf pg_basebackup
}
run_pgbackrest() {
  pgbackrest_main --type=full backup
  as_postgres sh -c 'rm -rf pgbackrest/backup/main/2*'
}

# pgbench says once a second: "progress: 1795683600.1 s, 1234.5 tps, lat ...".
start_load() {
  as_postgres pgbench -n -c "$clients" -j 2 -T 86400 -P 1 --progress-timestamp bank \
    > "$measurements/pgbench" 2>&1 &
  load=$!
}

# seconds NAME FROM TO (ms since the epoch): what pgbench did in the whole seconds between.
seconds_of() {
  awk -v from="$2" -v to="$3" '$1 == "progress:" { end = $2 * 1000
    if (end - 1000 >= from && end <= to) print $4 }' "$measurements/pgbench" >> "$measurements/$1.tps"
}

measure() {
  local tool=$1 began ended
  began=$(now_ms)
  sleep "$quiet"
  ended=$(now_ms)
  sleep 1
  seconds_of quiet "$began" "$ended"
  began=$(now_ms)
  "run_$tool"
  ended=$(now_ms)
  sleep 1
  seconds_of "$tool" "$began" "$ended"
  echo "$((ended - began))" >> "$measurements/$tool.ms"
}

summary() {
  local tool without
  without=$(median < "$measurements/quiet.tps")
  printf '\n%d clients on %d cores, %d rounds; median transactions a second\n' "$clients" "$(nproc)" "$runs"
  printf '%-16s %8.0f\n' 'no backup' "$without"
  for tool in "${tools[@]}"; do
    if [[ ! -s $measurements/$tool.tps ]]; then
      printf '%-16s its backups took less than a second: raise BENCH_SCALE\n' "$tool"
      continue
    fi
    median < "$measurements/$tool.tps" | awk -v tool="$tool" -v without="$without" \
      -v ms="$(median < "$measurements/$tool.ms")" \
      '{ printf "%-16s %8.0f   %5.1f %% of it, in %.1f s\n", tool, $1, 100 * $1 / without, ms / 1000 }'
  done
}

measurements=build/bench_load
rm -rf "$measurements"
mkdir -p "$measurements"
prepare
start_load
sleep 10 # until the buffers are warm
for ((round = 1; round <= runs; round++)); do
  for tool in "${tools[@]}"; do measure "$tool"; done
done
as_root kill "$load" 2>/dev/null || true
summary
