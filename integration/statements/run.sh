#!/usr/bin/env bash
# Promise: the statements of the manuals, one by one, do on a node what they do on a server alone, and what is refused says so.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql

promise() {
  mkdir -m 777 "$SCRATCH/files"
  start_beside "$@"
  drive $port $ALONE "$1" "$SCRATCH/files" "$PLAIN/node1/data"
  rm -r "$SCRATCH/files"
  stop_beside
}
on_both_servers --log-bin-trust-function-creators=1 --secure-file-priv= "--loose-innodb-directories=$SCRATCH/files"
say "statements: passed"
