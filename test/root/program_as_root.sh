#!/usr/bin/env bash
# What root may do with the program `backup_ext`: `test/root/program_as_root.sh PG_CONFIG`, as root or
# with sudo; the extension is installed. Prints "ok" or "not ok" for each fact, and fails with the latter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/scratch_cluster.sh
program=$("$1" --bindir)/backup_ext
failed=0

# is FACT COMMAND...
is() {
  local fact=$1
  shift
  if "$@" > "$SCRATCH_OUT" 2>&1; then
    echo "ok - $fact"
  else
    echo "not ok - $fact"
    sed 's/^/#   /' "$SCRATCH_OUT"
    failed=1
  fi
}
as_root_program() { as_root "$program" "$@"; }
fails_with() { # PATTERN COMMAND...
  local pattern=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "$output"
    return 1
  fi
  echo "$output"
  [[ $output =~ $pattern ]]
}
nothing_of_root() { # DIRECTORY
  local found
  found=$(as_root find "$1" -user root) && [[ -z $found ]] || { echo "$found"; return 1; }
}

scratch_begin "$1"
SCRATCH_OUT=$(mktemp)
scratch_init <<CONF
shared_preload_libraries = 'backup_ext'
backup_ext.enabled = off
backup_ext.repository = '$SCRATCH/repository'
backup_ext.media_directories = '$SCRATCH/media'
CONF
# A file of another user that the server may read.
as_postgres mkdir media
as_root sh -c "echo owned > '$SCRATCH/media/file' && chown 12345:23456 '$SCRATCH/media/file' && chmod 644 '$SCRATCH/media/file'"
scratch_start
query 'CREATE EXTENSION backup_ext'
query 'CREATE TABLE t AS SELECT generate_series(1, 1000) AS i'
query 'SELECT backup_now(include_media => true)' > /dev/null
query "SELECT backup_stage_restore('latest', safety_backup => false)" > /dev/null 2>&1
stage=$(query 'SELECT directory FROM backup_staged()')
as_postgres pg_ctl -D data -m fast -w stop > /dev/null

echo secret | as_root tee "$SCRATCH/secret" > /dev/null
as_root chmod 600 "$SCRATCH/secret"
configuration=$stage/backup_ext_stage/postgresql.auto.conf
as_postgres mv "$configuration" "$configuration.kept"
as_postgres ln -s "$SCRATCH/secret" "$configuration"
is 'a link in a stage leads root nowhere' \
  fails_with 'Permission denied' as_root_program activate "$stage" --pgdata "$SCRATCH/data"
is 'and what it leads to is nowhere' fails_with '^$' as_root grep -rlx secret "$SCRATCH/data" "$stage/postgresql.auto.conf"
as_postgres mv -f "$configuration.kept" "$configuration"

is 'root activates a stage' as_root_program activate "$stage" --pgdata "$SCRATCH/data"
is 'what it wrote belongs to the server' nothing_of_root "$SCRATCH/data"
scratch_start
for ((tries = 0; tries < 600; tries++)); do # its recovery lets nobody in
  query 'SELECT 1' > /dev/null 2>&1 && break
  sleep 0.1
done
is 'the server has its rows' test "$(query 'SELECT sum(i) FROM t')" = 500500
as_postgres pg_ctl -D data -m fast -w stop > /dev/null
is 'root undoes it' as_root_program undo --pgdata "$SCRATCH/data"
is 'what that wrote belongs to the server too' nothing_of_root "$SCRATCH/data"

# A parent that the server's user may write to: root works as that user.
is 'root restores with media' as_root_program --repository "$SCRATCH/repository" restore latest "$SCRATCH/restored"
is 'the copy belongs to the server' nothing_of_root "$SCRATCH/restored"
is 'a media file belongs to its owner again' \
  test "$(as_root stat -c %u:%g:%a "$SCRATCH/restored.media/1/file")" = 12345:23456:644
as_root "$program" --repository "$SCRATCH/repository" verify latest > /dev/null 2>&1 || true
is 'nothing of root is in the repository' nothing_of_root "$SCRATCH/repository"
rm -f "$SCRATCH_OUT"
exit $failed
