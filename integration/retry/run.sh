#!/usr/bin/env bash
# Promise: a statement that is a transaction by itself and loses to another transaction is run again, unseen; and so are transactions, if that is asked for.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql

promise() {
  say "$1: starting three servers and nodes"
  start_sandbox $port --nodes 3 --retry-transactions 20 "${@:2}" >/dev/null
  for part in overtaken crowd settings transactions crowded_transactions; do drive $port $part; done
  stop_sandbox
}
on_both_servers
say "retry: passed"
