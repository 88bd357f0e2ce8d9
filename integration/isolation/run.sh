#!/usr/bin/env bash
# Promise: with isolation = "snapshot" the first committer wins over whole transactions, and no update is lost. With "server" it is the server's, at the level that a
# client has chosen; what ends a transaction there ends it here.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql

promise() {
  for isolation in snapshot server; do
    say "$1: starting three servers and nodes with isolation = \"$isolation\""
    start_sandbox $port --nodes 3 --isolation $isolation "${@:2}" >/dev/null
    for part in set_up schedules counters; do drive $port $part $isolation; done
    stop_sandbox
  done
  start_beside "$1" --server "${3:-mariadbd} --innodb-rollback-on-timeout=ON --log-bin-trust-function-creators=1"
  PYTHONPATH=$ROOT/integration PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$ROOT/integration/isolation/beside.py" $port $ALONE
  stop_beside
}
on_both_servers
say "isolation: passed"
