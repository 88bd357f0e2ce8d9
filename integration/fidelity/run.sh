#!/usr/bin/env bash
# Promise: a client cannot tell the node from its server: the same bytes in, the same bytes out.
. "$(dirname "$0")/../lib.sh"
install mariadb-server mariadb-client python3
build
node=23301 server=23601

TRIREME_LOG=debug start_sandbox 23300 --nodes 1 --server 'mariadbd --local-infile=1 --max-allowed-packet=64M'
timeout 240 python3 "$ROOT/integration/fidelity/compare.py" $server $node
# A node that took an answer for complete too early would see the rest of it as said unasked.
grep 'speaks unasked' "$BOX/node1/trireme.log" && fail "the node lost track of an answer"
say "fidelity: passed"
