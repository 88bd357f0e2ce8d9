#!/usr/bin/env bash
# The promise: the log takes no more room than it is given, whatever the clients write; nodes start from what is left of it;
# and one that was away for longer says so, and comes back with a copy of another's data.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql

# Node 3 ends with this, and the others do not notice.
behind() {
  local said
  said=$(timeout 60 "$TRIREME" run --config "$BOX/node3/trireme.toml" 2>&1) && fail "a node that was away for too long goes on: $said"
  [[ $said == *"give it a copy of another node's data"* ]] || fail "a node that was away for too long: $said"
}

# What a user does then, with the cluster stopped so that a plain copy will do.
copy() {
  "$TRIREME" sandbox stop --dir "$BOX" >/dev/null
  rm -rf "$BOX/node3/data"
  cp -a "$BOX/node2/data" "$BOX/node3/data"
  # MySQL makes it anew: the id of a server is its own.
  rm -f "$BOX/node3/data/auto.cnf"
  "${SANDBOX[@]}" >/dev/null
}

# A server with nothing on it lacks the log's beginning, too.
empty() {
  local said
  "$TRIREME" sandbox stop --dir "$BOX" >/dev/null
  rm -rf "$BOX/node3/data"
  said=$("${SANDBOX[@]}" 2>&1) && fail "a node with an empty server goes on: $said"
  [[ $said == *"give it a copy of another node's data"* ]] || fail "a node with an empty server: $said"
}

promise() {
  say "$1: starting three servers and nodes"
  TRIREME_LOG=warn,openraft=error,trireme=info,trireme::replicator::delivery=debug \
    start_sandbox $port --nodes 3 --log-retention-mb 1 "${@:2}" >/dev/null
  drive $port set_up
  drive $port cut "$BOX"
  drive $port fill 1 2 3
  drive $port restart "$BOX" 2 "${SANDBOX[@]}"
  drive $port restart "$BOX" 1,2,3 "${SANDBOX[@]}"
  kill -9 "$(cat "$BOX/node3/trireme.pid")"
  drive $port fill 1 2
  behind
  copy
  drive $port fill 1 2 3
  empty
  stop_sandbox
}
on_both_servers "${LAZY[@]}"
say "retention: passed"
