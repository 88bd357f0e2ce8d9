#!/usr/bin/env bash
# The promise: what a client was told is committed is there after any crash, of a node, of its server, of both, and of
# all at once, though the servers write their own logs only once in a second; and the cluster serves again by itself.
# ROUNDS=10 for the long campaign.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql

promise() {
  say "$1: starting three servers and nodes"
  start_sandbox $port --nodes 3 "${@:2}" >/dev/null
  for processes in trireme server trireme,server; do
    drive $port one $processes leader "$BOX" "${SANDBOX[@]}"
    drive $port one $processes follower "$BOX" "${SANDBOX[@]}"
  done
  drive $port catching_up "$BOX" "${SANDBOX[@]}"
  drive $port unnoticed "$BOX" "${SANDBOX[@]}"
  drive $port all "${ROUNDS:-2}" "$BOX" "${SANDBOX[@]}"
  stop_sandbox
}
on_both_servers "${LAZY[@]}"
say "crash: passed"
