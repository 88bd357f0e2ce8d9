#!/usr/bin/env bash
# Starts a stock MariaDB server and a node in front of it, shows it working, and stays until Ctrl-C.
# With --check it ends after the show.
. "$(dirname "$0")/lib.sh"
node=33060 server=33160
install mariadb-server mariadb-client
say "building Trireme"
build
say "starting a MariaDB server on port $server"
start_mariadb $server
say "starting a node in front of it on port $node"
start_node $node $server
say "writing and reading through the node"
show="CREATE DATABASE demo; CREATE TABLE demo.ship (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(20));
INSERT INTO demo.ship (name) VALUES ('Olympias'), ('Paralos'); SELECT * FROM demo.ship;"
printf '%s\n' "$show"
sql $node "$show"
say "reading the same rows from the server itself"
sql $server 'SELECT * FROM demo.ship'
say "connect with: mariadb -uroot -h127.0.0.1 -P$node"
[ "${1:-}" = --check ] && exit 0
say "Ctrl-C ends the node and the server and removes their files"
wait -n "${PIDS[@]}" || fail "the server or the node ended by itself; its log: $(tail -n 5 "$SCRATCH"/*.log)"
