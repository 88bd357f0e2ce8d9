#!/usr/bin/env bash
# The promise: without a majority clients are told so at once, and go on when it is back.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql

promise() {
  say "$1: starting three servers and nodes"
  start_sandbox $port --nodes 3 "${@:2}" >/dev/null
  drive $port two_killed "$BOX" "${SANDBOX[@]}"
  drive $port reads "$BOX" "${SANDBOX[@]}"
  drive $port stalled "$BOX"
  stop_sandbox
}
on_both_servers
say "minority: passed"
