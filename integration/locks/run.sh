#!/usr/bin/env bash
# Promise: a lock with a name (GET_LOCK) holds across the cluster, and goes with its session, its server and its node; LOCK TABLES keeps out who
# locks the same tables, and reads what does not change.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql

promise() {
  say "$1: starting three servers and nodes"
  start_sandbox $port --nodes 3 "${@:2}" >/dev/null
  for part in functions exact waiting endings prepared refused migration crowd tables read_tables table_crowd; do drive $port $part; done
  for part in lost_node paused_node; do drive $port $part "$BOX" "${SANDBOX[@]}"; done
  stop_sandbox
}
on_both_servers
say "locks: passed"
