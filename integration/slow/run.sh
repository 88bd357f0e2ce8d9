#!/usr/bin/env bash
# The promise: a server that does not keep up, or hangs, costs only its own node's clients time, and no new ones come to it.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql haproxy

promise() {
  say "$1: starting three servers and nodes"
  start_sandbox $port --nodes 3 "${@:2}" >/dev/null
  drive $port slow "$BOX"
  stop_sandbox
}
on_both_servers
say "slow: passed"
