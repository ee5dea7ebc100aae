#!/usr/bin/env bash
# The whole gate, section by section; the last line is "N passed, N failed" (", N skipped").
#
#   PG=15|18         only the part that needs that server
#   ONLY="a b"       only these sections: layers format build clang unit asan tsan
#                    server15 regress15 root15 tap15 server18
#   TMPDIR, BACKUP_EXT_CACHE (the sid of scripts/sid_chroot.sh)
#
# Runs as root, or as a user with sudo. Every section writes a log; that of one that fails is shown.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Neither the job server nor the variables of the make that called may reach the ones called here.
unset MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES
export LC_ALL=C.UTF-8

jobs=$(nproc)
logs=build/check-logs
passed=0 failed=0 skipped=0 failed_sections=()

wanted() {
  local name=$1
  if [[ -n ${ONLY:-} ]]; then [[ " $ONLY " == *" $name "* ]]; return; fi
  case ${PG:-} in
    '') true ;;
    15) [[ $name == *15 ]] ;;
    18) [[ $name == server18 ]] ;;
    *) echo "PG must be 15 or 18, not \"$PG\"" >&2; exit 2 ;;
  esac
}

# section NAME TITLE FUNCTION: the function's output is the log; it writes "passed failed [skipped]"
# into $logs/NAME.counts. To end badly is one failure, and so is to have tested nothing.
section() {
  local name=$1 title=$2 run=$3 status=0 began=$SECONDS p=0 f=0 s=0
  wanted "$name" || return 0
  printf '== %-10s %s\n' "$name" "$title"
  rm -f "$logs/$name".*
  (set -e; "$run") > "$logs/$name.log" 2>&1 </dev/null
  status=$?
  [[ ! -s $logs/$name.counts ]] || read -r p f s < "$logs/$name.counts"
  s=${s:-0}
  if ((status != 0 && f == 0)) || ((p + f + s == 0)); then f=$((f + 1)); fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  printf '   %d passed, %d failed' "$p" "$f"
  ((s == 0)) || printf ', %d skipped' "$s"
  printf ' (%d s)\n' $((SECONDS - began))
  grep -h '^SKIPPED' "$logs/$name.log" || true
  if ((f > 0)); then
    failed_sections+=("$name")
    echo "--- what failed, then the end of $logs/$name.log"
    grep -E '^not ok|FAILED|: (fatal )?error:|ERROR: |runtime error|WARNING: ThreadSan' \
      "$logs/$name.log" | head -n 40
    echo '---'
    tail -n 60 "$logs/$name.log"
    echo '---'
  fi
}

counts() { echo "$2" > "$logs/$1.counts"; }

# "ok" and "not ok" lines of a script.
count_lines() {
  awk '/^ok/ { passed++ } /^not ok/ { failed++ } END { print passed + 0, failed + 0 }' "$2" \
    > "$logs/$1.counts"
}

layers() {
  local status=0
  scripts/check_layers.pl --self-test > "$logs/layers.lines" || status=1
  if scripts/check_layers.pl > "$logs/layers.found"; then
    echo 'ok - the layer rule' >> "$logs/layers.lines"
  else
    echo 'not ok - the layer rule' >> "$logs/layers.lines"
    status=1
  fi
  cat "$logs/layers.lines" "$logs/layers.found"
  count_lines layers "$logs/layers.lines"
  return $status
}

format() {
  local status=0
  scripts/check_format.sh 2>&1 | tee "$logs/format.lines" || status=1
  count_lines format "$logs/format.lines"
  return $status
}

# build_with DIRECTORY OPTION...: configures and builds everything CMake knows. Test programs go
# first: one whose source is gone must not run again.
build_with() {
  local directory=$1
  shift
  [[ ! -d $directory ]] || find "$directory" -maxdepth 1 -type f -name 'test_*' -delete
  cmake -S . -B "$directory" -G 'Unix Makefiles' -DBACKUP_EXT_TESTS=ON "$@"
  cmake --build "$directory" --parallel "$jobs"
}

build() {
  build_with build/check-gcc -DCMAKE_CXX_COMPILER=g++ -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O2 -g1 -DNDEBUG'
  counts build '1 0'
}

# The second compiler's build is the one for ThreadSanitizer: one build less.
build_with_clang() {
  build_with build/check-clang -DCMAKE_CXX_COMPILER=clang++-14 -DBACKUP_EXT_SANITIZE=thread -DBACKUP_EXT_MERGE=ON \
    -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O1 -gline-tables-only'
}

clang() {
  build_with_clang
  make -j"$jobs" CXX=clang++-14 COPT=-fsyntax-only QUICK=1 server-objects
  counts clang '1 0'
}

