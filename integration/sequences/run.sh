#!/usr/bin/env bash
# Promise: whatever statements a client sends in whatever order, a node of a cluster answers and changes what a server alone would.
# The same sequences each time; SEED=$RANDOM SEQUENCES=10000 SEQUENCE_SECONDS=3600 is the long campaign.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql

promise() {
  start_beside "$@"
  drive $port $ALONE "${SEQUENCE_SECONDS:-60}" "${SEQUENCES:-10000}" "${SEED:-1}"
  stop_beside
}
# MySQL's AUTO_INCREMENT counter jumps over an explicit id that met a duplicate, but only once a session opens the table anew; whether it does
# depends on its connection's number, unless all sessions share one cache of tables.
on_both_servers --log-bin-trust-function-creators=1 --table-open-cache-instances=1
say "sequences: passed"
