#!/usr/bin/env bash
# The promise: under load a node is drained and takes clients again, and all nodes are stopped and started again, one after
# the other, and no transaction fails by that: connections end between transactions.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client haproxy python3-pymysql

promise() {
  local server=$1
  shift
  say "$server: orders to a node, and a rolling restart of three nodes behind HAProxy"
  start_sandbox $port --nodes 3 "$@" >/dev/null
  drive $port "${SANDBOX[@]}"
  stop_sandbox
}
on_both_servers
say "rolling: passed"
