#!/usr/bin/env bash
# Promise: with wsrep_sync_wait a statement sees all that was committed before it, on whatever node.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql

promise() {
  say "$1: starting three servers and nodes"
  start_sandbox $port --nodes 3 "${@:2}" >/dev/null
  for part in set_up reads tables crowd settings positions prepared; do drive $port $part; done
  for i in 2 3; do kill -9 "$(cat "$BOX/node$i/trireme.pid")"; done
  drive $port alone
  stop_sandbox
}
on_both_servers
say "sync_wait: passed"
