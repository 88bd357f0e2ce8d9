#!/usr/bin/env bash
# Promise: with isolation = "snapshot" the first committer wins over whole transactions, and no update is lost.
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
}
on_both_servers
say "isolation: passed"
