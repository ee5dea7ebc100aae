#!/usr/bin/env bash
# `make bench`: very many small media files: a full and an incremental backup, and a restore by the
# program, each with its peak memory.
#
#   BENCH_FILES=1000000            of 0 to 4 kB, a thousand a directory
#   BENCH_LOOKS=3                  incremental backups after 1 % of the files changed
#
# As root or with sudo, on Debian 12. There is no peer: none of them takes media.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source test/bench/peers.sh
pg_config=${PG_CONFIG:-/usr/lib/postgresql/15/bin/pg_config}
files=${BENCH_FILES:-1000000}
looks=${BENCH_LOOKS:-3}

prepare() {
  bench_cluster "$pg_config" < /dev/null
  as_postgres mkdir media
  query "ALTER SYSTEM SET backup_ext.media_directories = '$SCRATCH/media'"
  query 'SELECT pg_reload_conf()' > /dev/null
  echo "making $files media files"
  as_postgres python3 - "$files" <<'PYTHON'
import os, random, sys
random.seed(1)
for number in range(int(sys.argv[1])):
    directory = "media/%d" % (number // 1000)
    if number % 1000 == 0:
        os.makedirs(directory)
    with open("%s/%d" % (directory, number), "wb") as file:
        file.write(random.randbytes(random.randrange(4096)))
PYTHON
  sync
  sleep 15 # so that nothing was changed just before it is read
}

change() {
  as_postgres sh -c 'find media -type f -name "*7$1" -exec sh -c "for f; do echo changed > \$f; done" sh {} +' sh "$1"
  sleep 12
}

# measure NAME COMMAND...: seconds, stored bytes and peak memory of our worker
measure() {
  local name=$1 began before
  shift
  before=$(stored_bytes ours)
  begin_watch
  began=$(now_ms)
  "$@" > /dev/null
  printf '%-28s %7.1f s' "$name" "$(awk -v ms=$(($(now_ms) - began)) 'BEGIN { print ms / 1000 }')"
  end_watch
  printf '   stored %6s   peak memory %s MB\n' "$(as_bytes $(($(stored_bytes ours) - before)))" \
    "$(peak_mb 1 "$measurements/memory.last")"
}

measurements=build/bench-many-media-files
rm -rf "$measurements"
mkdir -p "$measurements"
prepare
backup() { query "SELECT backup_now(kind => '$1', include_media => true)" -q 2>/dev/null; }
measure 'full' backup full
measure 'nothing changed' backup incremental
for ((look = 0; look < looks; look++)); do
  change "$look"
  measure '1 % changed' backup incremental
done
began=$(now_ms)
peak_of backup_ext --repository ours restore latest restored --jobs 2 > "$measurements/restore.memory"
printf '%-28s %7.1f s   %21s peak memory %d MB\n' 'restore by the program' \
  "$(awk -v ms=$(($(now_ms) - began)) 'BEGIN { print ms / 1000 }')" '' "$(< "$measurements/restore.memory")"
as_postgres sh -c 'diff -rq media restored.media/1 | head -n 5; find restored.media/1 -type f | wc -l' |
  sed 's/^/restored: /'
