#!/usr/bin/env bash
# Installs the Debian 12 packages that building, testing and showing backup_ext need.
#
#   scripts/install_dependencies.sh [build] [check] [demo] [bench]       (no word: build)
#
# Quick and silent when nothing is missing, and then needs neither root nor a network. It never
# makes, starts or stops a PostgreSQL cluster: what would do so is switched off while apt runs.
set -euo pipefail

build_packages=(g++ cmake make git libzstd-dev libxxhash-dev libssl-dev nlohmann-json3-dev
                libcli11-dev libfmt-dev postgresql-server-dev-15)
# postgresql-15 holds pgbench, pg_amcheck and amcheck too.
demo_packages=("${build_packages[@]}" postgresql-15 util-linux)
check_packages=("${demo_packages[@]}" libgtest-dev libgmock-dev clang-14 libclang-rt-14-dev
                clang-format-14
                postgresql-15-cron groff-base libipc-run-perl perl python3 debootstrap wget
                strace zsh fish)
bench_packages=("${demo_packages[@]}" pgbackrest)

packages=()
for group in "${@:-build}"; do
  case $group in
    build) packages+=("${build_packages[@]}") ;;
    check) packages+=("${check_packages[@]}") ;;
    demo) packages+=("${demo_packages[@]}") ;;
    bench) packages+=("${bench_packages[@]}") ;;
    *) echo "usage: $0 [build] [check] [demo] [bench]" >&2; exit 2 ;;
  esac
done

missing=()
for package in $(printf '%s\n' "${packages[@]}" | sort -u); do
  status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
  [[ $status == ii* || $status == hi* ]] || missing+=("$package")
done
((${#missing[@]} > 0)) || exit 0

echo "installing ${#missing[@]} missing packages: ${missing[*]}"
if [[ $(id -u) != 0 ]]; then
  command -v sudo >/dev/null || { echo "$0: installing packages needs root, or sudo" >&2; exit 1; }
  exec sudo "${BASH_SOURCE[0]}" "$@"
fi

# Debian's scripts make and start a cluster named main with the first server package. Both switches
# are files of ours, taken away again however this ends; a policy that is already there stays.
policy=/usr/sbin/policy-rc.d
no_cluster=/etc/postgresql-common/createcluster.d/backup_ext_gate.conf
own_policy=no
undo() {
  [[ $own_policy == no ]] || rm -f "$policy"
  rm -f "$no_cluster"
  rmdir --ignore-fail-on-non-empty "$(dirname "$no_cluster")" 2>/dev/null || true
}
trap undo EXIT
trap 'exit 130' INT TERM
if [[ ! -e $policy ]]; then
  own_policy=yes
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi
mkdir -p "$(dirname "$no_cluster")"
echo 'create_main_cluster = false' > "$no_cluster"

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
log=$(mktemp)
# An update that fails is no reason to stop: what is known already may do.
"${apt[@]}" update >"$log" 2>&1 || sed 's/^/  /' "$log" >&2
if ! "${apt[@]}" -y --no-install-recommends install "${missing[@]}" >"$log" 2>&1 </dev/null; then
  cat "$log" >&2
  echo "$0: could not install packages; on Debian 12 with a network this should work" >&2
  rm -f "$log"
  exit 1
fi
rm -f "$log"
