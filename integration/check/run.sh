#!/usr/bin/env bash
# The promise: `trireme check` names everything of a server that is not as a node needs it, with the line that mends it, changes
# nothing, and what it says does mend it.
. "$(dirname "$0")/../lib.sh"
server_port=$((port + 301))
build
install mariadb-server mariadb-client

# check FILE: what it says is in $SCRATCH/said.
check() { "$TRIREME" check --config "$1" >"$SCRATCH/said" 2>&1; }
said() { grep -qF -- "$1" "$SCRATCH/said" || { cat "$SCRATCH/said" >&2; fail "it does not say: $1"; }; }
# stopped PID_FILE: ends the process.
stopped() {
  local pid
  pid=$(cat "$1")
  kill "$pid"
  eventually 20 ended "$pid" || fail "$1 does not end"
}

promise() {
  local server=$1 config=$BOX/node1/trireme.toml
  shift
  say "$server: a server that is as it should be"
  start_sandbox $port --nodes 1 "$@" >/dev/null
  check "$config" || { cat "$SCRATCH/said" >&2; fail "not ready"; }
  [ "$(cat "$SCRATCH/said")" = "ready: the node can run" ] || { cat "$SCRATCH/said" >&2; fail "findings"; }

  say "$server: settings that the node makes itself, a member that does not answer"
  stopped "$BOX/node1/trireme.pid"
  sql $server_port "SET GLOBAL binlog_row_image = 'MINIMAL'; SET GLOBAL event_scheduler = ON"
  sed "s/^members = \[/members = [\"127.0.0.1:9\", /" "$config" >"$SCRATCH/member.toml"
  check "$SCRATCH/member.toml" || { cat "$SCRATCH/said" >&2; fail "not ready"; }
  said "  binlog_row_image=FULL"
  said "  event_scheduler=OFF"
  said "nobody answers at 127.0.0.1:9 "
  [ "$(sql $server_port "SELECT @@GLOBAL.binlog_row_image")" = MINIMAL ] || fail "it has changed the server"

  say "$server: an account that lacks rights"
  sql $server_port "SET sql_log_bin = 0; CREATE USER weak@'%' IDENTIFIED BY 'secret'; GRANT SELECT ON *.* TO weak@'%'"
  sed 's/^user = .*/user = "weak"\npassword = "wrong"/' "$config" >"$SCRATCH/weak.toml"
  ! check "$SCRATCH/weak.toml" || fail "a wrong password is ready"
  said "server.password"
  ! grep -q wrong "$SCRATCH/said" || fail "it tells the password"
  sed -i 's/^password = .*/password = "secret"/' "$SCRATCH/weak.toml"
  ! check "$SCRATCH/weak.toml" || fail "a weak account is ready"
  said "  GRANT ALL PRIVILEGES ON *.* TO 'weak'@'%' WITH GRANT OPTION;"
  sql $server_port "SET sql_log_bin = 0; $(grep GRANT "$SCRATCH/said")"
  check "$SCRATCH/weak.toml" || { cat "$SCRATCH/said" >&2; fail "the line does not mend it"; }

  say "$server: a server without a binlog, and none"
  local command
  mapfile -d '' -t command <"/proc/$(cat "$BOX/node1/server.pid")/cmdline"
  stopped "$BOX/node1/server.pid"
  ! check "$config" || fail "no server is ready"
  said "cannot ask the server at 127.0.0.1:$server_port"
  "${command[@]}" --skip-log-bin >"$SCRATCH/server.log" 2>&1 &
  PIDS+=($!)
  eventually 20 sql $server_port "SELECT 1" || { cat "$SCRATCH/server.log" >&2; fail "no server"; }
  ! check "$config" || fail "a server without a binlog is ready"
  said "  log_bin=binlog"
  kill $!
  wait $! || true
  stop_sandbox
}
on_both_servers
say "check: passed"
