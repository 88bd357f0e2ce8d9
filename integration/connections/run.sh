#!/usr/bin/env bash
# Promise: clients connect to a node as they would to its server: inside TLS and without, through a socket, with every kind
# of account; who cannot is told so in the server's words.
. "$(dirname "$0")/../lib.sh"
install mariadb-server mariadb-client openssl python3 python3-pymysql python3-cryptography python3-nacl
build
node=$((port + 1)) alone=$((port + 50))

# client OPTION…: the stock client, of the server's own kind.
client() {
  if [ "$family" = MySQL ]; then
    $MYSQL_CLIENT --no-defaults --commands --batch --skip-column-names "$@"
  else
    mariadb --no-defaults --batch --skip-column-names "$@"
  fi
}
shown() { timeout 5 openssl s_client -connect 127.0.0.1:$alone -starttls mysql "$@" </dev/null 2>&1 || true; }
fingerprint() { shown | openssl x509 -noout -fingerprint; }
other_than() { [ "$(fingerprint)" != "$1" ]; }
encrypt=(--ssl) clear=(--skip-ssl)

promise() {
  family=$1
  local said
  say "$family"
  start_sandbox $port --nodes 1 --backdoor-commits reported "${@:2}" >/dev/null
  for part in accounts plain tls limits kill; do
    timeout 120 /usr/bin/python3 "$(dirname "$0")/drive.py" $node "$family" $part || fail "$part"
  done

  say "$family: the stock client"
  [ "$family" != MySQL ] || encrypt=(--ssl-mode=REQUIRED) clear=(--ssl-mode=DISABLED)
  tcp=(-h127.0.0.1 -P$node -uroot)
  said=$(client "${tcp[@]}" "${encrypt[@]}" -e status | grep '^SSL')
  grep -q 'Cipher in use' <<<"$said" || fail "$said"
  said=$(client "${tcp[@]}" "${clear[@]}" -e status | grep '^SSL')
  grep -q 'Not in use' <<<"$said" || fail "$said"
  socket=(-S "$BOX/node1/node.sock")
  said=$(client "${socket[@]}" -uroot -e 'SELECT CURRENT_USER()')
  [[ $said = root@* ]] || fail "through the socket: $said"
  for round in 1 2; do
    # MySQL's caching_sha2_password has its clients tell the password in the clear, as the server knows nothing of them yet.
    sql $((node + 300)) "FLUSH PRIVILEGES"
    for options in "${clear[*]}" "${encrypt[*]}"; do
      account=mysql_native_password
      [ "$family" != MySQL ] || account=caching_sha2_password
      said=$(client "${socket[@]}" $options -u$account -psecret -e 'SELECT CURRENT_USER()' 2>&1 | grep -v Warning)
      [ "$said" = "$account@%" ] || fail "through the socket with $options: $said"
    done
  done
  said=$(client "${socket[@]}" -upeer -e 'SELECT 1' 2>&1) && fail "an account of a process's user got in"
  grep -q "Access denied for user 'peer'@'localhost'" <<<"$said" || fail "$said"
  if [ "$family" = MySQL ]; then
    sql $node "INSTALL COMPONENT 'file://component_query_attributes'; CREATE TABLE connections.t (a INT PRIMARY KEY, b VARCHAR(9))"
    said=$(client "${tcp[@]}" -e "query_attributes b one c two;
      INSERT INTO connections.t VALUES (1, mysql_query_attribute_string('b')), (2, mysql_query_attribute_string('c'));
      SELECT GROUP_CONCAT(b ORDER BY a) FROM connections.t")
    [ "$said" = one,two ] || fail "query attributes: $said"
  fi

  stop_sandbox
}

# A node that stands alone, with certificates that its clients can verify; they must.
verified() {
  say "$family: certificates of an authority, which must be used"
  start_sandbox $port --nodes 1 "$@" >/dev/null
  rm -rf "$SCRATCH/own"
  "$TRIREME" cert --dir "$SCRATCH/own" 127.0.0.1 >/dev/null
  "$TRIREME" cert --dir "$SCRATCH/foreign" 127.0.0.1 >/dev/null
  cat >"$SCRATCH/alone.toml" <<END
[client]
listen = "127.0.0.1:$alone"
require_secure_transport = true
[client.tls]
certificate = "$SCRATCH/own/127.0.0.1.pem"
key = "$SCRATCH/own/127.0.0.1.key"
[server]
address = "127.0.0.1:$((node + 300))"
user = "root"
[http]
listen = "127.0.0.1:$((alone + 1))"
END
  "$TRIREME" check --config "$SCRATCH/alone.toml" >"$SCRATCH/said" || { cat "$SCRATCH/said" >&2; fail "check"; }
  "$TRIREME" run --config "$SCRATCH/alone.toml" 2>"$SCRATCH/alone.log" &
  local pid=$! said before
  PIDS+=($pid)
  tcp=(-h127.0.0.1 -P$alone -uroot)
  verify=(--ssl --ssl-verify-server-cert)
  [ "$family" != MySQL ] || verify=(--ssl-mode=VERIFY_IDENTITY)
  eventually 5 client "${tcp[@]}" "${encrypt[@]}" -e 'SELECT 1' || { cat "$SCRATCH/alone.log" >&2; fail "no node"; }
  said=$(client "${tcp[@]}" "${verify[@]}" --ssl-ca="$SCRATCH/own/ca.pem" -e "SELECT 'verified'")
  [ "$said" = verified ] || fail "$said"
  said=$(client "${tcp[@]}" "${verify[@]}" --ssl-ca="$SCRATCH/foreign/ca.pem" -e 'SELECT 1' 2>&1) && fail "another authority counts"
  grep -qi 'SSL' <<<"$said" || fail "$said"
  said=$(client "${tcp[@]}" "${clear[@]}" -e 'SELECT 1' 2>&1) && fail "who does not encrypt got in"
  grep -q 'ERROR 3159 (HY000): Connections using insecure transport are prohibited while --require_secure_transport=ON.' <<<"$said" || fail "$said"
  for version in 2 3; do
    shown -tls1_$version | grep -q "Protocol *: TLSv1.$version\|New, TLSv1.$version" || fail "no TLS 1.$version: $(shown -tls1_$version)"
  done
  before=$(fingerprint)
  "$TRIREME" cert --dir "$SCRATCH/own" --days 20 127.0.0.1 >/dev/null
  kill -HUP $pid
  eventually 5 other_than "$before" || fail "the node shows its old certificate"
  eventually 5 grep -q 'good for 19 more days' "$SCRATCH/alone.log" || fail "the node does not say that its certificate is good for some days only"
  kill $pid
  wait $pid || fail "the node ended with an error"
  cp "$SCRATCH/foreign/127.0.0.1.key" "$SCRATCH/own/127.0.0.1.key"
  ! "$TRIREME" run --config "$SCRATCH/alone.toml" 2>"$SCRATCH/said" || fail "a node runs with another's key"
  grep -q 'do not go together' "$SCRATCH/said" || { cat "$SCRATCH/said" >&2; fail "a wrong key"; }
  stop_sandbox
}

stock_mysql
large=--max-allowed-packet=64M
MYSQL_CLIENT="${MYSQL%%/usr/sbin/mysqld*}/usr/bin/mysql"
promise MariaDB --server "mariadbd $large --plugin-load-add=auth_ed25519"
verified
"$TRIREME" cert --dir "$SCRATCH/server" 127.0.0.1 >/dev/null
promise MariaDB-TLS --server "mariadbd $large --plugin-load-add=auth_ed25519 --ssl-cert=$SCRATCH/server/127.0.0.1.pem --ssl-key=$SCRATCH/server/127.0.0.1.key"
promise MySQL --server "$MYSQL $large --plugin-load-add=auth_socket.so"
verified --server "$MYSQL"
say "connections: passed"
