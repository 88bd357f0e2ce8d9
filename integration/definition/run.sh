#!/usr/bin/env bash
# The promise: what is defined on one node, tables and accounts alike, is defined on all of them, in one order with
# everything that commits, through crashes too. PHASES=all CRASHES=80 LOST=frozen,alone is the long campaign.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql

promise() {
  say "$1: starting three servers and nodes"
  start_sandbox $port --nodes 3 "${@:2}" >/dev/null
  drive $port kinds
  drive $port events "$BOX" "${SANDBOX[@]}"
  drive $port in_the_way
  drive $port meanwhile
  drive $port dropped 20
  drive $port storm 5
  drive $port phases "${PHASES:-one}" "$BOX" "${SANDBOX[@]}"
  drive $port logged "$BOX" "${SANDBOX[@]}"
  drive $port crashes ${CRASHES:-6} "$BOX" "${SANDBOX[@]}"
  drive $port lost ${LOST:-alone} "$BOX" "${SANDBOX[@]}"
  stop_sandbox
}
on_both_servers "${LAZY[@]}"
say "definition: passed"
