#!/usr/bin/env bash
# The promise: what a node captures of a transaction before it commits is what the server's own tool shows
# of it in the binlog, byte for byte, for every kind of write.
. "$(dirname "$0")/../lib.sh"
build
(cd "$ROOT" && cargo build --locked --quiet --examples)
install mariadb-server mariadb-client python3-pymysql

promise() {
  local server=$1 binlog=mariadb-binlog node id left
  [ "$server" = MariaDB ] || binlog=$MYSQLBINLOG
  shift
  say "$server: starting a server"
  start_sandbox $port --nodes 1 --backdoor-commits reported "$@" >/dev/null

  say "$server: a node that died: what it had prepared is rolled back at its next start, and nobody else's"
  node=$(cat "$BOX/node1/trireme.pid")
  kill -9 "$node"
  eventually 10 ended "$node" || fail "the node survived kill -9"
  rm "$BOX/node1/trireme.pid"
  sql $((port + 301)) "CREATE DATABASE d; CREATE TABLE d.t (a INT PRIMARY KEY)"
  for id in trireme-00000000000000ab-1-2f mine; do
    sql $((port + 301)) "XA START '$id'; INSERT INTO d.t VALUES (LENGTH('$id')); XA END '$id'; XA PREPARE '$id'"
  done
  start_sandbox $port --nodes 1 --backdoor-commits reported "$@" >/dev/null
  left=$(sql $((port + 301)) "XA RECOVER" | cut -f4)
  [ "$left" = mine ] || fail "prepared transactions after the start: $left"
  sql $((port + 301)) "XA ROLLBACK 'mine'"

  say "$server: comparing"
  /usr/bin/python3 "$(dirname "$0")/drive.py" $((port + 1)) $((port + 301)) "$BOX/node1/data" \
    "$(dirname "$TRIREME")/examples/capture" $binlog
  stop_sandbox
}
on_both_servers
say "capture: passed"
