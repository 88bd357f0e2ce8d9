#!/usr/bin/env bash
# The promise: HAProxy comes to a node by every way it has: checks over HTTP and as a MySQL client, PROXY headers of both
# versions, after which node and server know where the client is.
. "$(dirname "$0")/../lib.sh"
haproxy=$((port + 20))
build
install mariadb-server haproxy python3-pymysql
# The log tells of every session, with where its client is.
export TRIREME_LOG=info,openraft=error,raft_log=warn,chunked_wal=warn,trireme::frontend=debug

promise() {
  local server=$1 user=
  shift
  # MySQL 9.7 itself refuses how this HAProxy logs in; drive.py does it as newer ones do.
  [ "$server" = MySQL ] || user=" user checker"
  say "$server: one server, its node, and HAProxy before it"
  start_sandbox $port --nodes 1 "$@" >/dev/null
  sed -e "s/NODE/127.0.0.1:$((port + 1))/; s/HTTP/$((port + 101))/" \
    -e "s/\bV1/$haproxy/; s/\bV2/$((haproxy + 1))/; s/PLAIN/$((haproxy + 2))/; s/USER/$user/" \
    "$(dirname "$0")/haproxy.cfg" >"$SCRATCH/haproxy.cfg"
  drive $port accounts
  haproxy -db -f "$SCRATCH/haproxy.cfg" >"$SCRATCH/haproxy.log" 2>&1 &
  local balancer=$!
  PIDS+=($balancer)
  drive $port ways $haproxy || { cat "$SCRATCH/haproxy.log" >&2; fail "ways"; }
  kill $balancer
  wait $balancer || true
  grep -q 'proxied_for=127.0.0.9' "$BOX/node1/trireme.log" || fail "the node's log does not tell where the client is"
  ! grep -q 'is DOWN' "$SCRATCH/haproxy.log" || { cat "$SCRATCH/haproxy.log" >&2; fail "a check failed"; }
  stop_sandbox
}
on_both_servers --performance-schema=ON
say "balancer: passed"
