#!/usr/bin/env bash
# Compares every C++ file with .clang-format: one line "ok" or "not ok" a file.
#
#   scripts/check_format.sh [--fix]      --fix rewrites them instead
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t files < <(find src test -name '*.h' -o -name '*.cpp' | LC_ALL=C sort)
if [[ ${1:-} == --fix ]]; then
  exec clang-format-14 -i "${files[@]}"
fi

lines=$(printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" sh -c '
  if complaint=$(clang-format-14 --dry-run -Werror "$1" 2>&1); then
    echo "ok - $1"
  else
    echo "not ok - $1: $(printf "%s\n" "$complaint" | head -n 1)"
  fi' sh | LC_ALL=C sort)
echo "$lines"
! grep -q '^not ok' <<< "$lines"
