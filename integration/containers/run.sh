#!/usr/bin/env bash
# The promise: docker/compose.yml brings up three stock servers, nodes and HAProxy; containers may be killed, cut off and
# all started again, and all servers have the same rows.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/stand_ins.sh"
export PORT=28080 SINGLE_PORT=28081 PROFILE
install python3-pymysql python3-cryptography
engine
stand_ins

compose() { docker-compose --project-name trireme-test --file "$ROOT/docker/compose.yml" "$@"; }
down() { compose --profile traffic down --volumes --timeout 5 >/dev/null 2>&1 || true; }
leave() {
  down
  docker images --quiet 'stand-in/*' | sort -u | xargs --no-run-if-empty docker rmi --force >/dev/null 2>&1 || true
}
container() { printf 'trireme-test_%s_1' "$1"; }
healthy() { [ "$(docker inspect --format '{{.State.Health.Status}}' "$(container "$1")")" = healthy ]; }

# expect_healthy SECONDS NODE…
expect_healthy() {
  local limit=$1 node
  for node in "${@:2}"; do
    eventually "$limit" healthy "$node" || {
      docker logs --tail 8 "$(container "$node")" >&2
      docker logs --tail 8 "$(container "${node/node/server}")" >&2
      docker exec "$(container "$node")" trireme status >&2 || true
      fail "$node is not healthy after $limit s"
    }
  done
}

# traffic SECONDS: runs docker/traffic.sh, and keeps what it prints in a file; it fails if the servers differ.
traffic() {
  compose run --rm -T traffic "$1" >"$SCRATCH/traffic" 2>&1 || { cat "$SCRATCH/traffic" >&2; fail "traffic"; }
  [ "$(grep -c $'sum\t1000$' "$SCRATCH/traffic")" = 3 ] || { cat "$SCRATCH/traffic" >&2; fail "money was made or lost"; }
  grep transfers "$SCRATCH/traffic" | awk '{t += $1; d += $3; f += $5} END {print "   " t " transfers, " d " deadlocks, " f " failed"}'
}

# while_traffic COMMAND…: runs the command while there is traffic.
while_traffic() {
  traffic 12 &
  local running=$!
  sleep 4
  "$@"
  wait $running || fail "traffic, while: $*"
}

kill_and_start() {
  docker kill "$(container "$1")" >/dev/null
  sleep 2
  docker start "$(container "$1")" >/dev/null
}

cut_off() {
  docker network disconnect trireme-test_cluster "$(container "$1")"
  eventually 20 is_no_good "$1" || fail "$1 is alone and does not say so"
  docker network connect --alias "$1" trireme-test_cluster "$(container "$1")"
}
is_no_good() { ! docker exec "$(container "$1")" trireme status; }

# promise SERVER IMAGE
promise() {
  say "$1: up"
  export SERVER_IMAGE=$2
  compose up --build --detach >"$SCRATCH/up.log" 2>&1 || { tail -30 "$SCRATCH/up.log" >&2; fail "compose up"; }
  expect_healthy 90 node1 node2 node3
  traffic 5
  grep transfers "$SCRATCH/traffic" | grep -qv ' 0 failed' && { cat "$SCRATCH/traffic" >&2; fail "transfers failed"; }
  /usr/bin/python3 "$(dirname "$0")/outside.py" $PORT $SINGLE_PORT

  say "$1: 150 connections that break off, as those of a balancer that only looks, keep nobody out"
  docker exec "$(container node1)" bash -c 'for i in {1..150}; do : </dev/tcp/127.0.0.1/3306; done'
  traffic 2
  local name
  for name in node1 node2 server3; do
    say "$1: $name is killed and started again"
    while_traffic kill_and_start $name
    expect_healthy 60 node1 node2 node3
  done
  say "$1: node3 is cut off and comes back"
  while_traffic cut_off node3
  expect_healthy 60 node1 node2 node3
  say "$1: everything is stopped and started again"
  compose stop >/dev/null 2>&1
  compose up --detach >/dev/null 2>&1
  expect_healthy 90 node1 node2 node3
  traffic 3
  down
}
promise MariaDB stand-in/mariadb
promise MySQL stand-in/mysql
say "containers: passed"
