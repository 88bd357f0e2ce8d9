#!/usr/bin/env bash
# The promise: the page that every node serves shows, in a real browser and while it happens, what its cluster is doing: a node
# that is killed and comes back, commits, conflicts and what they are about, errors. SCREENSHOTS=yes renews docs/page*.png.
. "$(dirname "$0")/../lib.sh"
driver=$((port + 50))
build
install mariadb-server python3-pymysql chromium chromium-driver fonts-dejavu-core
export TRIREME_LOG=info,openraft=error,raft_log=warn,chunked_wal=warn

promise() {
  local server=$1
  shift
  say "$server: three nodes under load, and a browser"
  start_sandbox $port --nodes 3 "$@" >/dev/null
  chromedriver --port=$driver >"$SCRATCH/chromedriver.log" 2>&1 &
  local pid=$!
  PIDS+=($pid)
  eventually 10 curl -fsS "http://127.0.0.1:$driver/status"
  HOME=$SCRATCH drive $port "http://127.0.0.1:$driver" "$SCRATCH" "$BOX" "${SANDBOX[@]}"
  kill $pid
  wait $pid || true
  if [ -n "${SCREENSHOTS:-}" ] && [ "$server" = MariaDB ]; then
    mkdir -p "$ROOT/docs"
    cp "$SCRATCH"/page*.png "$ROOT/docs"
  fi
  stop_sandbox
}
on_both_servers
say "page: passed"
