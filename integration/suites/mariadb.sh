# Sourced by run.sh: of MariaDB's own tests of the server those that begin with these words, by its own runner.
# What they expect is what they give on the server alone: many are written for engines and settings that a cluster cannot have.

# The runner's files are looked for beside the directory that it is started in: a copy of it takes what was recorded.
own_tests() {
  local installed=/usr/share/mysql part
  TESTS=$SCRATCH/usr/share/mysql/mysql-test
  mkdir -p "$TESTS"
  for part in bin sbin lib; do ln -s /usr/$part "$SCRATCH/usr/$part"; done
  for part in "$installed"/*; do [ "${part##*/}" = mysql-test ] || ln -s "$part" "$SCRATCH/usr/share/mysql/"; done
  for part in "$installed"/mysql-test/*; do [ "${part##*/}" = main ] || ln -s "$part" "$TESTS/"; done
  cp -r "$installed/mysql-test/main" "$TESTS/main"
}

# run_own PORT SOCKET [OPTION…] TEST…: sets PASSED to how many have passed, FAILED to those that have not. A test goes on after what it does not expect.
run_own() {
  local log=$SCRATCH/said.$1
  (cd "$TESTS" && timeout 900 perl ./mysql-test-run.pl --vardir="$SCRATCH/var.$1" --extern host=127.0.0.1 --extern port="$1" --extern user=root --extern socket="$2" \
    --force --force --max-test-fail=0 --nowarnings "${@:3}") >"$log" 2>&1 || true
  PASSED=$(grep -cE '\[ pass \]' "$log" || true)
  FAILED=$(sed -nE 's/^main\.(\S+) +.*\[ fail \].*/\1/p' "$log" | tr '\n' ' ')
  [ "$PASSED" != 0 ] || { tail -n 20 "$log" >&2; fail "MariaDB's own tests did not run"; }
}

# mariadb_tests LEAST WORD…: so many must pass, and none fail.
mariadb_tests() {
  local least=$1 where tests=() word name
  install mariadb-test
  own_tests
  for where in $ALONE $((port + 301)) $((port + 302)) $((port + 303)); do
    # What a thread of the server's counts at a time of its own decides what EXPLAIN answers.
    sql $where "SET GLOBAL sql_mode = '', GLOBAL enforce_storage_engine = 'InnoDB', GLOBAL innodb_strict_mode = OFF, GLOBAL innodb_stats_auto_recalc = OFF"
  done
  for where in $ALONE $((port + 1)); do
    sql $where "DROP DATABASE IF EXISTS test; CREATE DATABASE test; CREATE DATABASE mtr; CREATE PROCEDURE mtr.add_suppression(pattern TEXT) BEGIN END"
  done
  for word in "${@:2}"; do
    for name in "$TESTS/main/$word"*.test; do
      name=$(basename "$name" .test)
      grep -v '^#' "$HERE/left_out" | grep -qw -- "$name" || tests+=("main.$name")
    done
  done
  run_own $ALONE "$PLAIN/node1/server.sock" --record "${tests[@]}"
  [ -z "$FAILED" ] || fail "on the server alone: $FAILED"
  run_own $((port + 1)) "$BOX/node1/node.sock" "${tests[@]}"
  for name in $FAILED; do
    diff -u "$TESTS/main/$name.result" "$TESTS/main/$name.reject" | head -n 30 >&2 || true
  done
  [ -z "$FAILED" ] || fail "through a node otherwise than on the server alone: $FAILED"
  [ "$PASSED" -ge "$least" ] || fail "only $PASSED of MariaDB's own tests have passed"
  say "MariaDB's own tests (${*:2}): $PASSED give the same through a node, $(grep -v '^#' "$HERE/left_out" | wc -w) are left out"
}
