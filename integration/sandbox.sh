#!/usr/bin/env bash
# Starts a three-node cluster on stock MariaDB servers, shows it working, and stays until Ctrl-C.
# With --check it ends after the show.
. "$(dirname "$0")/lib.sh"
port=33060
status() { "$TRIREME" status 127.0.0.1:$((port + 100 + $1)); }
leader() { status "$1" | awk '/leader/ { print $3 }'; }

say "installing what is missing"
install mariadb-server mariadb-client
say "building Trireme"
build
say "starting three servers, and a node beside each"
start_sandbox $port
say "the cluster, as node 2 sees it"
status 2
say "a statement through each node, which today is its server's alone: nothing is replicated yet"
for i in 1 2 3; do sql $((port + i)) "SELECT 'node $i stands before server', @@server_id, @@version"; done
old=$(leader 2)
victim=$(($(cut -d: -f2 <<<"$old") - port - 200))
other=$((victim % 3 + 1))
say "killing the leader, node $victim (kill -9)"
kill -9 "$(cat "$BOX/node$victim/trireme.pid")"
led_by_another() { [ -n "$(leader $other)" ] && [ "$(leader $other)" != "$old" ] && status $other >/dev/null; }
eventually 10 led_by_another || fail "no new leader: $(status $other)"
status $other
say "starting it again"
start_sandbox $port >/dev/null
status $victim
say "connect with: mariadb -uroot -h127.0.0.1 -P$((port + 1))   (or +2, +3)"
[ "${1:-}" = --check ] && exit 0
say "Ctrl-C ends everything and removes its files"
sleep infinity &
PIDS+=($!)
wait $!
