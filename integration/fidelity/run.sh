#!/usr/bin/env bash
# Promise: a client cannot tell the node from its server: the same bytes in, the same bytes out.
. "$(dirname "$0")/../lib.sh"
install mariadb-server mariadb-client python3
build
node=23306 server=23307

start_mariadb $server
start_node $node $server
timeout 240 python3 "$ROOT/integration/fidelity/compare.py" $server $node
say "fidelity: passed"
