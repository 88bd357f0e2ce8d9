#!/usr/bin/env bash
# The promise: whatever is written, to tables of whatever kind, on three nodes at once, all servers have the same rows.
# BURSTS=200 is the long campaign; SEED=N gives the clients the same statements again.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql

promise() {
  local server=$1
  shift
  say "$server: bursts of random writes on three nodes"
  start_sandbox $port --nodes 3 "$@" >/dev/null
  drive $port "${BURSTS:-20}" ${SEED:-}
  stop_sandbox
}
on_both_servers
say "bursts: passed"
