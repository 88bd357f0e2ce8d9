"""Asks a node as monitors do, keeps a table busy while it is changed, and compares what a node counts with what was done."""

import json
import os
import re
import sys
import threading
import time
import urllib.parse
import urllib.request

import pymysql
from pymysql.constants import CLIENT

from cluster import NODES, PORT, at_once, define, error_of, expect, expect_equal, expect_positions, health, kill, node, position, run, server

PART = sys.argv[2]
STATUS = "performance_schema.global_status"
# What ProxySQL asks of servers from MySQL 5.7 on, and of others.
PROXYSQL = (
    "SELECT (SELECT VARIABLE_VALUE FROM {0} WHERE VARIABLE_NAME='WSREP_LOCAL_STATE') wsrep_local_state, @@read_only read_only, "
    "(SELECT VARIABLE_VALUE FROM {0} WHERE VARIABLE_NAME='WSREP_LOCAL_RECV_QUEUE') wsrep_local_recv_queue , "
    "@@wsrep_desync wsrep_desync, @@wsrep_reject_queries wsrep_reject_queries, "
    "@@wsrep_sst_donor_rejects_queries wsrep_sst_donor_rejects_queries, "
    "(SELECT VARIABLE_VALUE FROM {0} WHERE VARIABLE_NAME='WSREP_CLUSTER_STATUS') wsrep_cluster_status , {1} pxc_maint_mode"
)
MAINTENANCE = (
    "(SELECT COALESCE(MAX(VARIABLE_VALUE),'DISABLED') FROM performance_schema.global_variables WHERE variable_name='pxc_maint_mode')"
)
MAXSCALE = (
    "WHERE Variable_name IN ('wsrep_cluster_state_uuid', 'wsrep_cluster_size', 'wsrep_local_index', 'wsrep_local_state', "
    "'wsrep_local_state_comment', 'wsrep_desync', 'wsrep_ready', 'wsrep_sst_donor_rejects_queries', 'wsrep_reject_queries')"
)
OPERATOR = (
    "SHOW STATUS LIKE 'wsrep_local_state'; SHOW VARIABLES LIKE 'pxc_maint_mode'; SHOW GLOBAL STATUS LIKE 'wsrep_cluster_status'; "
    "SHOW GLOBAL VARIABLES LIKE 'wsrep_reject_queries'; SHOW GLOBAL VARIABLES LIKE 'wsrep_sst_donor_rejects_queries';"
)
# Every name of Galera's documentation that a tool is known to read.
STATUS_NAMES = """local_state_uuid protocol_version last_committed replicated replicated_bytes repl_keys repl_keys_bytes repl_data_bytes
    repl_other_bytes received received_bytes local_commits local_cert_failures local_replays local_send_queue local_send_queue_max
    local_send_queue_min local_send_queue_avg local_recv_queue local_recv_queue_max local_recv_queue_min local_recv_queue_avg
    local_cached_downto flow_control_paused_ns flow_control_paused flow_control_sent flow_control_recv flow_control_active
    flow_control_requested flow_control_interval_low flow_control_interval_high flow_control_status cert_deps_distance apply_oooe
    apply_oool apply_window apply_waits commit_oooe commit_oool commit_window local_state local_state_comment cert_index_size
    causal_reads cert_interval open_transactions open_connections incoming_addresses cluster_conf_id cluster_size cluster_state_uuid
    cluster_status cluster_weight cluster_capabilities connected ready local_index local_bf_aborts desync_count evs_delayed
    evs_evict_list evs_repl_latency evs_state gcomm_uuid gmcast_segment provider_name provider_vendor provider_version
    provider_capabilities thread_count applier_thread_count rollbacker_thread_count ist_receive_seqno_start
    ist_receive_seqno_current ist_receive_seqno_end""".split()


def shown(connection, statement):
    return dict(run(connection, statement))


def without_wsrep(values):
    return sorted(name for name in values if not name.lower().startswith(("wsrep_", "pxc_maint")))


