#!/usr/bin/env bash
# The promise: no server changes alone. What cannot be replicated is refused, and what somebody has committed
# behind a node's back is noticed.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql

promise() {
  local server=$1
  shift
  say "$server: starting three servers and nodes"
  start_sandbox $port --nodes 3 "$@" >/dev/null
  drive $port refused
  drive $port fatal "$BOX" "${SANDBOX[@]}"
  stop_sandbox
  start_sandbox $port --nodes 1 --backdoor-commits reported "$@" >/dev/null
  drive $port reported "$BOX" "${SANDBOX[@]}"
  stop_sandbox
}
on_both_servers
say "behind: passed"
