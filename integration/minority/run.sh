#!/usr/bin/env bash
# The promise: without a majority clients are told so at once, and go on when it is back; with one that is slow they wait.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql gcc libc6-dev
cc -shared -fPIC -O -Wall -Werror -o "$SCRATCH/stall.so" "$(dirname "$0")/stall.c" -ldl

promise() {
  say "$1: starting three servers and nodes"
  LD_PRELOAD=$SCRATCH/stall.so DISK_STALLED=$SCRATCH/stalled start_sandbox $port --nodes 3 "${@:2}" >/dev/null
  drive $port stalled_disks "$SCRATCH/stalled"
  drive $port two_killed "$BOX" "${SANDBOX[@]}"
  drive $port reads "$BOX" "${SANDBOX[@]}"
  drive $port stalled "$BOX"
  stop_sandbox
}
on_both_servers
say "minority: passed"
