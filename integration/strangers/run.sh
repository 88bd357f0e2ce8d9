#!/usr/bin/env bash
# The promise: whatever comes in on a node's ports, the node goes on, its clients notice nothing, and it needs no more
# memory than it has for those who belong there. SEED=N sends the same again.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql

promise() {
  say "$1: starting three servers and nodes"
  # What many systems give a process that may have more.
  (ulimit -Sn 1024 && start_sandbox $port --nodes 3 "${@:2}" >/dev/null)
  awk '/Max open files/ { exit $4 != $5 }' "/proc/$(cat "$BOX/node1/trireme.pid")/limits" ||
    fail "a node has fewer open files than it may have"
  drive $port "$BOX" ${SEED:-}
  if grep -E 'panicked' "$BOX"/node*/trireme.log; then fail "a node has panicked"; fi
  stop_sandbox
}
on_both_servers
say "strangers: passed"
