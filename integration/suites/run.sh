#!/usr/bin/env bash
# Promise: what passes of other people's test suites on a server passes through a node of a cluster.
# SUITES=all runs all of SQLAlchemy's that need a server for the dialect, the engine and the ORM, and more of MariaDB's own, which takes a quarter of an hour.
. "$(dirname "$0")/../lib.sh"
install mariadb-server mariadb-client
build
drivers_of_python
HERE=$ROOT/integration/suites
. "$HERE/mariadb.sh"

# source_of PACKAGE VERSION: sets SOURCE to what a package's own source distribution holds.
source_of() {
  SOURCE=$TARGET/sources/$1-$2
  [ ! -d "$SOURCE" ] || return 0
  say "fetching the source of $1 $2"
  local archive=$SCRATCH/source
  "$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary "$1" --dest "$archive" "$1==$2"
  mkdir -p "$SOURCE.new" && tar -xzf "$archive"/*.tar.gz -C "$SOURCE.new" --strip-components 1
  rm -r "$archive" && mv "$SOURCE.new" "$SOURCE"
}
version_of() { sed -n "s/^$1==//p" "$ROOT/integration/requirements.txt"; }

# suite NAME LEAST COMMAND [ARGUMENT…]: runs a command of pytest's, which gets the server's port, on the server alone and through a node.
# So many tests must pass on both.
suite() {
  local name=$1 least=$2
  for where in $ALONE $((port + 1)); do
    sql $where "DROP DATABASE IF EXISTS test; CREATE DATABASE test CHARACTER SET utf8mb4; DROP DATABASE IF EXISTS test_schema; CREATE DATABASE test_schema CHARACTER SET utf8mb4;
      DROP DATABASE IF EXISTS test2; CREATE DATABASE test2"
    OUTCOMES=$SCRATCH/$where PYTHONPATH=$HERE PYTHONDONTWRITEBYTECODE=1 "$3" $where -q -p outcomes -p no:cacheprovider -W ignore --tb=short "${@:4}" >"$SCRATCH/said.$where" 2>&1 || true
    [ -s "$SCRATCH/$where" ] || { tail -n 20 "$SCRATCH/said.$where" >&2; fail "$name did not run"; }
  done
  "$PYTHON" "$HERE/compare.py" "$name" "$least" "$SCRATCH/$ALONE" "$SCRATCH/$((port + 1))"
}

pymysql() {
  cd "$SOURCE"
  printf '[{"host":"127.0.0.1","port":%d,"user":"root","passwd":"","db":"test","use_unicode":true,"local_infile":true},
    {"host":"127.0.0.1","port":%d,"user":"root","passwd":"","db":"test2"}]' $1 $1 >pymysql/tests/databases.json
  timeout 300 "$PYTHON" -m pytest "${@:2}" pymysql/tests
}
mysqlclient() {
  cd "$SOURCE"
  printf '[MySQLdb-tests]\nhost = 127.0.0.1\nport = %d\nuser = root\ndatabase = test\ndefault-character-set = utf8mb4\n' $1 >tests/default.cnf
  # One test wants to disturb another thread in the midst of a result, and fails where that has come by then, be it on a server alone.
  timeout 300 "$PYTHON" -m pytest --deselect tests/test_connection.py::test_result_concurrent_use_raises "${@:2}" tests
}
sqlalchemy() {
  cd "$SOURCE"
  timeout 1800 "$PYTHON" -m pytest -p no:logging --backend-only --dburi "$dialect+mysqldb://root@127.0.0.1:$1/test?charset=utf8mb4" "${@:2}"
}

promise() {
  local server=mariadbd
  dialect=mariadb
  if [ $# != 1 ]; then
    server=$3 dialect=mysql
  fi
  server+=" --local-infile=1 --log-bin-trust-function-creators=1"
  start_beside "$1" --server "$server"
  # The suites expect 1 to be followed by 2.
  for where in $((port + 301)) $ALONE; do
    sql $where "SET GLOBAL auto_increment_increment = 1, GLOBAL auto_increment_offset = 1"
  done
  # Later ones come without the tests that need a server.
  source_of PyMySQL 0.10.1
  suite "PyMySQL's tests on $1" 120 pymysql
  source_of mysqlclient "$(version_of mysqlclient)"
  suite "mysqlclient's tests on $1" 150 mysqlclient
  source_of SQLAlchemy "$(version_of SQLAlchemy)"
  suite "SQLAlchemy's tests of MySQL on $1" 230 sqlalchemy test/dialect/mysql
  if [ "${SUITES:-}" = all ]; then
    suite "SQLAlchemy's tests of dialects on $1" 1500 sqlalchemy test/dialect/test_suite.py
    suite "SQLAlchemy's tests of the engine and the ORM on $1" 1800 sqlalchemy test/engine test/orm
  fi
  case $1,${SUITES:-} in
    MariaDB,all) mariadb_tests 60 func innodb ps select trans xa ;;
    MariaDB,*) mariadb_tests 20 innodb ps trans xa ;;
  esac
  stop_beside
}
on_both_servers
say "suites: passed"
