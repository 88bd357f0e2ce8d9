#!/usr/bin/env bash
# The promise: what a node captures of a transaction before it commits is what the server's own tool shows
# of it in the binlog, byte for byte, for every kind of write.
. "$(dirname "$0")/../lib.sh"
port=34080
build
(cd "$ROOT" && cargo build --locked --quiet --examples)
install mariadb-server mariadb-client python3-pymysql

say "starting a server"
start_sandbox $port --nodes 1 >/dev/null
say "comparing"
/usr/bin/python3 "$(dirname "$0")/drive.py" $((port + 1)) $((port + 301)) "$BOX/node1/data" \
  "$(dirname "$TRIREME")/examples/capture" mariadb-binlog
