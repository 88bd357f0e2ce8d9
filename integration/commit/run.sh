#!/usr/bin/env bash
# The promise: what commits on one of three nodes is on all of them, and of two transactions that conflict
# the first to commit wins.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql

promise() {
  local server=$1 node
  shift
  say "$server: starting three servers and nodes"
  start_sandbox $port --nodes 3 "$@" >/dev/null
  drive $port kinds
  drive $port conflicts 300
  drive $port equal_values
  drive $port column_types
  drive $port auto_increment

  say "$server: a node that was killed has what the others committed meanwhile when it is back"
  node=$(cat "$BOX/node3/trireme.pid")
  drive $port write 1 2 3
  kill -9 "$node"
  rm "$BOX/node3/trireme.pid"
  drive $port write 1 2
  start_sandbox $port --nodes 3 "$@" >/dev/null
  drive $port write 3
  drive $port checksums
  stop_sandbox
}
on_both_servers
say "commit: passed"