def shows(connection):
    """SHOW in all its forms: the server's own names, and the node's."""
    with server(1) as direct:
        for kind in ("STATUS", "VARIABLES"):
            expect(kind, without_wsrep(shown(connection, f"SHOW GLOBAL {kind}")), without_wsrep(shown(direct, f"SHOW GLOBAL {kind}")))
    status = shown(connection, "SHOW STATUS LIKE 'wsrep_%'")
    missing = [name for name in STATUS_NAMES if f"wsrep_{name}" not in status]
    expect("status names that are missing", missing, [])
    expect("status twice", len(run(connection, "SHOW GLOBAL STATUS LIKE 'wsrep\\_%'")), len(status))
    expect("the state", shown(connection, "SHOW STATUS WHERE Variable_name = 'WSREP_LOCAL_STATE_COMMENT'"), {"wsrep_local_state_comment": "Synced"})
    expect("a row", run(connection, "SHOW STATUS LIKE 'wsrep\\_local\\_index'"), (("wsrep_local_index", status["wsrep_local_index"]),))
    expect("another name", run(connection, "SHOW STATUS LIKE 'wsrep_no_such_name'"), ())
    expect("a wrong condition", error_of(connection, "SHOW STATUS WHERE nowhere = 1"), 1054)
    expect("wsrep_on", shown(connection, "SHOW VARIABLES LIKE 'wsrep_on'"), {"wsrep_on": "ON"})
    uuids, indexes, addresses = set(), set(), set()
    for number in NODES:
        with node(number) as other:
            of_node = shown(other, "SHOW STATUS LIKE 'wsrep_%'")
            uuids.add(of_node["wsrep_cluster_state_uuid"])
            indexes.add(of_node["wsrep_local_index"])
            addresses.add(of_node["wsrep_incoming_addresses"])
    expect("UUIDs of the cluster", len(uuids), 1)
    expect("indexes of nodes", sorted(indexes), ["0", "1", "2"])
    expect("addresses", sorted(next(iter(addresses)).split(",")), [f"127.0.0.1:{PORT + number}" for number in NODES])
    variables = shown(connection, 'SHOW VARIABLES LIKE "wsrep%"')
    print(f"{len(status)} values of status, {len(variables)} variables", flush=True)


def multiple(connection, text):
    with connection.cursor() as cursor:
        cursor.execute(text)
        results = [cursor.fetchall()]
        while cursor.nextset():
            results.append(cursor.fetchall())
    return results


def queries():
    with node(1, autocommit=True, client_flag=CLIENT.MULTI_STATEMENTS) as connection:
        deadline = time.time() + 10
        while shown(connection, "SHOW STATUS LIKE 'wsrep_cluster_size'") != {"wsrep_cluster_size": "3"}:
            if time.time() > deadline:
                sys.exit("FAILED: the cluster's size stays wrong")
            time.sleep(0.1)
        is_mariadb = "MariaDB" in run(connection, "SELECT VERSION()")[0][0]
        shows(connection)
        online = ("4", 0, "0", 0, "NONE", 0, "Primary", "DISABLED")
        if not is_mariadb:
            expect("ProxySQL's query", run(connection, PROXYSQL.format(STATUS, MAINTENANCE)), (online,))
        else:
            old = PROXYSQL.format("INFORMATION_SCHEMA.GLOBAL_STATUS", "(SELECT 'DISABLED')")
            expect("ProxySQL's query", run(connection, old), (online,))
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@wsrep_desync, @@GLOBAL.wsrep_on, @@wsrep_cluster_name")
            expect("columns", [column[0] for column in cursor.description], ["@@wsrep_desync", "@@GLOBAL.wsrep_on", "@@wsrep_cluster_name"])
            expect("variables", cursor.fetchone()[:2], (0, 1))
        expect("MaxScale's status", len(run(connection, f"SHOW STATUS {MAXSCALE}")), 6)
        expect("MaxScale's variables", len(run(connection, f"SHOW VARIABLES {MAXSCALE}")), 3)
        run(connection, "SET SESSION wsrep_sync_wait=0")
        expect("what is not so", error_of(connection, "SET SESSION wsrep_on=0"), 1231)
        results = multiple(connection, OPERATOR)
        expect("the operator's probe", [result[0][1] for result in results], ["4", "DISABLED", "Primary", "NONE", "OFF"])
        run(connection, "BEGIN")
        run(connection, "SHOW STATUS LIKE 'wsrep_ready'")
        run(connection, "ROLLBACK")
        with connection.cursor(pymysql.cursors.SSCursor) as cursor:
            cursor.execute("SHOW GLOBAL STATUS")
            expect("rows", len(cursor.fetchall()) > 300, True)


