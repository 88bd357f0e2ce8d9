"""Reads on one node what another has just committed.

Usage: drive.py PORT PART. Nodes are at PORT + 1 to 3.
"""

import sys
import threading
import time

import pymysql

from cluster import PORT, define, error_of, expect, node, run

PART = sys.argv[2]
COM_RESET_CONNECTION = 0x1F
ROUNDS = 100


def fail(what):
    sys.exit(f"FAILED: {what}")


def set_up():
    define("CREATE DATABASE fresh", "CREATE TABLE fresh.t (id INT PRIMARY KEY, v INT)", "INSERT INTO fresh.t VALUES (1, 0), (2, 0)",
           "CREATE PROCEDURE fresh.p() READS SQL DATA SELECT v FROM fresh.t WHERE id = 1")


def stale_reads(read, set_up=()):
    """How many of ROUNDS reads on node 2 lack what node 1 has committed before them."""
    stale = 0
    with node(1, autocommit=True) as writer, node(2, autocommit=True) as reader:
        run(reader, *set_up)
        # Some readers write, too.
        run(writer, "SET wsrep_sync_wait = 2")
        value = run(writer, "SELECT v FROM fresh.t WHERE id = 1")[0][0]
        for value in range(value + 1, value + 1 + ROUNDS):
            run(writer, f"UPDATE fresh.t SET v = {value} WHERE id = 1")
            got = read(reader, value)
            if got != value:
                stale += 1
    return stale


def by(*statements):
    return lambda reader, _: run(reader, *statements)[0][0]


def in_transaction(reader, _):
    ((value,),) = run(reader, "BEGIN", "SELECT v FROM fresh.t WHERE id = 1")
    run(reader, "COMMIT")
    return value


def rows_changed(reader, value):
    with reader.cursor() as cursor:
        return value if cursor.execute(f"UPDATE fresh.t SET v = -v WHERE id = 1 AND v = {value}") and cursor.execute(
            f"UPDATE fresh.t SET v = {value} WHERE id = 1") else None


def rows_inserted(reader, value):
    with reader.cursor() as cursor:
        return value if cursor.execute(f"INSERT INTO fresh.t SELECT 1000 + v, 0 FROM fresh.t WHERE id = 1 AND v = {value}") else None


SELECT = "SELECT v FROM fresh.t WHERE id = 1"


def reads():
    prepared = ("SET wsrep_sync_wait = 1", f"PREPARE s FROM '{SELECT}'")
    stale = {}
    for name, read, *set_up in (
        ("nothing set", by(SELECT)),
        ("another kind", by(SELECT), "SET wsrep_sync_wait = 14"),
        ("SELECT", by(SELECT), "SET SESSION wsrep_sync_wait = 1"),
        ("a transaction", in_transaction, "SET @@wsrep_sync_wait = 1"),
        ("EXECUTE", by("EXECUTE s"), *prepared),
        ("CALL", by("CALL fresh.p()"), "SET autocommit = 1, wsrep_sync_wait = 1, @a = 2"),
        ("UPDATE", rows_changed, "SET wsrep_sync_wait = 2"),
        ("INSERT", rows_inserted, "SET wsrep_sync_wait = 4"),
        ("causal reads", by(SELECT), "SET wsrep_causal_reads = ON"),
    ):
        stale[name] = stale_reads(read, set_up)
    print(f"of {ROUNDS} reads on another node right after a commit were stale: {stale}")
    for name in ("nothing set", "another kind"):
        if not stale.pop(name):
            fail(f"no read was stale ({name}): nothing is shown")
    if any(stale.values()):
        fail("a read that waits was stale")


def tables():
    with node(1, autocommit=True) as one, node(2, autocommit=True) as other:
        run(other, "SET wsrep_sync_wait = 8", "USE fresh")
        for number in range(20):
            run(one, f"CREATE TABLE fresh.made{number} (id INT PRIMARY KEY)")
            expect("SHOW TABLES", run(other, f"SHOW TABLES LIKE 'made{number}'"), ((f"made{number}",),))
    print("20 tables were shown on another node as soon as they were there")


