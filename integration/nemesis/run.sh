#!/usr/bin/env bash
# The promise: whatever happens to nodes, servers, disks and the network between them, what a client was told is true,
# and the servers have the same rows in the end. SECONDS_OF_FAULTS=300 is the long campaign; SEED=N gives the same faults.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql iproute2
adya=$(dirname "$TRIREME")/../adya
[ -x "$adya/bin/adya" ] || cargo install --quiet --locked --no-default-features --root "$adya" adya@0.1.0
cc -shared -fPIC -o "$SCRATCH/slow.so" "$(dirname "$0")/slow.c" -ldl

promise() {
  local kind=$1 enter=(env)
  say "$kind: three machines, each with a server and its node"
  start_sandbox $port --nodes 3 --tls "${@:2}" >/dev/null
  # The machines' cluster begins anew; there a node reaches its server by loopback, and the test does by the network.
  for number in 1 2 3; do
    cat "/proc/$(cat "$BOX/node$number/server.pid")/cmdline" >"$BOX/node$number/server.command"
    sql $((port + 300 + number)) "SET sql_log_bin = 0; UPDATE trireme_private.position SET seqno = 0, fence = 0;
      CREATE USER root@'10.77.0.254'; GRANT ALL ON *.* TO root@'10.77.0.254' WITH GRANT OPTION"
  done
  "$TRIREME" sandbox stop --dir "$BOX" >/dev/null
  rm -rf "$BOX"/node*/log
  "$TRIREME" cert --dir "$BOX/certificates" 10.77.0.{1,2,3} >/dev/null
  [ "$(id -u)" = 0 ] || enter=(sudo)
  # What runs in the namespaces ends with them.
  "${enter[@]}" unshare --net --pid --fork --kill-child --mount-proc env PYTHONPATH="$ROOT/integration" \
    PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$(dirname "$0")/drive.py" $port "${SECONDS_OF_FAULTS:-25}" \
    "${SEED:-$RANDOM}" "$BOX" "$TRIREME" "$SCRATCH/slow.so" "$adya/bin/adya"
  rm -rf "$BOX"
}
on_both_servers "${LAZY[@]}"
say "nemesis: passed"
