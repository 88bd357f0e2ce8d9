#!/usr/bin/env bash
# Promise: a stock client uses its server through a node, and learns it when there is no server.
. "$(dirname "$0")/../lib.sh"
install mariadb-server mariadb-client
build
node=$((port + 1)) server=$((port + 301))

# killed PORT: what a client hears whose write is killed on the server.
killed() {
  mariadb --no-defaults --force -uroot -h127.0.0.1 -P"$1" --batch --skip-column-names \
    -e "INSERT INTO d.t SELECT SLEEP(20), 'killed'; SHOW WARNINGS; SELECT COUNT(*) FROM d.t" >"$SCRATCH/killed" 2>&1 &
  local client=$! victim
  sleeping() { sql $server "SELECT id FROM information_schema.processlist WHERE state = 'User sleep'" | grep .; }
  eventually 10 sleeping || fail "the write does not run"
  victim=$(sleeping)
  sql $server "KILL QUERY $victim"
  wait $client && fail "the client did not notice"
  cat "$SCRATCH/killed"
}

promise() {
  local error got expected pid
  say "on $1"
  shift
  start_sandbox $port --nodes 1 "$@"
  say "no server: the client is told, and told what to do"
  pid=$(cat "$BOX/node1/server.pid")
  kill "$pid"
  eventually 60 ended "$pid" || fail "the server does not stop"
  error=$(sql $node 'SELECT 1' 2>&1) && fail "a client was served without a server"
  grep -q "1047.*cannot reach its server at 127.0.0.1:$server.*start the server" <<<"$error" || fail "got: $error"

  start_sandbox $port --nodes 1 "$@"
  say "with a server: the same node serves"
  got=$(sql $node "CREATE DATABASE d; CREATE TABLE d.t (a INT PRIMARY KEY, b TEXT);
    INSERT INTO d.t VALUES (1,'one'),(2,'two'); BEGIN; DELETE FROM d.t; ROLLBACK; SELECT * FROM d.t; SELECT @@port")
  [ "$got" = $'1\tone\n2\ttwo\n'$server ] || fail "got: $got"
  [ "$(sql $server 'SELECT COUNT(*) FROM d.t')" = 2 ] || fail "the rows are not in the server"

  say "the server's own refusals arrive"
  error=$(mariadb --no-defaults -unobody -pwrong -h127.0.0.1 -P$node -e 'SELECT 1' 2>&1) && fail "a stranger got in"
  grep -q "1045 (28000): Access denied for user 'nobody'" <<<"$error" || fail "got: $error"
  say "a write that is killed is an error as from the server, and the session goes on"
  expected=$(killed $server) got=$(killed $node)
  [ "$got" = "$expected" ] || fail "the server says: $expected; the node: $got"
  stop_sandbox
}
on_both_servers
say "relay: passed"
