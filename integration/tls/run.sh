#!/usr/bin/env bash
# The promise: nodes talk to the members of their cluster only, and encrypt what they say; their certificates are replaced
# while they run; a node talks in the clear only where that is asked for.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client openssl
peer=127.0.0.1:$((port + 201))

# greet [OPTION…]: opens a TLS connection to node 1 as its members do, and says what comes of it.
greet() {
  timeout 5 openssl s_client -connect $peer -CAfile "$certificates/ca.pem" -verify_ip 127.0.0.1 -verify_return_error "$@" </dev/null 2>&1 || true
}
# shown: the certificate that node 1 shows.
shown() { greet "${own[@]}" | openssl x509 -noout -fingerprint; }
other_than() { [ "$(shown)" != "$1" ]; }
refused() { eventually 5 grep -q "refused a connection to the peer port.*$1" "$BOX/node1/trireme.log"; }
in_log() { grep -q "$2" "$BOX/node$1/trireme.log"; }
hang_up() { for i in 1 2 3; do kill -HUP "$(cat "$BOX/node$i/trireme.pid")"; done; }
inserted() { [ "$(sql $((port + $1)) "SELECT COUNT(*) FROM secret.t")" = "$2" ]; }

# writes: commits a row at a time on node 2 until it is told to stop; any error ends it.
writes() {
  for ((id = 2; ; id++)); do
    [ ! -e "$SCRATCH/over" ] || { echo $((id - 1)) >"$SCRATCH/written"; return; }
    sql $((port + 2)) "INSERT INTO secret.t VALUES ($id)"
  done
}

promise() {
  local server=$1
  certificates=$BOX/certificates
  own=(-cert "$certificates/127.0.0.1.pem" -key "$certificates/127.0.0.1.key")
  say "$server: three nodes with certificates"
  start_sandbox $port --nodes 3 --tls "${@:2}" >/dev/null
  sql $((port + 1)) "CREATE DATABASE secret; CREATE TABLE secret.t (id INT PRIMARY KEY); INSERT INTO secret.t VALUES (1)"
  eventually 10 inserted 3 1 || fail "what node 1 has committed is not on node 3"
  [ "$(stat -c %a "$certificates/ca.key")" = 600 ] || fail "others can read the authority's key"

  say "$server: who may talk to a node"
  greet "${own[@]}" >"$SCRATCH/said"
  grep -q 'TLSv1.3' "$SCRATCH/said" && grep -q 'Verification: OK' "$SCRATCH/said" || { cat "$SCRATCH/said" >&2; fail "a member"; }
  ! grep -q 'alert' "$SCRATCH/said" || { cat "$SCRATCH/said" >&2; fail "a member is refused"; }
  greet -tls1_2 "${own[@]}" >/dev/null
  refused SupportedVersions || fail "an old version of TLS is spoken"
  greet >/dev/null
  refused 'peer sent no certificates' || fail "who has no certificate is not refused"
  rm -rf "$SCRATCH/foreign"
  "$TRIREME" cert --dir "$SCRATCH/foreign" 127.0.0.1 >/dev/null
  greet -cert "$SCRATCH/foreign/127.0.0.1.pem" -key "$SCRATCH/foreign/127.0.0.1.key" >/dev/null
  refused 'invalid peer certificate' || fail "another authority counts"
  printf 'in the clear' >/dev/tcp/127.0.0.1/$((port + 201))
  refused 'corrupt message' || fail "who talks in the clear is not refused"

  say "$server: other certificates, while clients write"
  rm -f "$SCRATCH/over"
  writes &
  local writing=$! before
  before=$(shown)
  "$TRIREME" cert --dir "$certificates" --days 20 127.0.0.1 >/dev/null
  hang_up
  eventually 5 other_than "$before" || fail "node 1 shows its old certificate"
  eventually 5 in_log 1 'good for 19 more days' || fail "node 1 has not said that its certificate is good for some days only"
  # Connections that are there stay; this one is opened anew.
  kill -9 "$(cat "$BOX/node3/trireme.pid")"
  "${SANDBOX[@]}" >/dev/null
  touch "$SCRATCH/over"
  wait $writing || fail "a client of node 2 got an error"
  eventually 10 inserted 3 "$(cat "$SCRATCH/written")" || fail "node 3 lacks rows"
  printf '   %s rows were written meanwhile\n' "$(cat "$SCRATCH/written")"
  stop_sandbox
}
on_both_servers

say "a node that others can reach, without certificates"
cat >"$SCRATCH/plain.toml" <<END
[cluster]
members = ["127.0.0.1:$((port + 201))"]
address = "127.0.0.1:$((port + 201))"
END
! "$TRIREME" run --config "$SCRATCH/plain.toml" 2>"$SCRATCH/said" || fail "it runs"
grep -q 'add \[cluster.tls\] .* or, .* cluster.allow_plain = true' "$SCRATCH/said" || { cat "$SCRATCH/said" >&2; fail "it does not say what to do"; }
say "tls: passed"
