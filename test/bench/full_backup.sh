#!/usr/bin/env bash
# `make bench`: one full backup, ours against pg_basebackup and pgBackRest, on the same warm data.
#
#   BENCH_RUNS=5           rounds; in each, every tool runs once, in turn
#   BENCH_SCALE=130        of pgbench (15 MB each), plus BENCH_VARIED=1 times 380 MB of other data
#   BENCH_TOOLS="ours pg_basebackup pgbackrest"
#
# As root or with sudo, on Debian 12. Needs about five times the data in TMPDIR. Everybody gets two
# threads, zstd at level 1, a fast checkpoint, an idle server, and writes to the same file system. The
# numbers of a round share its conditions; the ratios are medians of the ratios within a round.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source test/bench/peers.sh
pg_config=/usr/lib/postgresql/15/bin/pg_config
runs=${BENCH_RUNS:-5}
scale=${BENCH_SCALE:-130}
varied=${BENCH_VARIED:-1}
read -r -a tools <<< "${BENCH_TOOLS:-ours pg_basebackup pgbackrest}"

prepare() {
  scripts/install_dependencies.sh bench
  bench_cluster "$pg_config" < /dev/null
  bench_data "$scale" "$varied"
}

# Each tool: one full backup, and what it stored is left in $SCRATCH/<tool>.
run_ours() { query "SELECT backup_now(kind => 'full')" > /dev/null; }
run_pg_basebackup() {
  as_postgres pg_basebackup -D pg_basebackup -Ft -X stream -c fast -Z server-zstd:level=1,workers=2
}
run_pgbackrest() { pgbackrest_main --type=full backup; }

settle() {
  local tool=$1
  case $tool in
    pgbackrest) as_postgres sh -c 'rm -rf pgbackrest/backup/main/2*' ;;
    *) as_postgres rm -rf "$tool" ;;
  esac
  settle_cluster
}

measure() {
  local tool=$1 began ended
  settle "$tool"
  [[ $tool != ours ]] || begin_watch
  began=$(now_ms)
  "run_$tool"
  ended=$(now_ms)
  [[ $tool != ours ]] || end_watch
  milliseconds=$((ended - began))
  stored=$(stored_bytes "$tool")
}

rounds() {
  local round tool line
  printf '%-8s' round
  printf '%16s' "${tools[@]}"
  echo
  for ((round = 1; round <= runs; round++)); do
    line=$(printf '%-8s' "$round")
    for tool in "${tools[@]}"; do
      measure "$tool"
      echo "$milliseconds" >> "$measurements/$tool.ms"
      echo "$stored" > "$measurements/$tool.bytes"
      line+=$(printf '%14.2f s' "$(awk -v ms="$milliseconds" 'BEGIN { print ms / 1000 }')")
    done
    echo "$line"
  done
}

summary() {
  local tool bytes
  bytes=$(query 'SELECT sum(pg_database_size(oid)) FROM pg_database')
  printf '\n%s of data, %d rounds, %d cores\n' "$(numfmt --to=iec --suffix=B "$bytes")" "$runs" "$(nproc)"
  for tool in "${tools[@]}"; do
    printf '%-16s median %6.2f s   %6.0f MB/s   stored %s\n' "$tool" \
      "$(median < "$measurements/$tool.ms" | awk '{ print $1 / 1000 }')" \
      "$(median < "$measurements/$tool.ms" | awk -v b="$bytes" '{ print b / 1000 / $1 }')" \
      "$(numfmt --to=iec --suffix=B "$(cat "$measurements/$tool.bytes")")"
  done
  for tool in "${tools[@]}"; do
    if [[ $tool == ours || ! -f $measurements/ours.ms ]]; then continue; fi
    printf 'ours / %-14s %.2f\n' "$tool" \
      "$(paste "$measurements/ours.ms" "$measurements/$tool.ms" | awk '{ print $1 / $2 }' | median)"
  done
  if [[ -s $measurements/memory ]]; then
    printf 'peak memory of our worker: %s MB resident, of it %s MB its own\n' "$(peak_mb 1)" "$(peak_mb 2)"
  fi
}

measurements=build/bench
rm -rf "$measurements"
mkdir -p "$measurements"
prepare
rounds
summary
