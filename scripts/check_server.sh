#!/usr/bin/env bash
# The part of the gate that needs a server: builds, installs, and runs pg_regress and the TAP tests.
#
#   scripts/check_server.sh PG_CONFIG RESULTS build|regress|tap|root|soak...
#
# soak is the random test of backups alone, for BACKUP_EXT_SECONDS, from BACKUP_EXT_SEED.
# Each step writes RESULTS/<step>.log and RESULTS/<step>.counts ("passed failed [skipped]"). The same script
# runs on the host and in the chroot of sid. The first argument chooses the server.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/scratch_cluster.sh

pg_config=$1
results=$2
shift 2
pgxs_root=$(realpath "$(dirname "$("$pg_config" --pgxs)")/../..")

# The checkout may lie where user postgres cannot look: the tests run in a copy.
copy_for_postgres() {
  tar -cf - --exclude=./build --exclude=./.git --exclude='*.so' . |
    as_postgres sh -c 'mkdir tree && tar -xf - -C tree'
}

build() {
  make -j"$(nproc)" PG_CONFIG="$pg_config" all || return
  as_root make PG_CONFIG="$pg_config" install || return
  make -C test/border PG_CONFIG="$pg_config" all || return
  as_root make -C test/border PG_CONFIG="$pg_config" install || return
  echo '1 0' > "$results/build.counts"
}

regress() {
  local status=0
  scratch_begin "$pg_config"
  copy_for_postgres
  scratch_init <<'CONF'
shared_preload_libraries = 'backup_ext'
fsync = off
CONF
  scratch_start
  as_postgres make -C tree PG_CONFIG="$pg_config" EXTRA_REGRESS_OPTS=--outputdir=.. installcheck \
    2>&1 | tee "$results/regress.out" || status=1
  # "test name ... ok  12 ms" until 15, "ok 1  - name  12 ms" from 16 on.
  awk '/^ok |^test .*\.\.\. ok/ { passed++ }
       /^not ok |^test .*FAILED/ { failed++ }
       END { print passed + 0, failed + 0 }' "$results/regress.out" > "$results/regress.counts"
  if ((status)); then
    cat "$SCRATCH/regression.diffs" 2>/dev/null || true
    tail -n 40 "$SCRATCH/server.log" || true
  fi
  return $status
}

# The TAP tests run as postgres; these are what root does.
root() {
  local status=0
  test/root/program_as_root.sh "$pg_config" | tee "$results/root.out" || status=1
  echo "$(grep -c '^ok ' "$results/root.out") $(grep -c '^not ok ' "$results/root.out")" > "$results/root.counts"
  return $status
}

tap() { run_tap_tests test/t/*.pl; }

soak() {
  run_tap_tests test/t/060_incremental_property.pl "BACKUP_EXT_SECONDS=${BACKUP_EXT_SECONDS:-3600}" \
    "BACKUP_EXT_SEED=${BACKUP_EXT_SEED:-$(date +%s)}"
}

# Files of tests, then settings NAME=VALUE of their environment.
run_tap_tests() {
  local status=0 argument files=() environment=()
  for argument in "$@"; do
    if [[ $argument == *=* ]]; then environment+=("$argument"); else files+=("$argument"); fi
  done
  scratch_begin "$pg_config"
  copy_for_postgres
  # Utils.pm of 15 reads TESTDIR, later ones the other two.
  as_postgres mkdir test_run test_run/log small_fs
  # For the tests of a full disk. scratch_end() unmounts it.
  as_root mount -t tmpfs -o "size=24m,mode=700,uid=$(id -u postgres)" tmpfs "$SCRATCH/small_fs"
  # Most of the time of a test is waiting: two at once for each core.
  as_postgres env PERL5LIB="$pgxs_root/src/test/perl:$SCRATCH/tree/test/perl" \
    PG_REGRESS="$pgxs_root/src/test/regress/pg_regress" TESTDIR="$SCRATCH/test_run" \
    TESTLOGDIR="$SCRATCH/test_run/log" TESTDATADIR="$SCRATCH/test_run" \
    BACKUP_EXT_SMALL_FS="$SCRATCH/small_fs" "${environment[@]}" \
    sh -c 'cd tree && exec perl scripts/run_tap.pl "$((2 * $(nproc)))" ../counts "$@"' sh "${files[@]}" || status=1
  [[ ! -f $SCRATCH/counts ]] || cat "$SCRATCH/counts" > "$results/$step.counts"
  if ((status)); then
    show_logs_of_failed_tests
  fi
  return $status
}

show_logs_of_failed_tests() {
  local log
  as_root find "$SCRATCH/test_run" -name 'regress_log_*' | LC_ALL=C sort | while read -r log; do
    as_root grep -qE '^not ok|Tests were run but no plan|Looks like|Bailing out|[Dd]ied|timed out' \
      "$log" || continue
    echo "--- $(basename "$log")"
    as_root tail -n 40 "$log"
  done
  as_root find "$SCRATCH/test_run" -name '*.log' | LC_ALL=C sort | while read -r log; do
    as_root grep -hE 'PANIC|FATAL:  |terminated by signal|Sanitizer' "$log" |
      sed "s|^|$(basename "$log"): |" | tail -n 10
  done
}

# A sub-shell a step: each has its own scratch directory, and its own end. Not "if ( ... )", which
# would switch set -e off inside.
status=0
for step in "$@"; do
  set +e
  (set -e; "$step") > "$results/$step.log" 2>&1 </dev/null
  step_status=$?
  set -e
  # To end badly is a failure even where nothing was counted, and so is to have tested nothing.
  passed=0 failed=0 skipped=0
  [[ ! -s $results/$step.counts ]] || read -r passed failed skipped < "$results/$step.counts"
  if ((failed == 0 && (step_status != 0 || passed == 0))); then
    step_status=1
    echo "$passed 1 ${skipped:-0}" > "$results/$step.counts"
  fi
  if ((step_status != 0)); then
    status=1
    # What is installed now is not what was to be tested.
    [[ $step != build ]] || break
  fi
done
exit $status
