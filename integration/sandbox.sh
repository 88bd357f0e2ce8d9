#!/usr/bin/env bash
# Starts a three-node cluster on stock MariaDB servers, with HAProxy before it, shows it working, and stays until Ctrl-C.
# With --check it ends after the show.
. "$(dirname "$0")/lib.sh"
port=23060
status() { "$TRIREME" status 127.0.0.1:$((port + 100 + $1)); }
leader() { status "$1" | awk '/leader/ { print $3 }'; }

say "installing what is missing"
install mariadb-server mariadb-client haproxy
say "building Trireme"
build
say "starting three servers, a node beside each, and HAProxy before them"
start_sandbox $port
say "the cluster, as node 2 sees it"
status 2
say "a table, made on node 1"
sql $((port + 1)) "CREATE DATABASE shop; CREATE TABLE shop.stock (item VARCHAR(20) PRIMARY KEY, pieces INT)"
for i in 2 3; do eventually 5 sql $((port + i)) "DESCRIBE shop.stock" || fail "node $i lacks the table"; done
say "a row written on each node, read on each"
for i in 1 2 3; do sql $((port + i)) "INSERT INTO shop.stock VALUES ('item $i', 10)"; done
rows() { sql $((port + $1)) "SELECT GROUP_CONCAT(item, ': ', pieces ORDER BY item SEPARATOR ', ') FROM shop.stock"; }
everywhere() { [ "$(rows 1)" = "$1" ] && [ "$(rows 2)" = "$1" ] && [ "$(rows 3)" = "$1" ]; }
eventually 5 everywhere "item 1: 10, item 2: 10, item 3: 10" || fail "the nodes differ: $(rows 1) / $(rows 2) / $(rows 3)"
for i in 1 2 3; do say "  node $i: $(rows $i)"; done
say "nodes 1 and 2 take pieces of the same item at once: the first to commit wins, the other is told to try again"
take() { sql $((port + $1)) "BEGIN; UPDATE shop.stock SET pieces = pieces - $2 WHERE item = 'item 1'; DO SLEEP(0.5); COMMIT" 2>&1 && echo "committed"; }
take 1 1 >"$SCRATCH/take1" & first=$!
take 2 2 >"$SCRATCH/take2" & second=$!
wait $first || true
wait $second || true
for i in 1 2; do say "  node $i: $(cat "$SCRATCH/take$i")"; done
[ "$(cat "$SCRATCH"/take? | grep -c committed)" = 1 ] || fail "not one winner"
old=$(leader 2)
victim=$(($(cut -d: -f2 <<<"$old") - port - 200))
other=$((victim % 3 + 1))
say "killing the leader, node $victim (kill -9)"
kill -9 "$(cat "$BOX/node$victim/trireme.pid")"
led_by_another() { [ -n "$(leader $other)" ] && [ "$(leader $other)" != "$old" ] && status $other >/dev/null; }
eventually 10 led_by_another || fail "no new leader: $(status $other)"
status $other
say "writing on, through HAProxy, which finds a node that lives"
sql $port "INSERT INTO shop.stock VALUES ('item 4', 10)"
say "starting node $victim again: it catches up"
start_sandbox $port >/dev/null
status $victim
eventually 5 everywhere "$(rows $other)" || fail "node $victim lacks what was committed: $(rows $victim)"
say "  node $victim: $(rows $victim)"
say "connect with: mariadb -uroot -h127.0.0.1 -P$port   (HAProxy; the nodes are on $((port + 1)) to $((port + 3)))"
[ "${1:-}" = --check ] && exit 0
say "Ctrl-C ends everything and removes its files"
sleep infinity &
PIDS+=($!)
wait $!
