#!/usr/bin/env bash
# `make bench`: a schema a tenant: very many small relations, ours against pgBackRest.
#
#   PG_CONFIG=...                  of the server
#   BENCH_RELATIONS=200000         four of them a table: heap, primary key, TOAST and its index
#   BENCH_RUNS=3                   rounds of a full and of an incremental backup after nothing changed
#
# As root or with sudo. Everybody gets two threads, zstd at level 1, a fast checkpoint and an idle
# server. Prints also the peak memory of our worker and program, and how long list, restore, drop and
# expire take.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source test/bench/peers.sh
pg_config=${PG_CONFIG:-/usr/lib/postgresql/15/bin/pg_config}
relations=${BENCH_RELATIONS:-200000}
runs=${BENCH_RUNS:-3}

prepare() {
  bench_cluster "$pg_config" < <(echo 'max_locks_per_transaction = 1024'; echo 'fsync = off')
  local schema schemas=$((relations / 4 / 1000))
  echo "making $relations relations in $schemas schemas"
  for ((schema = 1; schema <= schemas; schema++)); do
    query "DO \$\$ BEGIN
      CREATE SCHEMA tenant_$schema;
      FOR i IN 1..1000 LOOP
        EXECUTE format('CREATE TABLE tenant_$schema.t%s (id int PRIMARY KEY, body text)', i);
        EXECUTE format('INSERT INTO tenant_$schema.t%s SELECT g, repeat(md5(g::text), 3)
                        FROM generate_series(1, %s) g', i, i % 40);
      END LOOP; END \$\$"
  done
  query 'CHECKPOINT'
  bench_pgbackrest
  sleep 15
}

ours() { query "SELECT backup_now(kind => '$1')" > /dev/null; }
pgbackrest() { pgbackrest_main --type="${1/incremental/incr}" backup; }

timed() {
  local name=$1 began
  shift
  settle_cluster
  [[ $name != *.ours ]] || begin_watch
  began=$(now_ms)
  "$@"
  echo $(($(now_ms) - began)) >> "$measurements/$name.ms"
  [[ $name != *.ours ]] || end_watch
}

seconds() { median < "$measurements/$1.ms" | awk '{ printf "%.2f s", $1 / 1000 }'; }
ratio() { paste "$measurements/$1.ms" "$measurements/$2.ms" | awk '{ print $1 / $2 }' | median; }

measurements=build/bench-many-relations
rm -rf "$measurements"
mkdir -p "$measurements"
prepare
for ((round = 1; round <= runs; round++)); do
  for kind in full incremental; do
    for tool in ours pgbackrest; do timed "$kind.$tool" "$tool" "$kind"; done
  done
done
timed list query 'SELECT count(*) FROM backup_list()' > /dev/null
timed restore peak_of backup_ext --repository ours restore latest restored --jobs 2 > "$measurements/restore.memory"
peak_of backup_ext --repository ours list > "$measurements/list.memory"
timed drop query "SELECT backup_drop(min(backup_id)) FROM backup_list()" > /dev/null
query "ALTER SYSTEM SET backup_ext.retention = '1 second'"
query 'SELECT pg_reload_conf()' > /dev/null
timed expire query 'SELECT count(*) FROM backup_expire()' > /dev/null

printf '\n%s relations, %s of data, %d rounds, %d cores\n' \
  "$(query "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'i', 't')")" \
  "$(as_bytes "$(query 'SELECT sum(pg_database_size(oid)) FROM pg_database')")" "$runs" "$(nproc)"
for kind in full incremental; do
  printf '%-12s ours %s, pgbackrest %s, ours / pgbackrest %.2f\n' "$kind" "$(seconds "$kind.ours")" \
    "$(seconds "$kind.pgbackrest")" "$(ratio "$kind.ours" "$kind.pgbackrest")"
done
printf 'list %s, restore %s, drop %s, expire %s\n' "$(seconds list)" "$(seconds restore)" "$(seconds drop)" \
  "$(seconds expire)"
printf 'peak memory: worker of a backup %s MB, program that restores %s MB, that lists %s MB\n' "$(peak_mb 1)" \
  "$(< "$measurements/restore.memory")" "$(< "$measurements/list.memory")"