def crowd():
    """Many readers at once, who share what they wait for."""
    stop, errors, count = threading.Event(), [], [0]
    committed = [0]

    def write():
        with node(1, autocommit=True) as writer:
            value = run(writer, "SELECT v FROM fresh.t WHERE id = 2")[0][0]
            while not stop.is_set():
                value += 1
                run(writer, f"UPDATE fresh.t SET v = {value} WHERE id = 2")
                committed[0] = value

    def read(number):
        with node(number, autocommit=True) as reader:
            run(reader, "SET wsrep_sync_wait = 1")
            while not stop.is_set():
                before = committed[0]
                ((value,),) = run(reader, "SELECT v FROM fresh.t WHERE id = 2")
                if value < before:
                    errors.append((before, value))
                count[0] += 1

    threads = [threading.Thread(target=write)] + [threading.Thread(target=read, args=(2 + i % 2,)) for i in range(20)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    stop.set()
    for thread in threads:
        thread.join()
    expect("stale reads of a crowd", errors, [])
    print(f"20 readers on two nodes read {count[0]} times beside {committed[0]} commits, nothing stale")


def settings():
    """What is set is what is shown, for the session and for those to come."""
    def shown(connection):
        ((session, everybody),) = run(connection, "SELECT @@wsrep_sync_wait, @@GLOBAL.wsrep_sync_wait")
        expect("SHOW", run(connection, "SHOW VARIABLES LIKE 'wsrep_sync_wait'"), (("wsrep_sync_wait", str(session)),))
        expect("SHOW GLOBAL", run(connection, "SHOW GLOBAL VARIABLES LIKE 'wsrep_sync_wait'"), (("wsrep_sync_wait", str(everybody)),))
        return session, everybody
    with node(1, autocommit=True) as connection:
        for statement, expected in (
            ("DO 0", (0, 0)),
            ("SET wsrep_sync_wait = 7", (7, 0)),
            ("SET @was = @@wsrep_sync_wait, wsrep_sync_wait = 1 + 2", (3, 0)),
            ("SET wsrep_sync_wait = @was", (7, 0)),
            ("SET wsrep_sync_wait = 99", (15, 0)),
            ("SET wsrep_causal_reads = OFF", (14, 0)),
            ("SET GLOBAL wsrep_sync_wait = 3", (14, 3)),
            ("SET wsrep_sync_wait = DEFAULT", (3, 3)),
            ("SET wsrep_sync_wait = @@GLOBAL.wsrep_sync_wait + 1", (4, 3)),
        ):
            run(connection, statement)
            expect(statement, shown(connection), expected)
        with node(1) as other:
            expect("a new session", shown(other), (3, 3))
            run(other, "SET wsrep_sync_wait = 1")
            other._execute_command(COM_RESET_CONNECTION, b"")
            other._read_ok_packet()
            expect("a session that was reset", shown(other), (3, 3))
        run(connection, "SET GLOBAL wsrep_sync_wait = DEFAULT")
        expect("DEFAULT", shown(connection), (4, 0))
        for statement, number in (
            ("SET wsrep_sync_wait = 'much'", 1232),
            ("SET wsrep_sync_wait = (SELECT 1 FROM fresh.nothing)", 1146),
            ("SET wsrep_sync_wait = 1, sort_buffer_size = 'much'", 1232),
            ("SET wsrep_sync_wait = 1, wsrep_on = 0", 1231),
        ):
            expect(statement, error_of(connection, statement), number)
            expect(statement, shown(connection), (4, 0))
        run(connection, "CREATE USER IF NOT EXISTS reader IDENTIFIED BY 'r'")
    with pymysql.connect(host="127.0.0.1", port=PORT + 1, user="reader", password="r") as reader:
        run(reader, "SET wsrep_sync_wait = 1")
        expect("everybody's", error_of(reader, "SET GLOBAL wsrep_sync_wait = 1"), 1227)
        expect("a reader's", shown(reader), (1, 0))
    print("settings are what is shown")


def alone():
    """Without a majority nobody knows what is stale."""
    with node(1, autocommit=True) as connection:
        run(connection, "SET wsrep_sync_wait = 1")
        started = time.time()
        expect("without a majority", error_of(connection, "SELECT 1"), 1047)
        if time.time() - started > 2:
            fail("it took longer than 2 s")
        print("without a majority a read that waits is refused at once")


{"set_up": set_up, "reads": reads, "tables": tables, "crowd": crowd, "settings": settings, "alone": alone}[PART]()