def desync():
    """An administrator, and nobody else, takes a node out of its balancers, and puts it back."""
    with node(1, autocommit=True) as admin:
        run(admin, "CREATE USER IF NOT EXISTS plain@'%'")
        with pymysql.connect(host="127.0.0.1", port=PORT + 1, user="plain") as plain:
            expect("who may not", error_of(plain, "SET GLOBAL wsrep_desync = ON"), 1227)
        expect("as a session's", error_of(admin, "SET wsrep_desync = ON"), 1231)
        expect("no switch", error_of(admin, "SET GLOBAL wsrep_desync = 2"), 1231)
        expect("health", health(1)[0], 200)
        for switch, state, code in ("ON", "2", 404), ("OFF", "4", 200):
            run(admin, f"SET GLOBAL wsrep_desync = {switch}")
            expect("state", shown(admin, "SHOW STATUS LIKE 'wsrep_local_state'"), {"wsrep_local_state": state})
            expect("variable", run(admin, "SELECT @@wsrep_desync"), ((int(switch == "ON"),),))
            expect("health", health(1)[0], code)
            with node(1) as other:
                run(other, "SELECT 1")


def load():
    """Changes a table until the file that says so is gone."""
    running = os.path.join(sys.argv[3], "loaded")
    define(
        "DROP DATABASE IF EXISTS osc",
        "CREATE DATABASE osc",
        "CREATE TABLE osc.big (id INT PRIMARY KEY, payload VARCHAR(200) NOT NULL, writes INT NOT NULL DEFAULT 0)",
    )
    with node(1, autocommit=True) as connection:
        for first in range(0, 20000, 2000):
            rows = ",".join(f"({key}, REPEAT('{key}', 20))" for key in range(first, first + 2000))
            run(connection, f"INSERT INTO osc.big (id, payload) VALUES {rows}")
        # By these the tool knows how much it copies at once.
        run(connection, "ANALYZE TABLE osc.big")
    expect_positions(position(1))
    counts = {"written": 0, "deadlocks": 0}
    lock = threading.Lock()

    def client(number):
        with node(number, autocommit=True) as connection:
            key = number
            while os.path.exists(running):
                key = (key + 7 * number) % 20000
                try:
                    done = run_count(connection, f"UPDATE osc.big SET writes = writes + 1 WHERE id = {key}")
                    with lock:
                        counts["written"] += done
                except pymysql.err.OperationalError as error:
                    if error.args[0] != 1213:
                        raise
                    with lock:
                        counts["deadlocks"] += 1

    with open(running, "w"):
        pass
    at_once(120, *[lambda number=number: client(number) for number in NODES])
    print(f"{counts['written']} rows changed meanwhile, {counts['deadlocks']} deadlocks", flush=True)
    expect_equal()
    with node(1) as connection:
        expect("changes", int(run(connection, "SELECT SUM(writes) FROM osc.big")[0][0]), counts["written"])


def run_count(connection, statement):
    with connection.cursor() as cursor:
        return cursor.execute(statement)


