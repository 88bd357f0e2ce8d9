#!/usr/bin/env bash
# The promise: sysbench on three nodes at once meets no error but deadlocks, and leaves the servers equal.
# Prints how fast that is beside one plain server whose commits are as durable. PROFILE=release BENCH_SECONDS=10 for figures that are
# to be told.
. "$(dirname "$0")/../lib.sh"
build
install mariadb-server mariadb-client python3-pymysql sysbench

# bench PORTS SECONDS TEST: runs a test with nine threads, spread over the ports; prints transactions per second.
bench() {
  local log=$SCRATCH/sysbench.log
  timeout $((60 + $2)) sysbench "$3" --mysql-host=127.0.0.1 --mysql-port="$1" --mysql-user=root --mysql-db=sysbench \
    --mysql-ignore-errors=1213 --tables=3 --table-size=10000 --threads=9 --time="$2" --report-interval=0 run >"$log" 2>&1 &&
    ! grep -q FATAL "$log" || fail "sysbench $3: $(grep -v '^$' "$log")"
  sed -nE 's/^ +transactions: .*\(([0-9.]+) per sec.*/\1/p' "$log"
  sed -nE 's/^ +ignored errors: +([0-9]+).*/\1/p' "$log" >"$SCRATCH/deadlocks"
}
fill() {
  sql "$1" "CREATE DATABASE sysbench"
  sysbench oltp_read_write --mysql-host=127.0.0.1 --mysql-port="$1" --mysql-user=root --mysql-db=sysbench \
    --tables=3 --table-size=10000 prepare >"$SCRATCH/fill.log" 2>&1 || fail "$(cat "$SCRATCH/fill.log")"
}
ratio() { awk -v here="$1" -v there="$2" 'BEGIN { printf "%.0f / %.0f = %.2f", here, there, here / there }'; }

promise() {
  local server=$1 nodes=$((port + 1)),$((port + 2)),$((port + 3)) plain=$((port + 301)) mixed writes reads plain_writes plain_reads
  shift
  say "$server: starting three servers and nodes"
  start_sandbox $port --nodes 3 "$@" >/dev/null
  fill $((port + 1))
  mixed=$(bench $nodes ${BENCH_SECONDS:-5} oltp_read_write)
  say "$server: oltp_read_write: $mixed transactions/s, $(cat "$SCRATCH/deadlocks") deadlocks"
  drive $port
  writes=$(bench $nodes ${BENCH_SECONDS:-5} oltp_write_only)
  say "$server: oltp_write_only: $writes transactions/s, $(cat "$SCRATCH/deadlocks") deadlocks"
  drive $port
  reads=$(bench $nodes ${BENCH_SECONDS:-5} oltp_point_select)
  stop_sandbox

  say "$server: starting one server as durable as the nodes' log"
  start_sandbox $port --nodes 1 --durable "$@" >/dev/null
  fill $plain
  plain_writes=$(bench $plain ${BENCH_SECONDS:-5} oltp_write_only)
  plain_reads=$(bench $plain ${BENCH_SECONDS:-5} oltp_point_select)
  say "$server: three nodes / one plain server (transactions/s, $(nproc) cores):" \
    "oltp_write_only $(ratio "$writes" "$plain_writes"), oltp_point_select $(ratio "$reads" "$plain_reads")"
  stop_sandbox
}
on_both_servers
say "load: passed"
