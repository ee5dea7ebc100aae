#!/usr/bin/env bash
# `make bench`: incremental backups, ours against pgBackRest and, where the server has it,
# pg_basebackup --incremental: after nothing changed, and after 1 % of the pages did.
#
#   PG_CONFIG=...          of the server; 17 and later run with summarize_wal
#   BENCH_RUNS=5           rounds of each kind; in each, every tool runs once, in turn, on the change
#                          that was made since its own backup of the round before
#   BENCH_SCALE=150        of pgbench (15 MB each)
#
# As root or with sudo. Everybody gets two threads, zstd at level 1, a fast checkpoint and an idle
# server. Ratios are medians of the ratios within a round.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source test/bench/peers.sh
pg_config=${PG_CONFIG:-/usr/lib/postgresql/15/bin/pg_config}
runs=${BENCH_RUNS:-5}
scale=${BENCH_SCALE:-150}
major=$("$pg_config" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
tools=(ours pgbackrest)
((major < 17)) || tools+=(pg_basebackup)

prepare() {
  # No pipe: what begins the cluster ends it with its own process.
  bench_cluster "$pg_config" < <(((major < 17)) || echo 'summarize_wal = on')
  echo "PostgreSQL $major: making the data, pgbench at scale $scale"
  # Room in each page, so that a changed row changes one page.
  as_postgres pgbench -q -i -I dtGvp -F 90 -s "$scale" postgres > /dev/null 2>&1
  query 'CHECKPOINT'
  bench_pgbackrest
  # A file is known to be untouched when it was left alone for a while before it was read.
  sleep 15
}

change_nothing() { :; }
change_one_percent() {
  query "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = ANY (ARRAY(
    SELECT (1 + random() * ($scale * 100000 - 1))::int
    FROM generate_series(1, (SELECT relpages / 100 FROM pg_class WHERE relname = 'pgbench_accounts'))))"
}

full_ours() { query "SELECT backup_now(kind => 'full')" > /dev/null; }
full_pgbackrest() { pgbackrest_main --type=full backup; }
full_pg_basebackup() { incremental_pg_basebackup_from; }
incremental_ours() { query "SELECT backup_now(kind => 'incremental')" > /dev/null; }
incremental_pgbackrest() { pgbackrest_main --type=incr backup; }
incremental_pg_basebackup() { incremental_pg_basebackup_from "--incremental=pg_basebackup/$last/backup_manifest"; }
incremental_pg_basebackup_from() {
  local next=$((last + 1))
  as_postgres mkdir -p pg_basebackup
  as_postgres pg_basebackup -D "pg_basebackup/$next" -Ft -X stream -c fast \
    -Z server-zstd:level=1,workers=2 "$@"
  last=$next
}
last=0

# measure CHANGE: a round; adds to $measurements/<change>.<tool>.{ms,bytes}
measure() {
  local change=$1 tool began before
  "change_$change"
  for tool in "${tools[@]}"; do
    settle_cluster
    before=$(stored_bytes "$tool")
    began=$(now_ms)
    "incremental_$tool"
    echo $(($(now_ms) - began)) >> "$measurements/$change.$tool.ms"
    echo $(($(stored_bytes "$tool") - before)) >> "$measurements/$change.$tool.bytes"
  done
}

report() {
  local change=$1 title=$2 tool
  printf '\n%s\n' "$title"
  for tool in "${tools[@]}"; do
    printf '  %-14s median %6.2f s   stored %s\n' "$tool" \
      "$(median < "$measurements/$change.$tool.ms" | awk '{ print $1 / 1000 }')" \
      "$(as_bytes "$(median < "$measurements/$change.$tool.bytes" | cut -d . -f 1)")"
  done
  for tool in "${tools[@]:1}"; do
    printf '  ours / %-14s time %.2f   bytes %.2f\n' "$tool" \
      "$(paste "$measurements/$change.ours.ms" "$measurements/$change.$tool.ms" | awk '{ print $1 / $2 }' | median)" \
      "$(paste "$measurements/$change.ours.bytes" "$measurements/$change.$tool.bytes" | awk '{ print $1 / $2 }' | median)"
  done
}

measurements=build/bench-incremental-$major
rm -rf "$measurements"
mkdir -p "$measurements"
prepare
for tool in "${tools[@]}"; do "full_$tool"; done
for change in nothing one_percent; do
  for ((round = 1; round <= runs; round++)); do measure "$change"; done
done
printf '\nPostgreSQL %s, %s of data, %d rounds, %d cores\n' "$major" \
  "$(as_bytes "$(query 'SELECT sum(pg_database_size(oid)) FROM pg_database')")" "$runs" "$(nproc)"
report nothing 'nothing changed'
report one_percent '1 % of the pages changed at random'