def changed():
    expect_equal()
    for number in NODES:
        with server(number) as connection:
            added = run(connection, "SELECT COUNT(*), SUM(added) FROM osc.big FORCE INDEX (by_payload)")[0]
            expect(f"rows on server {number}", (added[0], int(added[1])), (20000, 140000))
            expect("tables left", run(connection, "SHOW TABLES FROM osc"), (("big",),))
            expect("triggers left", run(connection, "SHOW TRIGGERS FROM osc"), ())


def metrics(number):
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT + 100 + number}/metrics", timeout=5) as answer:
        return answer.read().decode()


def value(text, series):
    return float(re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)[1])


SERIES = (
    'trireme_commits_total{outcome="committed"}',
    'trireme_commits_total{outcome="conflict"}',
    'trireme_commit_phase_seconds_count{phase="commit"}',
    'trireme_write_sets_total{direction="sent"}',
    'trireme_write_sets_total{direction="received"}',
)


def counts():
    """Exactly what was done: 100 commits on each of two nodes, and one conflict."""
    define("CREATE DATABASE counted", "CREATE TABLE counted.t (id INT PRIMARY KEY, v INT)", "INSERT INTO counted.t VALUES (1, 0)")
    before = {number: metrics(number) for number in NODES}
    for number in (1, 2):
        with node(number, autocommit=True) as connection:
            for key in range(100):
                run(connection, f"INSERT INTO counted.t VALUES ({1000 * number + key}, 0)")
    expect_equal()
    with node(1) as loser, node(2) as winner:
        run(loser, "UPDATE counted.t SET v = 1 WHERE id = 1")
        run(winner, "UPDATE counted.t SET v = 2 WHERE id = 1", "COMMIT")
        expect("the loser", error_of(loser, "COMMIT"), 1213)
    expect_equal()
    after = {number: metrics(number) for number in NODES}
    for number, expected in ((1, (100, 1, 100, 100, 101)), (2, (101, 0, 101, 101, 100)), (3, (0, 0, 0, 0, 201))):
        found = tuple(value(after[number], series) - value(before[number], series) for series in SERIES)
        expect(f"what node {number} counted", found, expected)
        expect("sessions", value(after[number], "trireme_sessions"), 0.0)
    expect("leaders", sum(value(text, "trireme_leader") for text in after.values()), 1.0)


def dashboard():
    """Every question of the Grafana dashboard has an answer."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(f"{root}/packaging/grafana.json") as file:
        panels = json.load(file)["panels"]
    questions = [target["expr"] for panel in panels for target in panel["targets"]]
    deadline = time.time() + 20
    for question in questions:
        asked = question.replace("$job", ".+").replace("$instance", ".+")
        address = f"http://127.0.0.1:{sys.argv[3]}/api/v1/query?" + urllib.parse.urlencode({"query": asked})
        while not json.load(urllib.request.urlopen(address, timeout=5))["data"]["result"]:
            if time.time() > deadline:
                sys.exit(f"FAILED: the dashboard gets no answer to {question}")
            time.sleep(0.5)
    print(f"{len(questions)} questions of the dashboard are answered")


def alone():
    """Without the others a node says that it is not ready, and how many there are."""
    box = sys.argv[3]
    with node(1, autocommit=True) as connection:
        kill(*[f"{box}/node{number}/trireme.pid" for number in (2, 3)])
        expected = {"wsrep_cluster_size": "1", "wsrep_cluster_status": "non-Primary", "wsrep_ready": "OFF", "wsrep_local_state": "0"}
        names = ", ".join(f"'{name}'" for name in expected)
        deadline = time.time() + 10
        while (found := shown(connection, f"SHOW STATUS WHERE Variable_name IN ({names})")) != expected:
            if time.time() > deadline:
                sys.exit(f"FAILED: alone: {found}")
            time.sleep(0.1)


{"queries": queries, "desync": desync, "load": load, "changed": changed, "counts": counts, "dashboard": dashboard, "alone": alone}[PART]()
