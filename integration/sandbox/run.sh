#!/usr/bin/env bash
# The promise: `trireme sandbox` starts a cluster whose nodes tell the same, whose processes can be
# killed and started again one by one, and stops it without a trace of a process.
. "$(dirname "$0")/../lib.sh"
peers=$((port + 201)) log=$BOX/node1/trireme.log
build
install mariadb-server mariadb-client curl haproxy

# health NODE: the HTTP code of its verdict.
health() { curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$((port + 100 + $1))/health" || true; }
healthy() { [ "$(health "$1")" = 200 ]; }
unhealthy() { [ "$(health "$1")" = 503 ]; }
# told NODE: what it says of its cluster, without what differs between nodes.
told() { "$TRIREME" status --json 127.0.0.1:$((port + 100 + $1)) | grep -E '"(address|role|leader|name)"'; }
all_level() { for i in 1 2 3; do healthy $i || return 1; done; }
all_tell_the_same() { [ "$(told 1)" = "$(told 2)" ] && [ "$(told 2)" = "$(told 3)" ]; }

# ticks NODE: processor time it has used, in clock ticks.
ticks() { awk '{ print $14 + $15 }' "/proc/$(cat "$BOX/node$1/trireme.pid")/stat"; }
# Whether HAProxy lets nobody in.
closed() { ! sql $port 'SELECT 1'; }
# refusals REASON: how often the log tells of it.
refusals() { grep 'refused a connection' "$log" | grep -c "$1" || true; }
# served N…: whether these nodes, and no others, serve clients of HAProxy.
served() {
  local nodes
  nodes=$(for _ in 1 2 3 4 5 6; do sql $port 'SELECT @@server_id' || echo none; done 2>&1 | sort -u)
  [ "$(echo $nodes)" = "$*" ]
}
told_why() { grep -q 'belongs to cluster' "$SCRATCH/stranger.log"; }

promise() {
  local before role stranger status pids pid sandbox
  say "on $1"
  shift
  say "starting three servers and three nodes"
  start_sandbox $port "$@"
  all_level || fail "--detach returned before all nodes were level"
  all_tell_the_same || fail "the nodes tell different things: $(told 1) $(told 2) $(told 3)"
  for i in 1 2 3; do
    [ "$(sql $((port + i)) 'SELECT @@server_id')" = $i ] || fail "node $i is not before server $i"
    for file in server.sock data trireme.toml trireme.log server.log trireme.pid server.pid; do
      [ -e "$BOX/node$i/$file" ] || fail "node$i/$file is missing"
    done
  done

  say "clients of HAProxy come to every node"
  eventually 10 served 1 2 3 || fail "HAProxy does not use all of them: $(cat "$BOX/haproxy.log")"

  say "what an idle node costs (CPU over 5 s, resident memory)"
  before=("" "$(ticks 1)" "$(ticks 2)" "$(ticks 3)")
  sleep 5
  for i in 1 2 3; do
    role=$("$TRIREME" status 127.0.0.1:$((port + 100 + i)) | awk '/this node/ { print $1 }')
    awk -v i=$i -v role="$role" -v ticks=$(($(ticks $i) - before[i])) -v hz="$(getconf CLK_TCK)" \
      '/^VmRSS/ { printf "node %d (%s): %.1f %% of a core, %.1f MiB\n", i, role, ticks / hz * 20, $2 / 1024 }' \
      "/proc/$(cat "$BOX/node$i/trireme.pid")/status"
  done

  say "strangers on a peer port: garbage, a frame without end, a node of another cluster"
  for _ in 1 2 3; do
    # The node may close while it is still being written to.
    printf 'GET / HTTP/1.0\r\n\r\n' 2>/dev/null >"/dev/tcp/127.0.0.1/$peers" || true
    printf '\xff\xff\xff\xff' 2>/dev/null >"/dev/tcp/127.0.0.1/$peers" || true
  done
  cat >"$SCRATCH/stranger.toml" <<END
client.listen = "127.0.0.1:$((port + 50))"
http.listen = "127.0.0.1:$((port + 150))"
[cluster]
name = "another"
members = ["127.0.0.1:$peers", "127.0.0.1:$((port + 250))"]
address = "127.0.0.1:$((port + 250))"
listen = "127.0.0.1:$((port + 250))"
directory = "$SCRATCH/stranger"
END
  "$TRIREME" run --config "$SCRATCH/stranger.toml" 2>"$SCRATCH/stranger.log" &
  stranger=$!
  PIDS+=($stranger)
  eventually 10 told_why || fail "the stranger is not told why: $(cat "$SCRATCH/stranger.log")"
  # It goes on asking.
  sleep 3
  [ "$(refusals 'not a node')" = 1 ] && [ "$(refusals 'cluster .*another')" = 1 ] || fail "not logged once each: $(cat "$log")"
  # In the midst of a greeting that would be another refusal.
  kill $stranger
  [ "$(curl -s "http://127.0.0.1:$((port + 150))/health" -o /dev/null -w '%{http_code}')" != 200 ] || fail "the stranger is healthy"
  "$TRIREME" status 127.0.0.1:$((port + 101)) | grep -q 'last error .*refused' || fail "the status does not tell"
  { sleep 0.5; "$TRIREME" status 127.0.0.1:$((port + 101)); } | true || fail "trireme status wants to be read to its end"
  all_level || fail "the cluster suffers"

  say "killing two nodes: the third has no majority and says so"
  kill -9 "$(cat "$BOX/node1/trireme.pid")" "$(cat "$BOX/node2/trireme.pid")"
  eventually 10 unhealthy 3 || fail "node 3 still says $(health 3)"
  status=$("$TRIREME" status 127.0.0.1:$((port + 103))) && fail "trireme status does not fail"
  grep -q 'health *no majority' <<<"$status" || fail "no reason in: $status"
  eventually 10 closed || fail "HAProxy gives clients to a node without a majority"

  say "starting one of them again, by hand"
  "$TRIREME" run --config "$BOX/node1/trireme.toml" 2>>"$BOX/node1/trireme.log" &
  eventually 10 healthy 1 && eventually 10 healthy 3 || fail "no majority: $(health 1) $(health 3)"
  eventually 10 served 1 3 || fail "HAProxy does not use those that run: $(cat "$BOX/haproxy.log")"

  say "killing a server, starting the sandbox again: what does not run is started"
  kill -9 "$(cat "$BOX/node3/server.pid")"
  start_sandbox $port "$@" >"$SCRATCH/again.log"
  all_level && eventually 10 all_tell_the_same || fail "not level after the second start"
  [ "$(sql $((port + 3)) 'SELECT @@server_id')" = 3 ] || fail "server 3 is not back"

  say "other options for the same directory are refused, and disturb nothing"
  start_sandbox $port "$@" --nodes 2 2>"$SCRATCH/refused.log" && fail "they are taken"
  grep -q 'other options' "$SCRATCH/refused.log" || fail "$(cat "$SCRATCH/refused.log")"
  all_level || fail "not level any more"

  say "stopping it"
  pids=$(cat "$BOX"/node*/*.pid "$BOX/haproxy.pid")
  "$TRIREME" sandbox stop --dir "$BOX"
  for pid in $pids; do ended "$pid" || fail "process $pid still runs"; done

  say "in the foreground it ends with a signal"
  # What it said on the other server is not to be taken for what it says now.
  rm -f "$SCRATCH/foreground.log"
  "$TRIREME" sandbox --dir "$BOX" --port $port "$@" >"$SCRATCH/foreground.log" 2>&1 &
  sandbox=$!
  eventually 60 grep -q 'Ctrl-C' "$SCRATCH/foreground.log" || fail "$(cat "$SCRATCH/foreground.log")"
  pids=$(cat "$BOX"/node*/*.pid "$BOX/haproxy.pid")
  kill -TERM $sandbox
  wait $sandbox || fail "it ended with $?: $(cat "$SCRATCH/foreground.log")"
  for pid in $pids; do ended "$pid" || fail "process $pid still runs"; done
  rm -rf "$BOX"
}
on_both_servers
say "sandbox: passed"
