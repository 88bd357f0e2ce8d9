#!/usr/bin/env bash
# The promise: what a cluster of stock servers stumbles over, it does not stumble over here. Beside these, the other
# promises have traps of their own; ARCHITECTURE.md names the test of each.
. "$(dirname "$0")/../lib.sh"
other=$SCRATCH/other
build
install mariadb-server mariadb-client python3-pymysql
stock_mysql

# Trap 7: a server without a binlog is refused, with the line that it needs.
without_binlog() {
  local said
  said=$(start_sandbox $port --nodes 1 --server "$1 --skip-log-bin" 2>&1 || true)
  stop_sandbox
  [[ $said == *"put log_bin=binlog into its configuration"* ]] || fail "a server without a binlog: $said"
}

# A server that ends what is idle keeps its node all the same.
impatient() {
  local client=(mariadb -h127.0.0.1 -P$((port + 1)) -uroot -e)
  start_sandbox $port --nodes 1 --server "$1 --wait-timeout=1" >/dev/null
  "${client[@]}" "CREATE DATABASE impatient; CREATE TABLE impatient.t (id INT PRIMARY KEY); INSERT INTO impatient.t VALUES (1); DO GET_LOCK('l', 0)"
  sleep 3
  "${client[@]}" "INSERT INTO impatient.t VALUES (2); DO GET_LOCK('l', 0); CREATE TABLE impatient.u (id INT); DROP DATABASE impatient"
  ! grep "starts over" "$BOX/node1/trireme.log" || fail "the node has lost idle connections to its server"
  stop_sandbox
}

# Trap 11: the cluster's first node says what its servers are; another kind is refused before it has anything.
mixed() {
  local name=$1 server=$2 said pid
  "$TRIREME" sandbox --dir "$other" --port $((port + 20)) --nodes 1 --detach --server "$server" >/dev/null
  pid=$(cat "$BOX/node3/trireme.pid")
  kill "$pid"
  eventually 10 ended "$pid" || fail "node 3 does not stop"
  sed "s/127.0.0.1:$((port + 303))/127.0.0.1:$((port + 321))/" "$BOX/node3/trireme.toml" >"$SCRATCH/mixed.toml"
  said=$(timeout 20 "$TRIREME" run --config "$SCRATCH/mixed.toml" 2>&1) && fail "a node has taken another kind of server: $said"
  [[ $said == *"this server is $name, and the cluster's servers are"* ]] || fail "another kind of server: $said"
  "$TRIREME" sandbox stop --dir "$other" >/dev/null
  rm -rf "$other"
}

promise() {
  local name=$1 server=$2 gtid=$3 other_name=$4 other_server=$5
  say "$name: starting three servers and nodes"
  without_binlog "$server"
  impatient "$server"
  start_sandbox $port --nodes 3 --server "$server --binlog-format=MIXED --binlog-row-image=MINIMAL $gtid" >/dev/null
  drive $port settings MIXED MINIMAL
  drive $port set_up
  for part in implicit_commits few_privileges failing_statements snapshots cascades deadlocked_cascades deadlocked_rows moved_wait routines redefined unordered; do
    drive $port $part
  done
  for part in late_commit left_waiting; do drive $port $part "$BOX" "${SANDBOX[@]}"; done
  mixed "$other_name" "$other_server"
  "${SANDBOX[@]}" >/dev/null
  drive $port diverged
  stop_sandbox
}
# Trap 6: servers that give every transaction a global id.
promise MariaDB mariadbd --gtid-strict-mode=ON MySQL "$MYSQL"
promise MySQL "$MYSQL" "--gtid-mode=ON --enforce-gtid-consistency=ON" MariaDB mariadbd
say "traps: passed"
