#!/usr/bin/env bash
# Promise: unmodified clients and drivers work through a node, many at once.
. "$(dirname "$0")/../lib.sh"
install mariadb-server mariadb-client python3 python3-pymysql
build
node=$((port + 1))

start_sandbox $port --nodes 1 --server 'mariadbd --local-infile=1 --max-allowed-packet=64M --max-connections=500'
sql $node "CREATE DATABASE drivers; CREATE USER app@'%' IDENTIFIED BY 'secret'; GRANT ALL ON \`drivers%\`.* TO app@'%'"

say "the mariadb client"
client() { mariadb --no-defaults -uapp -psecret -h127.0.0.1 -P$node --batch --skip-column-names drivers "$@"; }
got=$(client -e "CREATE TABLE t (a INT PRIMARY KEY); BEGIN; INSERT INTO t VALUES (1); ROLLBACK; INSERT INTO t VALUES (2);
  PREPARE s FROM 'SELECT a + ? FROM t'; SET @x = 40; EXECUTE s USING @x")
[ "$got" = 42 ] || fail "got: $got"
printf '3\n4\n' >"$SCRATCH/rows"
got=$(client --local-infile=1 -e "LOAD DATA LOCAL INFILE '$SCRATCH/rows' INTO TABLE t; SELECT SUM(a) FROM t")
[ "$got" = 9 ] || fail "got: $got"

say "asking for what a node cannot carry"
got=$(client --compress -e "SHOW SESSION STATUS LIKE 'Compression'")
[ "$got" = $'Compression\tOFF' ] || fail "got: $got"
error=$(client --ssl-verify-server-cert -e 'SELECT 1' 2>&1) && fail "a client that insists on TLS was served without"
grep -qi 'SSL' <<<"$error" || fail "got: $error"

say "PyMySQL"
timeout 120 /usr/bin/python3 "$ROOT/integration/drivers/pymysql_client.py" $node
say "drivers: passed"
