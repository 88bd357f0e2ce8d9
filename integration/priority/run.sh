#!/usr/bin/env bash
# The promise: no client of a node keeps what the others have committed from it, whatever locks it holds,
# and who loses a transaction to it is told so.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql

promise() {
  say "$1: starting three servers and nodes"
  TRIREME_LOG=info,trireme::replicator=debug start_sandbox $port --nodes 3 "${@:2}" >/dev/null
  drive $port holders
  drive $port hammers 10
  drive $port replays 20
  yields=$(grep -c "yields to the applier" "$BOX/node1/trireme.log") || fail "none was replayed"
  say "$yields of them were replayed"
  drive $port bank ${BANK_SECONDS:-6}
  stop_sandbox
}
on_both_servers
say "priority: passed"
