#!/usr/bin/env bash
# Promise: a client cannot tell the node from its server: the same bytes in, the same bytes out.
. "$(dirname "$0")/../lib.sh"
install mariadb-server mariadb-client python3
build

promise() {
  local server=mariadbd
  [ $# = 1 ] || server=$3
  say "on $1"
  TRIREME_LOG=debug start_sandbox $port --nodes 1 --backdoor-commits reported --server "$server --local-infile=1 --max-allowed-packet=64M"
  PYTHONPATH=$ROOT/integration timeout 240 python3 "$ROOT/integration/fidelity/compare.py" $((port + 301)) $((port + 1))
  # A node that took an answer for complete too early would see the rest of it as said unasked.
  ! grep 'lost track of an answer' "$BOX/node1/trireme.log" || fail "the node lost track of an answer"
  stop_sandbox
}
on_both_servers
say "fidelity: passed"
