#!/usr/bin/env bash
# A Debian sid in a directory, for the PostgreSQL that Debian 12 does not have (18).
#
#   scripts/sid_chroot.sh prepare              makes or refreshes it; status 75: no mirror in reach
#   scripts/sid_chroot.sh check RESULTS        runs scripts/check_server.sh of this tree inside
#   scripts/sid_chroot.sh bench SCRIPT         runs test/bench/SCRIPT of this tree inside
#   scripts/sid_chroot.sh run COMMAND...       runs a command inside
#
# Needs root. It is kept in $BACKUP_EXT_CACHE (/var/cache/backup_ext) and brought up to date when
# older than $BACKUP_EXT_SID_DAYS (7). What runs inside has its own mounts, processes and shared
# memory, which the kernel takes down with it: nothing to undo, even after kill -9.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cache=${BACKUP_EXT_CACHE:-/var/cache/backup_ext}
root=$cache/sid
ready=$root/.backup_ext_ready
mirror=${BACKUP_EXT_MIRROR:-http://deb.debian.org/debian}
days=${BACKUP_EXT_SID_DAYS:-7}
no_network=75

packages=(g++ cmake make libzstd-dev libxxhash-dev libssl-dev nlohmann-json3-dev libcli11-dev
          libfmt-dev postgresql-18 postgresql-server-dev-18 postgresql-18-cron pgbackrest libipc-run-perl perl python3 groff-base
          strace zsh fish)

inside() {
  unshare --mount --pid --ipc --fork --kill-child bash -c '
    set -euo pipefail
    root=$1; shift
    mount -t proc proc "$root/proc"
    mkdir -p "$root/dev/shm"
    mount -t tmpfs tmpfs "$root/dev/shm"
    # For pseudo terminals; a machine that does not let us has none.
    mkdir -p "$root/dev/pts"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts" 2>/dev/null &&
      ln -sf pts/ptmx "$root/dev/ptmx" || true
    exec chroot "$root" env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
      PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"' bash "$root" "$@"
}

# A mirror that lags a week behind still serves signed packages, all that is needed here.
apt() {
  inside apt-get -qq -y -o Acquire::Check-Valid-Until=false -o Dpkg::Use-Pty=0 "$@" </dev/null
}

mirror_in_reach() {
  wget -q -T 20 -t 2 -O /dev/null "$mirror/dists/sid/Release"
}

install_packages() {
  printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"
  mkdir -p "$root/etc/postgresql-common/createcluster.d"
  echo 'create_main_cluster = false' > "$root/etc/postgresql-common/createcluster.d/none.conf"
  cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
  apt update && apt --no-install-recommends install "${packages[@]}" && apt dist-upgrade &&
    apt clean && inside test -x /usr/lib/postgresql/18/bin/postgres && echo "${packages[*]}" > "$ready"
}

prepare() {
  mkdir -p "$cache"
  exec 9> "$cache/sid.lock"
  flock 9
  local complete=no
  if [[ -e $ready && $(< "$ready") == "${packages[*]}" ]]; then complete=yes; fi
  if [[ $complete == yes && -z $(find "$ready" -mtime "+$((days - 1))") ]]; then
    return 0
  fi
  if ! mirror_in_reach; then
    if [[ $complete == yes ]]; then
      echo "could not reach $mirror: using the sid of $(date -r "$ready" +%F)"
      return 0
    fi
    echo "could not reach $mirror"
    return $no_network
  fi
  if [[ ! -e $ready ]]; then
    echo "making a Debian sid in $root"
    rm -rf --one-file-system "$root"
    debootstrap --variant=minbase sid "$root" "$mirror" </dev/null
  fi
  install_packages || { echo "could not install the packages of sid"; return 1; }
}

# A fresh copy and a fresh build each time: nothing of an earlier run can make this one pass. The
# lock is held until this process ends.
copy_tree() {
  local place=$1
  exec 9> "$cache/sid.lock"
  flock 9
  rm -rf --one-file-system "${root:?}$place"
  mkdir -p "$root$place/tree" "$root$place/results"
  tar -cf - --exclude=./build --exclude=./.git --exclude='*.so' . | tar -xf - -C "$root$place/tree"
  chown -R root: "$root$place"
}

check() {
  local results=$1 place=/srv/backup_ext status=0
  copy_tree "$place"
  inside bash "$place/tree/scripts/check_server.sh" /usr/lib/postgresql/18/bin/pg_config \
    "$place/results" build regress tap || status=1
  cp "$root$place/results/"* "$results/"
  rm -rf --one-file-system "${root:?}$place"
  return $status
}

bench() {
  local script=$1 place=/srv/backup_ext_bench status=0
  copy_tree "$place"
  inside env PG_CONFIG=/usr/lib/postgresql/18/bin/pg_config BENCH_RUNS="${BENCH_RUNS:-5}" \
    "$place/tree/test/bench/$script" || status=1
  rm -rf --one-file-system "${root:?}$place"
  return $status
}

case ${1:-} in
  prepare) prepare ;;
  check) check "$(realpath "$2")" ;;
  bench) bench "$2" ;;
  run) shift; inside "$@" ;;
  *) echo "usage: $0 prepare | check RESULTS | bench SCRIPT | run COMMAND..." >&2; exit 2 ;;
esac
