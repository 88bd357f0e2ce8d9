#!/usr/bin/env bash
# The promise: what people run against Galera runs against a node unchanged: clustercheck, the monitors of ProxySQL, MaxScale
# and Percona's operator, mysqld_exporter, pt-online-schema-change; and Prometheus reads what a node counts.
. "$(dirname "$0")/../lib.sh"
exporter=$((port + 50)) prometheus=$((port + 51))
build
install mariadb-server mariadb-client python3-pymysql curl prometheus prometheus-mysqld-exporter percona-toolkit
export TRIREME_LOG=info,openraft=error,raft_log=warn,chunked_wal=warn

# As Percona's script asks: the last line of what the client says.
clustercheck() { mariadb --no-defaults -uroot -h127.0.0.1 -P$((port + 1)) -nNE --connect-timeout=10 -e "$1" | tail -1; }

cat >"$SCRATCH/prometheus.yml" <<END
scrape_configs:
  - job_name: trireme
    scrape_interval: 1s
    static_configs:
      - targets: ['127.0.0.1:$((port + 101))', '127.0.0.1:$((port + 102))', '127.0.0.1:$((port + 103))']
END
asked() { curl -fsS "http://127.0.0.1:$prometheus/api/v1/query" --data-urlencode "query=$1"; }
scraped() { asked 'count(trireme_ready == 1) + sum(trireme_leader) + (sum(trireme_commits_total{outcome="conflict"}) > bool 0)' | grep -q '"5"\]'; }

promise() {
  local server=$1 variables=()
  # Its EXPLAIN is not what the tool reads, on the server alone as well: it would copy all at once.
  [ "$server" = MariaDB ] || variables=(--set-vars explain_format=TRADITIONAL)
  shift
  say "$server: three nodes"
  start_sandbox $port --nodes 3 "$@" >/dev/null
  eventually 10 sql $((port + 1)) "SELECT 1"

  say "$server: clustercheck"
  [ "$(clustercheck "SHOW STATUS LIKE 'wsrep_local_state';")" = 4 ] || fail "clustercheck: not synced"
  [ "$(clustercheck "SHOW GLOBAL VARIABLES LIKE 'read_only';")" = OFF ] || fail "clustercheck: read only"

  say "$server: the queries of monitors"
  drive $port queries
  drive $port desync

  say "$server: mysqld_exporter"
  DATA_SOURCE_NAME="root@(127.0.0.1:$((port + 1)))/" prometheus-mysqld-exporter --web.listen-address=127.0.0.1:$exporter \
    >"$SCRATCH/exporter.log" 2>&1 &
  local pid=$!
  PIDS+=($pid)
  eventually 10 curl -fsS -o "$SCRATCH/exported" "http://127.0.0.1:$exporter/metrics" || { cat "$SCRATCH/exporter.log" >&2; fail "no exporter"; }
  local line
  for line in 'mysql_up 1' 'mysql_global_status_wsrep_local_state 4' 'mysql_global_status_wsrep_cluster_size 3' \
    'mysql_global_status_wsrep_ready 1' 'mysql_global_variables_wsrep_on 1' 'mysql_galera_gcache_size_bytes 1.073741824e+09'; do
    grep -qxF "$line" "$SCRATCH/exported" || { grep wsrep "$SCRATCH/exported" >&2; fail "the exporter does not say: $line"; }
  done
  echo "$(grep -c '^mysql_global_status_wsrep' "$SCRATCH/exported") values of wsrep status exported"
  kill $pid
  wait $pid || true

  say "$server: pt-online-schema-change on a table under load"
  drive $port load "$SCRATCH" &
  local load=$!
  PIDS+=($load)
  eventually 20 test -e "$SCRATCH/loaded"
  pt-online-schema-change --alter "ADD COLUMN added INT NOT NULL DEFAULT 7, ADD INDEX by_payload (payload(20))" --execute \
    --chunk-size=500 "${variables[@]}" --no-check-replication-filters --recursion-method=none --charset=utf8mb4 \
    "h=127.0.0.1,P=$((port + 1)),u=root,D=osc,t=big" >"$SCRATCH/osc.log" 2>&1 || { cat "$SCRATCH/osc.log" >&2; fail "pt-online-schema-change"; }
  tail -n 1 "$SCRATCH/osc.log"
  rm "$SCRATCH/loaded"
  wait $load || fail "load"
  drive $port changed

  say "$server: what a node counts"
  drive $port counts
  prometheus --config.file="$SCRATCH/prometheus.yml" --storage.tsdb.path="$SCRATCH/prometheus" \
    --web.listen-address=127.0.0.1:$prometheus --log.level=warn >"$SCRATCH/prometheus.log" 2>&1 &
  pid=$!
  PIDS+=($pid)
  # Three nodes that are ready, one that leads, and the conflicts.
  eventually 20 scraped || { cat "$SCRATCH/prometheus.log" >&2; asked 'trireme_ready' >&2; fail "Prometheus does not read three nodes"; }
  drive $port dashboard $prometheus
  kill $pid
  wait $pid || true
  rm -r "$SCRATCH/prometheus"

  say "$server: without a majority"
  drive $port alone "$BOX"
  stop_sandbox
}
on_both_servers
say "monitors: passed"
