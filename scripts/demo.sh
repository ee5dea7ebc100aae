#!/usr/bin/env bash
# `make demo`: a backup under load, a staged restore beside the server, and proof that it is a copy.
#
# On Debian 12, as root or as a user with sudo. Everything happens in a scratch cluster in a
# directory of its own (TMPDIR, about 6 GB) that is stopped and removed at the end, after a failure
# and after Ctrl-C too. Ends with status 1 when a proof fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/scratch_cluster.sh
unset MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES
pg_config=/usr/lib/postgresql/15/bin/pg_config
proofs=0 failed_proofs=0

heading() { printf '\n== %s\n' "$1"; }
say() { printf '   %s\n' "$1"; }
now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
# since_ms BEGAN: "4.2 s"
since() { awk -v ms=$(($(now_ms) - $1)) 'BEGIN { printf "%.1f s", ms / 1000 }'; }
size() { numfmt --to=iec --suffix=B --format=%.1f "$1"; }
# Runs SQL, shows it, and leaves its result in $result.
run_sql() {
  printf '   postgres=# %s\n' "$1"
  result=$(query "$1")
}
table() { as_postgres psql -Xq -P pager=off -v ON_ERROR_STOP=1 -c "$1" | sed 's/^/   /'; }
# proof WHAT EXPRESSION...: a command that must succeed.
proof() {
  local what=$1
  shift
  proofs=$((proofs + 1))
  if "$@"; then
    say "proven: $what"
  else
    say "FAILED: $what"
    failed_proofs=$((failed_proofs + 1))
  fi
}

packages() {
  heading 'Packages'
  scripts/install_dependencies.sh demo
  say 'all there'
}

build() {
  local began
  began=$(now_ms)
  heading 'Building and installing the extension into PostgreSQL 15'
  mkdir -p build
  { make -j"$(nproc)" PG_CONFIG="$pg_config" QUICK=1 &&
    as_root make PG_CONFIG="$pg_config" QUICK=1 install; } > build/demo.log 2>&1 || { tail -n 30 build/demo.log; return 1; }
  say "done in $(since "$began"); for a look, with little optimization; 'make install' installs the real one, 'make uninstall' takes it away"
}

check_space() {
  local free_kb
  free_kb=$(df -Pk "$SCRATCH" | awk 'NR == 2 { print $4 }')
  ((free_kb > 6 * 1024 * 1024)) && return
  echo "not enough free space in ${TMPDIR:-/tmp}: the demo needs 6 GB; set TMPDIR" >&2
  return 1
}

make_cluster() {
  local began load output
  began=$(now_ms)
  heading 'A scratch cluster with data of many kinds'
  scratch_init --data-checksums <<'CONF'
shared_preload_libraries = 'backup_ext'
shared_buffers = 256MB
max_wal_size = 4GB
synchronous_commit = off
log_min_messages = warning
CONF
  as_postgres mkdir archive
  scratch_start
  query "CREATE TABLESPACE archive LOCATION '$SCRATCH/archive'"
  query 'CREATE DATABASE bank'
  query 'CREATE DATABASE library'
  as_postgres psql -XqAt -v ON_ERROR_STOP=1 -v scale=1 -d library < scripts/varied_data.sql \
    > /dev/null &
  load=$!
  output=$(as_postgres pgbench -q -i -I dtGvp -s 50 bank 2>&1) || { echo "$output"; return 1; }
  wait "$load"
  # Here already, so that the copy has it too.
  for database in template1 postgres bank library; do
    query 'CREATE EXTENSION amcheck' -d "$database"
  done
  query 'CHECKPOINT'
  say "$(size "$(query 'SELECT sum(pg_database_size(oid)) FROM pg_database')") in $(since "$began"):"
  say 'bank: pgbench at scale 50, 5 million accounts'
  say 'library: text, jsonb, uuid, arrays, large objects, TOAST, a tablespace, an unlogged table'
}

back_up() {
  local began before after load
  heading 'A backup while pgbench writes'
  run_sql "ALTER SYSTEM SET backup_ext.repository = '$SCRATCH/repository'"
  run_sql 'SELECT pg_reload_conf()'
  run_sql 'CREATE EXTENSION backup_ext'
  (as_postgres pgbench -n -c 4 -j 2 -R 500 -T 600 bank > /dev/null 2>&1 || true) &
  load=$!
  sleep 2
  before=$(query 'SELECT count(*) FROM pgbench_history' -d bank)
  began=$(now_ms)
  run_sql "SELECT backup_now(label => 'demo')"
  backup_id=$result
  say "backup $backup_id in $(since "$began")"
  after=$(query 'SELECT count(*) FROM pgbench_history' -d bank)
  proof "$((after - before)) transactions were committed while it ran" [ "$after" -gt "$before" ]
  sleep 1
  query "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgbench'" \
    > /dev/null
  wait "$load"
  history_rows=$(query 'SELECT count(*) FROM pgbench_history' -d bank)

  heading 'The list'
  table "SELECT backup_id, label, kind, state, duration, pg_size_pretty(database_bytes) AS database,
                pg_size_pretty(stored_bytes) AS stored, start_lsn, stop_lsn
         FROM backup_list()"
  proof 'the backup is in the list' [ "$(query \
    "SELECT count(*) FROM backup_list() WHERE backup_id = '$backup_id' AND state = 'complete'")" = 1 ]
}

