#!/usr/bin/env bash
# Promise: unmodified clients and drivers work through a node, inside TLS and without, many at once.
. "$(dirname "$0")/../lib.sh"
install mariadb-server mariadb-client python3 python3-pymysql openssl php-cli php-mysql libmariadb-java openjdk-17-jdk-headless
build
drivers_of_python
HERE=$ROOT/integration/drivers
say "building the client that uses sqlx"
CARGO_TARGET_DIR=$TARGET cargo build --locked --quiet --manifest-path "$HERE/sqlx/Cargo.toml"
node=$((port + 1))
# The server needs a certificate for accounts that insist on TLS.
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -keyout "$SCRATCH/key.pem" -out "$SCRATCH/cert.pem" 2>/dev/null
chmod 644 "$SCRATCH/key.pem" && chmod 755 "$SCRATCH"

# use CLIENT COMMAND…: a client's way of writing three rows into a table, in TLS and without it; it gets PORT USER TABLE tls|plain.
# The three rows must get to all servers.
use() {
  local client=$1 mode table
  shift
  [ "$(type -t "$1")" = function ] || set -- timeout 60 "$@"
  for mode in tls plain; do
    table=${client//[^a-z]/_}_$mode
    "$@" $node $mode $table $mode || fail "$client, $mode"
    for server in 1 2 3; do
      eventually 10 has_rows $server $table || fail "server $server does not have what $client wrote ($mode)"
    done
  done
  clients=$((clients + 1))
}
has_rows() { [ "$(sql $((port + 300 + $1)) "SELECT COUNT(*), SUM(n), SUM(name = 'één') FROM drivers.$2")" = $'3\t10.75\t1' ]; }

# What a client of text sends: statements, the same through each.
statements() {
  printf 'CREATE TABLE %s (id INT PRIMARY KEY AUTO_INCREMENT, n DECIMAL(10,2), name VARCHAR(50)); BEGIN;' "$1"
  printf "PREPARE s FROM 'INSERT INTO %s (n, name) VALUES (?, ?)'; SET @n = 10.5, @s = 'één'; EXECUTE s USING @n, @s;" "$1"
  printf "INSERT INTO %s (n, name) VALUES (0.25, '日本語'), (0, NULL); COMMIT; BEGIN; DELETE FROM %s; ROLLBACK; SELECT SUM(n) FROM %s" "$1" "$1" "$1"
}
# by_text CLIENT OPTIONS_FOR_TLS OPTIONS_WITHOUT PORT USER TABLE tls|plain
by_text() {
  local options=$2 got
  [ "$7" = tls ] || options=$3
  got=$(MYSQL_PWD=secret timeout 60 $1 --no-defaults -h127.0.0.1 -P$4 -u$5 $options --default-character-set=utf8mb4 --batch --skip-column-names drivers -e "$(statements $6)")
  [ "$got" = 10.75 ] || fail "got: $got"
}

# dumps NAME DUMP CLIENT…: what a client's dump takes from a node, with tables locked and in a snapshot, is put back through a node, and is the same.
dumps() {
  local name=$1 dump=$2 client="${*:3}"
  $dump --databases drivers --routines --triggers --skip-comments >"$SCRATCH/dump" || fail "$name dumps"
  sed 's/`drivers`/`drivers2`/g' "$SCRATCH/dump" | $client || fail "what $name has dumped is refused"
  ${dump/$node/$((port + 3))} --databases drivers2 --routines --triggers --single-transaction --skip-comments | sed 's/`drivers2`/`drivers`/g' >"$SCRATCH/dumped"
  diff "$SCRATCH/dump" "$SCRATCH/dumped" >&2 || fail "what $name has put back differs"
  grep -q 'INSERT INTO `jdbc_tls`' "$SCRATCH/dump" && grep -q 'PROCEDURE `p`' "$SCRATCH/dump" && grep -q '^LOCK TABLES `jdbc_tls` WRITE' "$SCRATCH/dump" || fail "$name has dumped nothing"
  sql $node 'DROP DATABASE drivers2'
}

stock_mysql
client_of_mysql=${MYSQL%%/usr/sbin/mysqld*}/usr/bin/mysql
dump_of_mysql=${MYSQL%%/usr/sbin/mysqld*}/usr/bin/mysqldump

promise() {
  say "on $1"
  local server=mariadbd
  [ $# = 1 ] || server=$3
  clients=0
  start_sandbox $port --nodes 3 --server "$server --local-infile=1 --max-allowed-packet=64M --max-connections=500 --ssl-cert=$SCRATCH/cert.pem --ssl-key=$SCRATCH/key.pem" >/dev/null
  sql $node "CREATE DATABASE drivers CHARACTER SET utf8mb4; CREATE USER plain@'%' IDENTIFIED BY 'secret'; CREATE USER tls@'%' IDENTIFIED BY 'secret' REQUIRE SSL;
    GRANT ALL ON \`drivers%\`.* TO plain@'%', tls@'%'"
  for driver in pymysql MySQLdb mysql.connector mysql+mysqldb mysql+pymysql mysql+mysqlconnector; do
    use "$driver" "$PYTHON" "$HERE/python_client.py" "$driver"
  done
  use mariadb by_text mariadb "--ssl --ssl-verify-server-cert=0" ""
  # It knows no way of authentication that MariaDB has.
  [ "$1" = MariaDB ] || use mysql by_text "$client_of_mysql" --ssl-mode=REQUIRED "--ssl-mode=DISABLED --get-server-public-key"
  use jdbc java -cp /usr/share/java/mariadb-java-client.jar "$HERE/Jdbc.java"
  use mysqli php "$HERE/mysqli.php"
  use pdo php "$HERE/pdo.php"
  use sqlx "$TARGET/debug/sqlx-client"
  sql $node "USE drivers; CREATE PROCEDURE p() SELECT 'é'; CREATE TRIGGER g BEFORE INSERT ON jdbc_tls FOR EACH ROW SET NEW.n = 1"
  dumps mariadb-dump "mariadb-dump --no-defaults -h127.0.0.1 -P$node -uroot" mariadb --no-defaults -h127.0.0.1 -P$node -uroot
  [ "$1" = MariaDB ] || dumps mysqldump "$dump_of_mysql --no-defaults -h127.0.0.1 -P$node -uroot --set-gtid-purged=OFF" $client_of_mysql --no-defaults -h127.0.0.1 -P$node -uroot
  say "$1: asking for what a node cannot carry"
  local text=(mariadb --no-defaults -uplain -psecret -h127.0.0.1 -P$node --batch --skip-column-names)
  got=$("${text[@]}" --skip-ssl --compress -e "SHOW SESSION STATUS LIKE 'Compression'")
  [ "$got" = $'Compression\tOFF' ] || fail "got: $got"
  got=$("${text[@]}" --ssl-verify-server-cert -e 'SELECT 1' 2>&1) && fail "a client that insists on a known certificate was served without"
  grep -qi 'SSL' <<<"$got" || fail "got: $got"
  printf '3\n4\n' >"$SCRATCH/rows"
  got=$("${text[@]}" --local-infile=1 drivers -e "CREATE TABLE loaded (a INT PRIMARY KEY); LOAD DATA LOCAL INFILE '$SCRATCH/rows' INTO TABLE loaded; SELECT SUM(a) FROM loaded")
  [ "$got" = 7 ] || fail "got: $got"
  timeout 120 "$PYTHON" "$HERE/crowd.py" $node
  say "$1: $clients clients wrote and rolled back, inside TLS and without"
  stop_sandbox
}
on_both_servers
say "drivers: passed"
