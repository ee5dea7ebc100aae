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

status=0
for file in "${files[@]}"; do
  if complaint=$(clang-format-14 --dry-run -Werror "$file" 2>&1); then
    echo "ok - $file"
  else
    echo "not ok - $file: $(head -n 1 <<< "$complaint")"
    status=1
  fi
done
exit $status
