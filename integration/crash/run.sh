#!/usr/bin/env bash
# The promise: what a client was told is committed is there after any crash, of a node, of its server, of both, and of
# all at once, though the servers write their own logs only once in a second; and the cluster serves again by itself.
# ROUNDS=10 for the long campaign.
. "$(dirname "$0")/../lib.sh"
port=24880
build
install mariadb-server mariadb-client python3-pymysql

# promise SERVER COMMAND
promise() {
  local lazy="--innodb-flush-log-at-trx-commit=0 --sync-binlog=0"
  local sandbox=("$TRIREME" sandbox --dir "$BOX" --port $port --detach --nodes 3 --server "$2 $lazy")
  say "$1: starting three servers and nodes"
  "${sandbox[@]}" >/dev/null
  for processes in trireme server trireme,server; do
    drive $port one $processes leader "$BOX" "${sandbox[@]}"
    drive $port one $processes follower "$BOX" "${sandbox[@]}"
  done
  drive $port all "${ROUNDS:-3}" "$BOX" "${sandbox[@]}"
  stop_sandbox
}
promise MariaDB mariadbd
stock_mysql
promise MySQL "$MYSQL"
say "crash: passed"
