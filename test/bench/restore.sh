#!/usr/bin/env bash
# `make bench`: restores, ours against pgBackRest, everything fsynced by both: into an empty directory,
# and onto one that is almost right (--delta). Then ours alone: the tenth incremental backup against the
# full one, and a verify against two processes of `zstd -d` over the same data.
#
#   BENCH_RUNS=5           rounds; in each, everything runs once, in turn
#   BENCH_SCALE=130        of pgbench (15 MB each), plus BENCH_VARIED=1 times 380 MB of other data
#
# As root or with sudo, on Debian 12. Needs about six times the data in TMPDIR. Everybody gets two
# threads or processes. Ratios are medians of the ratios within a round.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source test/bench/peers.sh
pg_config=/usr/lib/postgresql/15/bin/pg_config
runs=${BENCH_RUNS:-5}
scale=${BENCH_SCALE:-130}
varied=${BENCH_VARIED:-1}
kinds=(ours pgbackrest ours_delta pgbackrest_delta ours_tenth ours_verify zstd)

prepare() {
  scripts/install_dependencies.sh bench
  bench_cluster "$pg_config" < /dev/null
  bench_data "$scale" "$varied"
  full=$(query "SELECT backup_now(kind => 'full')")
  pgbackrest_main --type=full backup
  # What zstd alone would have to read: the same files, in two halves.
  as_postgres sh -c 'find data/base archive -type f -exec cat {} + | zstd -q -1 -T2 > all.zst
    half=$(($(zstd -dcq all.zst | wc -c) / 2))
    zstd -dcq all.zst | head -c "$half" | zstd -q -1 > half.1.zst
    zstd -dcq all.zst | tail -c "+$((half + 1))" | zstd -q -1 > half.2.zst
    rm all.zst'
  incrementals
}

# Ten, each after 1 % of the accounts' pages changed.
incrementals() {
  local number
  for ((number = 1; number <= 10; number++)); do
    query "UPDATE pgbench_accounts SET abalance = abalance + 1
      WHERE aid IN (SELECT (1 + random() * ($scale * 100000 - 1))::int
        FROM generate_series(1, $scale * 17))" -d bank
    tenth=$(query "SELECT backup_now(kind => 'incremental')")
  done
}

# restore_ours BACKUP DIRECTORY
restore_ours() {
  query "SET client_min_messages = warning; SELECT backup_stage_restore('$1', directory => '$SCRATCH/$2', safety_backup => false)" > /dev/null
}
restore_pgbackrest() {
  pgbackrest_main --pg1-path="$SCRATCH/peer" --tablespace-map-all="$SCRATCH/peer.tablespaces" \
    --type=immediate "$@" restore
}
run_ours() { restore_ours "$full" staged; }
run_pgbackrest() { restore_pgbackrest; }
run_ours_delta() { restore_ours "$full" staged; }
run_pgbackrest_delta() { restore_pgbackrest --delta; }
run_ours_tenth() { restore_ours "$tenth" tenth; }
run_ours_verify() { query "SELECT count(*) FROM backup_verify('$full')" > /dev/null; }
run_zstd() {
  as_postgres sh -c 'zstd -dcq half.1.zst > /dev/null & zstd -dcq half.2.zst > /dev/null; wait'
}

# Almost right: a hundred wrong pages in each of the three largest files, and one file lost.
spoil() {
  as_postgres sh -c "cd $1/base && find . -type f -size +1M -printf '%s %p\n' | sort -rn | head -n 3 |
    while read -r size file; do
      for i in \$(seq 100); do
        dd if=/dev/urandom of=\"\$file\" bs=8192 seek=\$((size / 8192 * i / 101)) count=1 conv=notrunc status=none
      done
    done
    rm -f \"\$(find . -type f -size +64k -size -512k | sort | head -n 1)\""
}

# What a round left. Nothing is deleted: ext4 looks long for free inodes when many were freed in the last
# minutes, and whoever restores next would pay for it.
retire() {
  local name
  as_postgres mkdir -p retired
  for name in "$@"; do
    as_postgres sh -c "[ ! -e $name ] || { mv $name retired/$name.$retired; find retired/$name.$retired -type f \
      -size +0 -exec truncate -s 0 {} +; }"
  done
  retired=$((retired + 1))
}
retired=0

# Outside of any measured time.
before() {
  case $1 in
    ours) retire staged staged.tablespaces ;;
    ours_tenth) retire tenth tenth.tablespaces ;;
    pgbackrest) retire peer peer.tablespaces && as_postgres mkdir -m 700 peer ;;
    ours_delta) spoil staged ;;
    pgbackrest_delta) spoil peer ;;
  esac
  sync
  # The repositories are read warm.
  as_postgres find ours pgbackrest half.1.zst half.2.zst -type f -exec cat {} + > /dev/null
}

rounds() {
  local round kind began milliseconds line
  printf '%-8s' round
  printf '%18s' "${kinds[@]}"
  echo
  for ((round = 1; round <= runs; round++)); do
    line=$(printf '%-8s' "$round")
    for kind in "${kinds[@]}"; do
      before "$kind"
      began=$(now_ms)
      "run_$kind"
      milliseconds=$(($(now_ms) - began))
      echo "$milliseconds" >> "$measurements/$kind.ms"
      line+=$(printf '%16.2f s' "$(awk -v ms="$milliseconds" 'BEGIN { print ms / 1000 }')")
    done
    echo "$line"
  done
}

# ratio KIND OTHER GOAL
ratio() {
  printf '%-16s / %-18s %.2f   (goal: at most %s)\n' "$1" "$2" \
    "$(paste "$measurements/$1.ms" "$measurements/$2.ms" | awk '{ print $1 / $2 }' | median)" "$3"
}

summary() {
  local bytes
  bytes=$(query 'SELECT sum(pg_database_size(oid)) FROM pg_database')
  printf '\n%s of data, %d rounds, %d cores\n' "$(as_bytes "$bytes")" "$runs" "$(nproc)"
  ratio ours pgbackrest 0.5
  ratio ours_delta pgbackrest_delta 0.5
  ratio ours_tenth ours "$1"
  ratio ours_verify zstd "$2"
}

measurements=build/bench-restore
rm -rf "$measurements"
mkdir -p "$measurements"
prepare
rounds
summary 1.2 1.0