# run_unit_tests NAME DIRECTORY [PREFIX...]: every test_* there, as many at once as there are cores.
run_unit_tests() {
  local name=$1 directory=$2 program output ran ok skip p=0 f=0 s=0
  shift 2
  local programs=()
  mapfile -t programs < <(find "$directory" -maxdepth 1 -type f -name 'test_*' -executable | sort)
  ((${#programs[@]} > 0)) || { echo 'no test program was built'; return 1; }
  printf '%s\n' "${programs[@]}" | xargs -P "$jobs" -I{} \
    sh -c 'program=$1; shift; "$@" "$program" --gtest_color=no > "$program.out" 2>&1
           echo "exit status $?" >> "$program.out"' sh {} timeout -k 10 900 "$@"
  for program in "${programs[@]}"; do
    output=$program.out
    ran=$(sed -n 's/^\[==========\] \([0-9]*\) tests\{0,1\} from .* ran\..*/\1/p' "$output")
    ok=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests\{0,1\}\..*/\1/p' "$output")
    skip=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) tests\{0,1\}, .*/\1/p' "$output")
    p=$((p + ${ok:-0})) s=$((s + ${skip:-0}))
    sed -n "s/^\[  SKIPPED \] \(.*\) ([0-9]* ms)$/SKIPPED: $(basename "$program"): \1/p" "$output"
    if [[ $(tail -n 1 "$output") == 'exit status 0' ]]; then
      echo "ok - $(basename "$program"): ${ok:-0} of ${ran:-0} tests"
      ((${ran:-0} > 0)) || { echo "not ok - $program has no test"; f=$((f + 1)); }
    else
      # A crash ends the program before it can count.
      ((${ran:-0} > ${ok:-0} + ${skip:-0})) && f=$((f + ran - ${ok:-0} - ${skip:-0})) || f=$((f + 1))
      echo "not ok - $(basename "$program"): ${ok:-0} of ${ran:-0} tests"
      grep -vE '^\[ RUN      \]|^\[       OK \]|^\[-----' "$output" | tail -n 60
    fi
  done
  echo "$p $f $s" > "$logs/$name.counts"
  ((f == 0))
}

unit() { run_unit_tests unit build/check-gcc; }

asan() {
  build_with build/check-asan -DCMAKE_CXX_COMPILER=g++ -DBACKUP_EXT_SANITIZE=address,undefined -DBACKUP_EXT_MERGE=ON \
    -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O1 -g1'
  run_unit_tests asan build/check-asan env ASAN_OPTIONS=detect_stack_use_after_return=1 \
    UBSAN_OPTIONS=print_stacktrace=1
}

tsan() {
  # A kernel that spreads addresses widely leaves ThreadSanitizer no place for its shadow.
  local prefix=(setarch "$(uname -m)" -R)
  "${prefix[@]}" true || prefix=()
  "${prefix[@]}" true
  build_with_clang
  run_unit_tests tsan build/check-clang "${prefix[@]}" env TSAN_OPTIONS=halt_on_error=1
}

# server_step NAME STEP: one step of scripts/check_server.sh with Debian 12's PostgreSQL 15.
server_step() {
  local status=0
  mkdir -p "$logs/15"
  rm -f "$logs/15/$2".*
  if [[ $2 != build && " ${failed_sections[*]:-} " == *' server15 '* ]]; then
    echo 'not run: what is installed is not what was to be tested'
    return 1
  fi
  CORE_BUILD=build/check-gcc scripts/check_server.sh /usr/lib/postgresql/15/bin/pg_config \
    "$logs/15" "$2" || status=1
  cat "$logs/15/$2.log"
  [[ ! -f $logs/15/$2.counts ]] || cp "$logs/15/$2.counts" "$logs/$1.counts"
  return $status
}

server15() { server_step server15 build; }
regress15() { server_step regress15 regress; }
root15() { server_step root15 root; }
tap15() { server_step tap15 tap; }

server18() {
  local status=0 step root=()
  [[ $(id -u) == 0 ]] ||
    root=(sudo env "BACKUP_EXT_CACHE=${BACKUP_EXT_CACHE:-}" "BACKUP_EXT_MIRROR=${BACKUP_EXT_MIRROR:-}")
  "${root[@]}" scripts/sid_chroot.sh prepare || status=$?
  if ((status == 75)); then
    echo 'SKIPPED: PostgreSQL 18: no Debian sid is cached and no mirror is in reach'
    counts server18 '0 0 1'
    return 0
  fi
  ((status == 0)) || return $status
  rm -rf "$logs/18"
  mkdir -p "$logs/18"
  "${root[@]}" scripts/sid_chroot.sh check "$logs/18" || status=1
  for step in build regress tap; do
    echo "--- $step"
    cat "$logs/18/$step.log" || status=1
    # A step that was not counted did not run, or not to its end.
    [[ -s $logs/18/$step.counts ]] || echo '0 1' > "$logs/18/$step.counts"
  done
  cat "$logs/18/"*.counts | awk '{ p += $1; f += $2; s += $3 } END { print p, f, s }' > "$logs/server18.counts"
  return $status
}

mkdir -p "$logs"
echo '== packages'
if ! scripts/install_dependencies.sh check; then
  echo '0 passed, 1 failed'
  exit 1
fi

section layers 'which folder includes which, and that a planted violation is seen' layers
section format 'clang-format' format
section build 'core, program and unit tests with g++' build
section clang 'the same and the server part with clang++' clang
section unit 'unit tests' unit
section asan 'unit tests under AddressSanitizer and UndefinedBehaviorSanitizer' asan
section tsan 'unit tests under ThreadSanitizer (what clang++ built)' tsan
section server15 'PostgreSQL 15: build and install' server15
section regress15 'PostgreSQL 15: pg_regress (make installcheck)' regress15
section root15 'PostgreSQL 15: the program as root' root15
section tap15 'PostgreSQL 15: TAP tests on real clusters' tap15
section server18 'PostgreSQL 18 in a Debian sid: build, install, pg_regress, TAP tests' server18

echo "== ${SECONDS} s"
((${#failed_sections[@]} == 0)) || echo "failed: ${failed_sections[*]}"
if ((skipped > 0)); then
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
((failed == 0 && passed > 0))
