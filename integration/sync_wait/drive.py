"""Reads on one node what another has just committed.

Usage: drive.py PORT PART. Nodes are at PORT + 1 to 3.
"""

import struct
import sys
import threading
import time

import pymysql

import wire
from cluster import PORT, define, error_of, expect, node, run, server

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
    with server(1) as connection:
        is_mariadb = "MariaDB" in run(connection, "SELECT VERSION()")[0][0]
    for name, read, *set_up in (
        ("nothing set", by(SELECT)),
        ("another kind", by(SELECT), "SET wsrep_sync_wait = 14"),
        ("SELECT", by(SELECT), "SET SESSION wsrep_sync_wait = 1"),
        ("a transaction", in_transaction, "SET @@wsrep_sync_wait = 1"),
        ("EXECUTE", by("EXECUTE s"), *prepared),
        ("CALL", by("CALL fresh.p()"), "SET autocommit = 1, wsrep_sync_wait = 1, @a = 2"),
        ("UPDATE", rows_changed, "SET wsrep_sync_wait = 2"),
        ("INSERT", rows_inserted, "SET wsrep_sync_wait = 4"),
        *([("SET STATEMENT", by(f"SET STATEMENT wsrep_sync_wait = 1, max_statement_time = 9 FOR {SELECT}")),
           ("another SET STATEMENT", by(f"SET STATEMENT max_statement_time = 9 FOR {SELECT}"), "SET wsrep_sync_wait = 1")] if is_mariadb else []),
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
        if "MariaDB" in connection.get_server_info():
            shows = "SELECT @@wsrep_sync_wait, @@sort_buffer_size"
            statement = f"SET STATEMENT wsrep_sync_wait = 5, sort_buffer_size = 100000 FOR {shows}"
            expect(statement, run(connection, statement), ((5, 100000),))
            expect("after it", shown(connection), (4, 3))
            wrong = statement.replace("5", "'much'")
            expect(wrong, error_of(connection, wrong), 1232)
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


SEEN, WRITTEN, UPTO = "WSREP_LAST_SEEN_GTID()", "WSREP_LAST_WRITTEN_GTID()", "WSREP_SYNC_WAIT_UPTO_GTID"
NOWHERE = "00000000-0000-0000-0000-000000000000:-1"


def positions():
    """A client that has written or read on one node waits on another until that has it."""
    with node(1, autocommit=True) as writer, node(1, autocommit=True) as witness, node(2, autocommit=True) as reader:
        expect("before it writes", run(writer, f"SELECT {WRITTEN}"), ((NOWHERE,),))
        expect("nothing to wait for", run(reader, f"SELECT {UPTO}('{NOWHERE}')"), ((1,),))
        ((uuid, value),) = run(writer, "SELECT @@wsrep_start_position, v FROM fresh.t WHERE id = 1")
        uuid = uuid.split(":")[0]
        late = 0
        for value in range(value + 1, value + 1 + ROUNDS):
            run(writer, f"UPDATE fresh.t SET v = {value} WHERE id = 1")
            by = (writer, WRITTEN) if value % 2 else (witness, SEEN)
            ((gtid,),) = run(by[0], f"SELECT {by[1]}")
            expect("of this cluster", gtid.split(":")[0], uuid)
            late += run(reader, SELECT) != ((value,),)
            expect("it waits", run(reader, f"SELECT {UPTO}('{gtid}', 5)"), ((1,),))
            expect("it is there", run(reader, SELECT), ((value,),))
        if not late:
            fail("no read was stale: nothing is shown")
        print(f"{late} of {ROUNDS} reads would have been stale without {UPTO}")
        for number in range(5):
            run(writer, "BEGIN", f"UPDATE fresh.t SET v = v - {number} WHERE id = 2", "COMMIT", f"CREATE TABLE fresh.placed{number} (id INT PRIMARY KEY)",
                f"SET @gtid = {WRITTEN}")
            ((gtid,),) = run(writer, "SELECT @gtid")
            run(reader, f"DO {UPTO}('{gtid}')", f"SELECT * FROM fresh.placed{number}")
        # What it does not write leaves the position as it is.
        run(writer, "SELECT 1", "BEGIN", "SELECT v FROM fresh.t", "ROLLBACK", "UPDATE fresh.t SET v = 0 WHERE id = 99")
        expect("as it was", run(writer, f"SELECT {WRITTEN}"), ((gtid,),))
        with writer.cursor() as cursor:
            cursor.execute(f"SELECT {WRITTEN} = '{gtid}', @@wsrep_on, {SEEN} AS seen")
            expect("columns", [column[0] for column in cursor.description], [f"{WRITTEN} = '{gtid}'", "@@wsrep_on", "seen"])
            expect("among others", cursor.fetchone()[:2], (1, 1))
        future = f"{uuid}:{int(gtid.split(':')[1]) + 1000}"
        started = time.time()
        expect("too late", error_of(reader, f"SELECT {UPTO}('{future}', 0.2)"), 1205)
        if not 0.2 <= time.time() - started < 2:
            fail(f"it waited for {time.time() - started} s")
        for wrong in ("'a'", "NULL", "'0-1-5'", f"'{uuid}:'", f"'{uuid}:-1'", "'%s:1'" % NOWHERE.split(":")[0]):
            expect(wrong, error_of(reader, f"SELECT {UPTO}({wrong})"), 1210)
        expect("of others", error_of(reader, f"SELECT {UPTO}({SEEN.replace('(', '( ')})") in (1210, 1235), True)
        expect("in SQL's PREPARE", error_of(reader, f"PREPARE p FROM 'SELECT {SEEN}'"), 1235)


def prepared():
    """As a driver prepares it."""
    connection = wire.Connection(PORT + 2, wire.COMMON)

    def results(text, *parameters, times=2):
        answer = connection.exchange(wire.prepare(text))
        expect(f"{text} is prepared", answer[4], 0)
        (number, columns, expected) = struct.unpack("<IHH", answer[5:13])
        expect("parameters", (expected, columns), (len(parameters), text.count(",") - text.count("?,") + 1 if "SELECT" in text else 2))
        return [connection.exchange(wire.execute(number, parameters)) for _ in range(times)]

    with node(1, autocommit=True) as writer:
        run(writer, "UPDATE fresh.t SET v = v + 1 WHERE id = 1")
        ((gtid,),) = run(writer, f"SELECT {WRITTEN}")
    # One row: a head, NULLs, a number.
    for answer in results(f"SELECT {UPTO}(?, ?)", gtid, "5"):
        expect("a position as a parameter", b"\0\0\1" in answer, True)
    # A node's own settings, and others beside them.
    for text, *parameters in (("SET wsrep_sync_wait = 3",), ("SET @a = ?, SESSION wsrep_sync_wait = ?", "first", "3"), ("SET @@wsrep_sync_wait = ?, wsrep_retry_autocommit = 2", "3")):
        connection.exchange(wire.query("SET wsrep_sync_wait = 0, @a = 'first'"))
        answer = connection.exchange(wire.prepare(text))
        expect(f"{text} is prepared", (answer[4], struct.unpack("<HH", answer[9:13])), (0, (0, len(parameters))))
        number = struct.unpack("<I", answer[5:9])[0]
        for _ in range(2):
            connection.exchange(wire.execute(number, parameters))
            answer = connection.exchange(wire.query("SELECT CONCAT(@a, ' is set, and it is ', @@wsrep_sync_wait)"))
            expect(text, b"first is set, and it is 3" in answer, True)
    with node(2, autocommit=True) as other:
        if "MariaDB" in run(other, "SELECT VERSION()")[0][0]:
            run(other, "PREPARE s FROM 'SET wsrep_sync_wait = 5'", "EXECUTE s")
            expect("EXECUTE", run(other, "SELECT @@wsrep_sync_wait"), ((5,),))
            run(other, "EXECUTE IMMEDIATE 'SET wsrep_sync_wait = 6'")
            expect("EXECUTE IMMEDIATE", run(other, "SELECT @@wsrep_sync_wait"), ((6,),))
    first, second = results(f"SELECT {SEEN}, @@wsrep_cluster_name")
    expect("a position", gtid.split(":")[0].encode() in first, True)
    with node(2, autocommit=True) as other:
        ((before,),) = run(other, f"SELECT {SEEN}")
        answer = connection.exchange(wire.prepare(f"SELECT {SEEN}"))
        run(other, "UPDATE fresh.t SET v = v + 1 WHERE id = 1")
        ((after,),) = run(other, f"SELECT {WRITTEN}")
        answer = connection.exchange(wire.execute(struct.unpack("<I", answer[5:9])[0]))
        expect("as it is when it runs", (before.encode() in answer, after.encode() in answer), (False, True))
    for text, found in (
        ("SHOW STATUS LIKE 'wsrep_local_state_comment'", b"Synced"),
        ("SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'Uptime')", b"wsrep_ready"),
        ("SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'Uptime')", b"\6Uptime"),
        ("SHOW VARIABLES LIKE 'wsrep_provider'", b"trireme"),
    ):
        for answer in results(text):
            expect(f"{text} has {found}", found.lower() in answer.lower(), True)


def alone():
    """Without a majority nobody knows what is stale."""
    with node(1, autocommit=True) as connection:
        run(connection, "SET wsrep_sync_wait = 1")
        started = time.time()
        expect("without a majority", error_of(connection, "SELECT 1"), 1047)
        if time.time() - started > 2:
            fail("it took longer than 2 s")
        run(connection, "SET wsrep_sync_wait = 0")
        ((uuid,),) = run(connection, "SELECT @@wsrep_start_position")
        expect("a position that may never come", error_of(connection, f"DO {UPTO}('{uuid.split(':')[0]}:999999')"), 1047)
        print("without a majority a read that waits is refused at once")


{"set_up": set_up, "reads": reads, "tables": tables, "crowd": crowd, "settings": settings, "positions": positions, "prepared": prepared,
 "alone": alone}[PART]()
