"""A sandbox of three nodes, for the scripts that write through it. Its port is the script's first argument."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pymysql

PORT = int(sys.argv[1])
NODES = (1, 2, 3)
# Where each node and its server are.
HOSTS = dict.fromkeys(NODES, "127.0.0.1")
NO_SUCH_TABLE = 1146
# What is each server's and each node's own.
OWN_SCHEMAS = "('mysql', 'sys', 'performance_schema', 'information_schema', 'trireme', 'trireme_private')"


def connect(host, port, **options):
    return pymysql.connect(host=host, port=port, user="root", charset="utf8mb4", **options)


def node(number, **options):
    return connect(HOSTS[number], PORT + number, **options)


def run(connection, *statements):
    rows = ()
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            rows = cursor.fetchall()
    return rows


def error_of(connection, statement):
    """The number of the error that a statement gets, if it gets any."""
    try:
        run(connection, statement)
    except pymysql.MySQLError as error:
        return error.args[0]
    return None


def expect(what, found, expected):
    if found != expected:
        sys.exit(f"FAILED: {what}: {found!r}, expected {expected!r}")


def server(number, **options):
    return connect(HOSTS[number], PORT + 300 + number, **options)


def position(number):
    with server(number) as connection:
        return run(connection, "SELECT seqno FROM trireme_private.position")[0][0]


def level(connection):
    """Waits, outside a transaction, until a node has all that was committed anywhere."""
    run(connection, "SET wsrep_sync_wait = 1", "SELECT 1", "SET wsrep_sync_wait = 0")


def define(*statements, number=1):
    """Runs definitions on a node, and what writes rows after them, and waits until the others have all of that too."""
    with node(number, autocommit=True) as connection:
        run(connection, *statements)
    for other in NODES:
        with node(other, autocommit=True) as connection:
            level(connection)


def expect_positions(last):
    deadline = time.time() + 10
    while any(position(number) < last for number in NODES):
        if time.time() > deadline:
            sys.exit(f"FAILED: the servers are at {[position(number) for number in NODES]} and not at {last}")
        time.sleep(0.01)


def print_waits():
    """What every server is busy with and what waits there for what, for whoever found a client that waits for ever."""
    statements = ["SELECT * FROM information_schema.processlist WHERE command <> 'Sleep'", "XA RECOVER",
                  "SELECT * FROM trireme_private.position", "SELECT * FROM information_schema.innodb_trx"]
    for number in NODES:
        with server(number) as connection:
            if "MariaDB" in run(connection, "SELECT VERSION()")[0][0]:
                locks = ["SELECT * FROM information_schema.innodb_lock_waits", "SELECT * FROM information_schema.innodb_locks"]
            else:
                locks = ["SELECT * FROM performance_schema.data_lock_waits",
                         "SELECT processlist_id, l.* FROM performance_schema.data_locks l"
                         " LEFT JOIN performance_schema.threads USING (thread_id) WHERE lock_type = 'RECORD'"]
            for statement in statements + locks:
                print(f"-- server {number}: {statement}", *run(connection, statement), sep="\n   ")


def at_once(seconds, *clients):
    """Runs clients, each in a thread, that end by themselves after these seconds; none of them may fail."""
    wrong = []

    def guarded(client):
        try:
            client()
        except Exception as error:  # noqa: BLE001
            wrong.append(repr(error))

    threads = [threading.Thread(target=guarded, args=(client,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(float(seconds) + 30)
        if thread.is_alive():
            print_waits()
            sys.exit("FAILED: a client waits for ever")
    if wrong:
        sys.exit(f"FAILED: {wrong[:5]}")


def tables_of(connection):
    return run(
        connection,
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
        f"AND table_schema NOT IN {OWN_SCHEMAS}",
    )


def checksums(number):
    """What each table of a server comes to; None for those that go meanwhile. CHECKSUM TABLE is none of MariaDB's for rows with virtual columns that are NULL: it depends on
    what was read before."""
    with server(number) as connection:
        names = [f"`{schema}`.`{table}`" for schema, table in tables_of(connection)]
        sums = dict(run(connection, "CHECKSUM TABLE " + ", ".join(names)))
        virtual = run(
            connection,
            f"SELECT DISTINCT table_schema, table_name FROM information_schema.columns WHERE extra LIKE 'VIRTUAL%' AND table_schema NOT IN {OWN_SCHEMAS}",
        )
        for schema, table in virtual:
            try:
                sums[f"{schema}.{table}"] = sorted(run(connection, f"SELECT * FROM `{schema}`.`{table}`"), key=repr)
            except pymysql.ProgrammingError as error:
                if error.args[0] != NO_SUCH_TABLE:
                    raise
                sums[f"{schema}.{table}"] = None
        return sums


def expect_equal(*numbers):
    """Waits until these servers' tables, or all servers', are equal: a commit is applied elsewhere soon after."""
    deadline = time.time() + 10
    while True:
        first, *others = [checksums(number) for number in numbers or NODES]
        if first and None not in first.values() and all(other == first for other in others):
            return len(first)
        if time.time() > deadline:
            sys.exit(f"FAILED: the servers differ: {first} {others}")
        time.sleep(0.05)


def status(number):
    """What a node tells of its cluster and itself."""
    with urllib.request.urlopen(f"http://{HOSTS[number]}:{PORT + 100 + number}/status", timeout=5) as answer:
        document = json.load(answer)
    return document.pop("cluster") | document


def health(number):
    """The status and the words of a node's health, or nothing if it does not answer."""
    try:
        with urllib.request.urlopen(f"http://{HOSTS[number]}:{PORT + 100 + number}/health", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return None


def runs(pid):
    """Whether a process has a thread left that holds its files: what its parent has not waited for yet has none."""
    try:
        with open(f"/proc/{pid}/status") as file:
            status = file.read()
    except FileNotFoundError:
        return False
    return "\nState:\tZ" not in status or "\nThreads:\t1\n" not in status


def pid_of(pid_file):
    with open(pid_file) as file:
        return int(file.read())


def kill(*pid_files):
    """Kills processes, all before any of them has gone, and waits until they have."""
    pids = [pid_of(pid_file) for pid_file in pid_files]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid_file in pid_files:
        os.remove(pid_file)
    while any(runs(pid) for pid in pids):
        time.sleep(0.005)


def start_again(sandbox):
    started = subprocess.run(sandbox, capture_output=True, text=True, timeout=60)
    if started.returncode:
        sys.exit(f"FAILED: {started.stdout}{started.stderr}")