stage() {
  local began
  heading 'A restore beside the running server'
  began=$(now_ms)
  # Of the backup, not of what the server holds now: the safety backup comes first, and stays apart.
  run_sql "SELECT backup_stage_restore('latest')"
  stage_id=$result
  say "stage $stage_id in $(since "$began"), with a safety backup taken before it"
  stage_directory=$(query "SELECT directory FROM backup_staged() WHERE stage_id = '$stage_id'")
  start_command=$(query "SELECT start_command FROM backup_staged() WHERE stage_id = '$stage_id'")
  table "SELECT stage_id, backup_id, state, pg_size_pretty(bytes) AS size, safety_backup_id
         FROM backup_staged()"
  proof "it is of backup $backup_id" [ "$(query \
    "SELECT backup_id FROM backup_staged() WHERE stage_id = '$stage_id'")" = "$backup_id" ]
  proof 'pg_verifybackup accepts it' as_postgres pg_verifybackup --quiet "$stage_directory"
}

# Asks the copy. Its postmaster.pid says where its socket is: line 4 the port, line 5 the directory.
in_copy() {
  as_postgres env PGHOST="$copy_socket" PGPORT="$copy_port" "$@"
}

start_copy() {
  local began waited=0
  heading 'The copy is started'
  began=$(now_ms)
  say "\$ $start_command"
  # Into a file: a server keeps the end of a pipe open.
  as_postgres bash -c "{ $start_command; } > start.log 2>&1 < /dev/null" ||
    { as_postgres cat start.log; return 1; }
  copy_port=$(as_postgres sed -n 4p "$stage_directory/postmaster.pid")
  copy_socket=$(as_postgres sed -n 5p "$stage_directory/postmaster.pid")
  until [[ $(in_copy psql -XAtqc 'SELECT pg_is_in_recovery()' 2>/dev/null) == f ]]; do
    waited=$((waited + 1))
    ((waited < 300)) || { echo 'the copy did not end its recovery within a minute' >&2; return 1; }
    sleep 0.2
  done
  say "open in $(since "$began"), on a private socket only: $copy_socket"
  proof 'it listens on no network address' \
    [ -z "$(in_copy psql -XAtqc 'SHOW listen_addresses')" ]
  proof 'the server beside it never stopped' [ "$(query 'SELECT 1')" = 1 ]
}

# Equal text of everything but the keys against injection that new versions of pg_dump make up.
dump_digest() {
  "$1" pg_dump --exclude-table-data=page_cache library | grep -v -E '^\\(un)?restrict ' | sha256sum
}

compare() {
  local sums rows here there output relations
  heading 'Is it a consistent copy?'
  if output=$(in_copy pg_amcheck --all --heapallindexed --jobs=2 --progress 2>&1); then
    relations=$(tr '\r' '\n' <<< "$output" | sed -n 's|^ *\([0-9]*\)/\1 relations.*|\1|p' | tail -n 1)
    proof "pg_amcheck --all --heapallindexed finds nothing wrong in ${relations:-0} relations" \
      [ "${relations:-0}" -gt 0 ]
  else
    tail -n 20 <<< "$output"
    proof 'pg_amcheck --all --heapallindexed finds nothing wrong' false
  fi

  sums=$(in_copy psql -XAtq -d bank -c "SELECT (SELECT sum(abalance) FROM pgbench_accounts),
    (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches),
    (SELECT sum(delta) FROM pgbench_history)")
  rows=$(in_copy psql -XAtq -d bank -c 'SELECT count(*) FROM pgbench_history')
  say "the copy has $rows of $history_rows transactions: those up to the end of the backup"
  say "sums of accounts, tellers, branches, history: ${sums//|/, }"
  proof 'every balance is the sum of the transactions that are there' \
    awk -F'|' -v sums="$sums" 'BEGIN { split(sums, s); exit !(s[1] != "" && s[1] == s[2] &&
                                       s[1] == s[3] && s[1] == s[4]) }'
  proof 'none is there that the server does not know' [ "$rows" -gt 0 -a "$rows" -le "$history_rows" ]

  here=$(dump_digest as_postgres)
  there=$(dump_digest in_copy)
  say "SHA-256 of a dump of library here:  ${here%% *}"
  say "SHA-256 of a dump of library there: ${there%% *}"
  proof 'what did not change is equal to the byte' [ "$here" = "$there" ]
  proof 'the unlogged table is there and empty, as after a crash' [ "$(in_copy psql -XAtq -d library \
    -c 'SELECT count(*) FROM page_cache')" = 0 ]
}

put_away() {
  heading 'Stopping and removing'
  as_postgres pg_ctl -D "$stage_directory" -m fast -w stop > /dev/null
  run_sql "SELECT backup_discard_stage('$stage_id')"
  proof 'nothing of the stage is left' as_postgres test ! -e "$stage_directory"
  as_postgres pg_ctl -D data -m fast -w stop > /dev/null
  say "the cluster is stopped; $SCRATCH is removed"
}

packages
began_all=$(now_ms)
build
scratch_begin "$pg_config"
check_space
make_cluster
back_up
stage
start_copy
compare
put_away

printf '\n%d of %d proofs, %s\n' $((proofs - failed_proofs)) "$proofs" "$(since "$began_all")"
((failed_proofs == 0))
