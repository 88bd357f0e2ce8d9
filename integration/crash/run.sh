#!/usr/bin/env bash
# The promise: what a client was told is committed is there after any crash, of a node, of its server, of both, and of
# all at once, though the servers write their own logs only once in a second; and the cluster serves again by itself.
# ROUNDS=10 for the long campaign.
. "$(dirname "$0")/../lib.sh"
port=24880
build
install mariadb-server mariadb-client python3-pymysql

promise() {
  local sandbox=("$TRIREME" sandbox --dir "$BOX" --port $port --detach --nodes 3 "${@:2}")
  say "$1: starting three servers and nodes"
  "${sandbox[@]}" >/dev/null
  for processes in trireme server trireme,server; do
    drive $port one $processes leader "$BOX" "${sandbox[@]}"
    drive $port one $processes follower "$BOX" "${sandbox[@]}"
  done
  drive $port catching_up "$BOX" "${sandbox[@]}"
  drive $port all "${ROUNDS:-3}" "$BOX" "${sandbox[@]}"
  stop_sandbox
}
on_both_servers "${LAZY[@]}"
say "crash: passed"
