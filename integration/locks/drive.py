"""Locks with names, across the nodes of a cluster.

Usage: drive.py PORT PART [BOX SANDBOX…]. Nodes are at PORT + 1 to 3, their servers at PORT + 301 to 303; BOX is the sandbox's directory and
SANDBOX its command.
"""

import os
import re
import signal
import struct
import sys
import threading
import time

import wire
from cluster import PORT, at_once, define, error_of, expect, expect_equal, kill, node, pid_of, run, server, start_again

PART = sys.argv[2]
RESET_CONNECTION = 0x1F
LOCK_WAIT_TIMEOUT = 1205
QUERY_INTERRUPTED = 1317
SECONDS = 4
# In the definition of a column of numbers.
WIDTH = re.compile(rb"(\x0c\x3f\0)....([\x03\x08])", re.DOTALL)
# What is patient enough for a server to notice that a session has gone.
SOON = 5


def ask(connection, *columns):
    """The values of one row."""
    return run(connection, f"SELECT {', '.join(columns)}")[0]


def three(**options):
    return [node(number, autocommit=True, **options) for number in (1, 2, 3)]


def functions():
    """Every function, by who has a lock, by others on the same node, and on other nodes."""
    one, two, three_ = three()
    near = node(1, autocommit=True)
    expect("the first who asks", ask(one, "GET_LOCK('a', 0)", "IS_USED_LOCK('a') = CONNECTION_ID()", "IS_FREE_LOCK('a')"), (1, 1, 0))
    (id_,) = ask(one, "CONNECTION_ID()")
    for other in (near, two, three_):
        others = "GET_LOCK('a', 0)", "IS_FREE_LOCK('a')", "IS_USED_LOCK('a')", "RELEASE_LOCK('a')", "RELEASE_ALL_LOCKS()"
        expect("others", ask(other, *others), (0, 0, id_, 0, 0))
    expect("another lock", ask(two, "GET_LOCK('b', 0)", "GET_LOCK('é', 0)", "GET_LOCK('a', 0)"), (1, 1, 0))
    expect("an accent is a letter of its own", ask(three_, "GET_LOCK('é', 0)", "GET_LOCK('e', 0)"), (0, 1))
    expect("another case is another letter to MariaDB", ask(three_, "GET_LOCK('A', 0)", "GET_LOCK('É', 0)"), (is_mariadb(one), is_mariadb(one)))
    # As often given up as taken.
    expect("again", ask(one, "GET_LOCK('a', 0)", "RELEASE_LOCK('a')"), (1, 1))
    expect("once is not enough", ask(two, "GET_LOCK('a', 0)"), (0,))
    run(one, "DO RELEASE_LOCK('a')")
    expect("given up", ask(two, "GET_LOCK('a', 0)"), (1,))
    expect("not one's own any more", ask(one, "RELEASE_LOCK('a')", "RELEASE_LOCK('nobody''s')"), (0, None))
    expect("all", ask(two, "RELEASE_ALL_LOCKS()"), (3,))
    run(three_, "SET @name = 'variable', @got = 0", "SET @got = GET_LOCK(CONCAT(@name, 1 + 1), 0.5)")
    expect("in SET, with expressions", ask(three_, "@got"), (1,))
    expect("in SET, with expressions, elsewhere", ask(one, "IF(GET_LOCK('variable2', 0), 'got', 'not')"), ("not",))
    # A transaction has nothing to do with it.
    run(one, "BEGIN", "SELECT GET_LOCK('within', 0)", "ROLLBACK")
    expect("after ROLLBACK", ask(two, "GET_LOCK('within', 0)"), (0,))
    # Only what is called takes a lock.
    expect("not called", ask(one, "IF(1 = 2, GET_LOCK('idle', 0), 7)"), (7,))
    expect("not called, elsewhere", ask(two, "GET_LOCK('idle', 0)"), (1,))


def exact():
    """The answers are a server's own, to the byte, but for how wide a number is shown."""
    texts = ["SELECT GET_LOCK('x', 0)", "SELECT GET_LOCK('x', 0) AS `a b`, 1 + GET_LOCK('x', 0)", "SELECT IS_FREE_LOCK('x'), RELEASE_LOCK('x')",
             "DO GET_LOCK('x', 0)", "SET @a = GET_LOCK('x', 0)", "SELECT GET_LOCK('x')", "SELECT GET_LOCK(NULL, 1)", "SELECT GET_LOCK('', 1)",
             "SELECT GET_LOCK(REPEAT('a', 65), 1)", "SELECT RELEASE_LOCK('nobody')", "SELECT IS_USED_LOCK('nobody'), IS_FREE_LOCK('nobody')",
             "SELECT GET_LOCK('mine', 1), RELEASE_ALL_LOCKS()", "SELECT GET_LOCK('mine', -0.1), RELEASE_ALL_LOCKS(); SELECT GET_LOCK('x', 0); DO 1"]
    compared = 0
    for capabilities in (wire.COMMON, wire.COMMON | wire.DEPRECATE_EOF):
        answers = []
        for holder, other in ((PORT + 1, PORT + 2), (PORT + 301, PORT + 301)):
            holder, other = wire.Connection(holder, capabilities), wire.Connection(other, capabilities)
            holder.exchange(wire.query("SELECT GET_LOCK('x', 0)"))
            answers.append([other.exchange(wire.query(text)) for text in texts])
            holder.last_words(wire.packet(b"\x01"))
            other.last_words(wire.packet(b"\x01"))
        for text, through_node, direct in zip(texts, *answers):
            expect(text, *(WIDTH.sub(rb"\1\2", answer) for answer in (through_node, direct)))
            compared += 1
    print(f"{compared} answers are the server's own")


def waiting():
    """Who waits gets a lock as soon as it is free, and gives up in time; a session that is killed waits no longer."""
    one, two, three_ = three()
    for holder, waiter in ((one, two), (two, three_), (three_, node(3, autocommit=True))):
        ask(holder, "GET_LOCK('w', 0)")
        began = time.monotonic()
        expect("in vain", ask(waiter, "GET_LOCK('w', 1)"), (0,))
        waited = time.monotonic() - began
        assert 0.9 < waited < 3, f"waited for {waited} s instead of one"
        timer = threading.Timer(0.5, run, (holder, "DO RELEASE_LOCK('w')"))
        timer.start()
        began = time.monotonic()
        expect("until it is free", ask(waiter, "GET_LOCK('w', 60)"), (1,))
        timer.join()
        print(f"a lock was had {time.monotonic() - began - 0.5:.2f} s after it was given up")
        run(waiter, "DO RELEASE_LOCK('w')")
    ask(one, "GET_LOCK('w', 0)")
    (id_,) = ask(two, "CONNECTION_ID()")
    timer = threading.Timer(0.3, run, (node(2, autocommit=True), f"KILL {id_}"))
    timer.start()
    assert error_of(two, "SELECT GET_LOCK('w', 60)"), "a session that was killed waits for a lock"
    timer.join()
    # KILL QUERY ends a wait as it does on a server alone, and the session goes on.
    define("CREATE DATABASE IF NOT EXISTS locks", "CREATE TABLE IF NOT EXISTS locks.killed (id INT PRIMARY KEY)")
    near, killer = node(1, autocommit=True), node(1, autocommit=True)
    run(one, "LOCK TABLES locks.killed WRITE")
    alone = server(3, autocommit=True), server(3, autocommit=True), server(3, autocommit=True)
    ask(alone[0], "GET_LOCK('w', 0)")
    for waiter, other, statement in ((alone[1], alone[2], "SELECT GET_LOCK('w', 60)"), (near, killer, "SELECT GET_LOCK('w', 60)"),
                                     (near, killer, "SET @a = GET_LOCK('w', 60)"), (near, killer, "LOCK TABLES locks.killed WRITE")):
        id_, _ = ask(waiter, "CONNECTION_ID()", "@a := 'nothing'")
        # As often as it takes: what is killed before it waits goes on.
        stop = threading.Event()

        def kill_again():
            while not stop.wait(0.1):
                run(other, f"KILL QUERY {id_}")
        killing = threading.Thread(target=kill_again)
        killing.start()
        error, seconds = locked(waiter, statement)
        stop.set()
        killing.join()
        # To MariaDB it is no error, and the lock NULL.
        number = None if is_mariadb(waiter) and "GET_LOCK" in statement else QUERY_INTERRUPTED
        expect(f"{statement}, killed", (error, seconds < 10), (number, True))
        if statement.startswith("SET"):
            expect("not had", ask(waiter, "@a"), ("nothing" if number else None,))
        expect("goes on", ask(waiter, "1"), (1,))
    run(one, "UNLOCK TABLES")
    for connection in alone:
        connection.close()
    # Who waits inside a transaction is in nobody's way.
    define("CREATE DATABASE IF NOT EXISTS locks", "DROP TABLE IF EXISTS locks.t", "CREATE TABLE locks.t (id INT PRIMARY KEY, v INT)",
           "INSERT INTO locks.t VALUES (1, 0)")
    run(three_, "BEGIN", "UPDATE locks.t SET v = 3")
    waits = threading.Thread(target=lambda: expect("overtaken", error_of(three_, "SELECT GET_LOCK('w', 60)"), 1213), daemon=True)
    waits.start()
    # It may be overtaken before it waits, too, with the same error.
    time.sleep(0.3)
    run(one, "UPDATE locks.t SET v = 1")
    waits.join(10)
    assert not waits.is_alive(), "a session that waits for a lock holds up the applier"


def taken_within(connection, name, seconds):
    began = time.monotonic()
    expect(f"GET_LOCK('{name}')", ask(connection, f"GET_LOCK('{name}', {seconds})"), (1,))
    return time.monotonic() - began


def endings():
    """A session's locks go with it, however it ends; and when it is reset."""

    def closes(connection):
        connection.close()

    def breaks_off(connection):
        connection._force_close()

    def is_killed(connection):
        (id_,) = ask(connection, "CONNECTION_ID()")
        run(node(1, autocommit=True), f"KILL {id_}")

    def is_reset(connection):
        connection._execute_command(RESET_CONNECTION, b"")
        connection._read_ok_packet()

    two = node(2, autocommit=True)
    for ending in (closes, breaks_off, is_killed, is_reset):
        one = node(1, autocommit=True)
        expect("two locks", ask(one, "GET_LOCK('e', 0)", "GET_LOCK('f', 0)"), (1, 1))
        ending(one)
        took = taken_within(two, "e", SOON) + taken_within(two, "f", SOON)
        print(f"{ending.__name__}: {took:.2f} s")
        run(two, "DO RELEASE_ALL_LOCKS()")
    # A statement that its client does not wait for runs on, under its lock.
    one = node(1, autocommit=True)
    ask(one, "GET_LOCK('e', 0)")
    one._execute_command(3, "SELECT SLEEP(2), IS_USED_LOCK('e') = CONNECTION_ID()")
    while not run(server(1), "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(2)%'"):
        time.sleep(0.01)
    one._force_close()
    while run(server(1), "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(2)%'"):
        expect("while the statement runs", ask(two, "GET_LOCK('e', 0)"), (0,))
        time.sleep(0.05)
    taken_within(two, "e", SOON)


def prepared():
    """Statements that the driver prepares, with names and times as parameters."""
    one, two = (wire.Connection(PORT + number, wire.COMMON) for number in (1, 2))
    numbers = []
    for connection in (one, two):
        answers = [connection.exchange(wire.prepare(text)) for text in ("SELECT GET_LOCK(?, ?)", "SELECT IS_FREE_LOCK(?)", "DO RELEASE_ALL_LOCKS()")]
        numbers.append([struct.unpack("<I", answer[5:9])[0] for answer in answers])

    def got(connection, number, *parameters):
        """The first byte of the only value."""
        answer, packets, at = connection.exchange(wire.execute(number, parameters)), [], 0
        while at < len(answer):
            end = at + 4 + int.from_bytes(answer[at:at + 3], "little")
            packets.append(answer[at + 4:end])
            at = end
        # How many columns, one definition, its end; a row: its head, NULLs, the value.
        return packets[3][2]

    expect("a prepared GET_LOCK", got(one, numbers[0][0], "p", "0"), 1)
    for _ in range(2):
        expect("of another node", got(two, numbers[1][0], "p", "0"), 0)
    expect("a prepared IS_FREE_LOCK", got(two, numbers[1][1], "p"), 0)
    expect("a prepared IS_FREE_LOCK of another", got(two, numbers[1][1], "q"), 1)
    one.exchange(wire.execute(numbers[0][2]))
    expect("after a prepared RELEASE_ALL_LOCKS", got(two, numbers[1][0], "p", "0"), 1)


def refused():
    """What cannot hold across the cluster is refused."""
    two = node(2, autocommit=True)
    taken_within(two, "hidden", 0)
    define("CREATE DATABASE IF NOT EXISTS locks",
           "CREATE OR REPLACE PROCEDURE locks.hidden() DO GET_LOCK('hidden', 1)" if "MariaDB" in ask(server(1), "VERSION()")[0]
           else "CREATE PROCEDURE locks.hidden() DO GET_LOCK('hidden', 1)",
           "CREATE FUNCTION locks.hides() RETURNS INT READS SQL DATA RETURN GET_LOCK('hidden', 1)")
    with node(1, autocommit=True) as connection:
        run(connection, "SET @text = 'SELECT GET_LOCK(''a'', 1)'", "PREPARE of_variable FROM @text")
        for statement in ("EXECUTE of_variable", "CALL locks.hidden()", "SELECT locks.hides()", "PREPARE p FROM 'SELECT GET_LOCK(''a'', 1)'",
                          "SELECT GET_LOCK(schema_name, 1) FROM information_schema.schemata"):
            expect(statement, error_of(connection, statement), 1235)
        expect("the session goes on", ask(connection, "IS_FREE_LOCK('hidden')"), (0,))
        ((body,),) = run(connection, "SELECT routine_definition FROM information_schema.routines WHERE routine_name = 'hidden'")
        expect("the procedure", body, "DO GET_LOCK('hidden', 1)")


def migration():
    """Who holds a lock and defines something for long holds up nobody who does not want to wait."""
    one, two, three_ = three()
    define("CREATE DATABASE IF NOT EXISTS locks")
    ask(one, "GET_LOCK('migration', 0)")
    migrates = threading.Thread(target=run, args=(one, "CREATE TABLE locks.slow AS SELECT SLEEP(6) AS slept", "DO RELEASE_LOCK('migration')"))
    migrates.start()
    while not run(server(1), "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'CREATE TABLE locks.slow%'"):
        time.sleep(0.01)
    for seconds in (0, 1):
        began = time.monotonic()
        expect("in vain", ask(two, f"GET_LOCK('migration', {seconds})"), (0,))
        waited = time.monotonic() - began
        assert waited < 2.5, f"GET_LOCK(…, {seconds}) took {waited} s"
    assert migrates.is_alive(), "the definition was over too early"
    taken_within(three_, "migration", 60)
    migrates.join()
    expect("the new table", run(three_, "SELECT COUNT(*) FROM locks.slow"), ((1,),))


def crowd():
    """Many want the same lock: never two have it."""
    ends = time.monotonic() + SECONDS
    holders, had = [], [0, 0, 0, 0]

    def client(number):
        connection = node(number, autocommit=True)
        while time.monotonic() < ends:
            if ask(connection, "GET_LOCK('crowd', 1)") == (1,):
                holders.append(number)
                assert holders == [number], f"two have a lock: {holders}"
                had[number] += 1
                time.sleep(0.002)
                assert holders == [number], f"two have a lock: {holders}"
                holders.clear()
                expect("RELEASE_LOCK", ask(connection, "RELEASE_LOCK('crowd')"), (1,))

    at_once(SECONDS, *[lambda number=number: client(number) for number in (1, 2, 3) * 3])
    assert sum(had) > SECONDS and min(had[1:]) > 0, had
    print(f"nine clients had a lock {sum(had)} times in {SECONDS} s, by their nodes {had[1:]}")


def locked(connection, statement):
    """The number of the error that a statement ends with, and how long it takes."""
    began = time.monotonic()
    error = error_of(connection, statement)
    return error, time.monotonic() - began


def tables():
    """Who has locked a table for writing keeps out who would lock it, on all nodes, until he lets it go in one of many ways."""
    define("CREATE DATABASE IF NOT EXISTS locks", "USE locks", "CREATE TABLE tables_a (id INT PRIMARY KEY, n INT)", "CREATE TABLE tables_b LIKE tables_a", "INSERT INTO tables_a VALUES (1, 0)")
    one, two, three_ = three(database="locks")
    near = node(1, autocommit=True, database="locks")
    run(two, "SET lock_wait_timeout = 1")
    run(near, "SET lock_wait_timeout = 1")
    taking = "LOCK TABLES tables_b WRITE, tables_a AS a READ"
    run(one, taking, "INSERT INTO tables_b VALUES (1, 1)")
    for other in (two, near):
        for statement in ("LOCK TABLES tables_a WRITE", "LOCK TABLES locks.tables_b READ", taking):
            error, seconds = locked(other, statement)
            expect(statement, (error, 1 <= seconds < 4), (LOCK_WAIT_TIMEOUT, True))
    # Others may read, and write where it does not conflict; what one has committed under the lock, they have.
    expect("without a lock", run(near, "SELECT n FROM tables_b"), ((1,),))
    run(two, "INSERT INTO tables_a VALUES (2, 2)")
    # It goes with these, and not with those.
    run(one, "COMMIT", "ROLLBACK", "INSERT INTO tables_b VALUES (2, 2)", "CREATE TABLE tables_c (id INT PRIMARY KEY)", "SET autocommit = 1")
    expect("still", locked(near, taking)[0], LOCK_WAIT_TIMEOUT)
    for ending in ("UNLOCK TABLES", "LOCK TABLES tables_c WRITE", "BEGIN", "START TRANSACTION READ ONLY"):
        run(one, taking, ending)
        expect(ending, locked(near, taking)[0], None)
        run(near, "UNLOCK TABLES")
        run(one, "COMMIT", taking)
        run(one, "UNLOCK TABLES")
    run(one, taking)
    one._execute_command(RESET_CONNECTION, b"")
    one._read_ok_packet()
    run(three_, taking)
    three_.close()
    run(one, taking)
    run(server(1), f"KILL {ask(one, 'CONNECTION_ID()')[0]}")
    run(near, taking)
    near.close()
    # Prepared, by SQL and by the protocol.
    if is_mariadb(two):
        run(two, f"PREPARE taking FROM '{taking}'", "EXECUTE taking")
        other = node(1, database="locks")
        run(other, "SET lock_wait_timeout = 1")
        expect("EXECUTE", locked(other, taking)[0], LOCK_WAIT_TIMEOUT)
        run(two, "UNLOCK TABLES", f"EXECUTE IMMEDIATE '{taking}'", "PREPARE letting FROM 'UNLOCK TABLES'", "EXECUTE letting")
        raw = wire.Connection(PORT + 1, wire.COMMON)
        raw.exchange(wire.query("USE locks"))
        raw.exchange(wire.prepare(taking))
        raw.exchange(wire.execute(wire.LAST))
        expect("COM_STMT_EXECUTE", locked(other, taking)[0], LOCK_WAIT_TIMEOUT)
        raw.last_words(wire.packet(b"\x01"))
        run(other, taking, "UNLOCK TABLES")
    # What is open is committed before, and by the end of the lock; with autocommit off as well.
    late = node(3, autocommit=False, database="locks")
    run(late, "INSERT INTO tables_a VALUES (3, 3)", taking, "ROLLBACK", "INSERT INTO tables_b VALUES (3, 3)", "ROLLBACK", "INSERT INTO tables_b VALUES (4, 4)", "UNLOCK TABLES", "ROLLBACK")
    expect("committed", run(late, "SELECT id FROM tables_a WHERE id = 3 UNION ALL SELECT id FROM tables_b WHERE id > 2"), ((3,), (4,)))
    # The server says what is wrong, and nothing is locked then.
    for statement, number in (("LOCK TABLES tables_a WRITE, nothing WRITE", 1146), ("LOCK TABLES nowhere.t READ", 1146 if is_mariadb(two) else 1049),
                              ("LOCK TABLES tables_a", 1235)):
        expect(statement, locked(two, statement)[0], number)
    expect("nothing is locked", locked(two, taking)[0], None)
    expect("no database", locked(node(1), "LOCK TABLES t WRITE")[0], 1046)
    expect_equal()


def is_mariadb(connection):
    return "MariaDB" in ask(connection, "VERSION()")[0]


def read_tables():
    """Who has locked tables for reading reads what was in them then, while others go on; and waits until nobody writes under a lock."""
    define("CREATE DATABASE IF NOT EXISTS locks", "USE locks", "CREATE TABLE read_a (id INT PRIMARY KEY, n INT)", "CREATE TABLE read_b LIKE read_a", "INSERT INTO read_a VALUES (1, 0)", "INSERT INTO read_b VALUES (1, 0)")
    one, two, three_ = three(database="locks")
    # Levels at which a snapshot would not be one.
    for level in ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"):
        run(one, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}", "UPDATE read_a SET n = 0", "UPDATE read_b SET n = 0", "LOCK TABLES read_a READ LOCAL, read_b READ")
        for other in (two, three_):
            run(other, "SET wsrep_sync_wait = 7", "BEGIN", "UPDATE read_a SET n = n + 1", "UPDATE read_b SET n = n + 1", "COMMIT")
        expect("others go on", ask(two, "(SELECT n FROM read_a)", "(SELECT n FROM read_b)"), (2, 2))
        expect(level, ask(one, "(SELECT n FROM read_a)", "(SELECT n FROM read_b)"), (0, 0))
        run(one, "COMMIT", "ROLLBACK")
        expect(level, ask(one, "(SELECT n FROM read_a)", "(SELECT n FROM read_b)"), (0, 0))
        for refused in ("UPDATE read_a SET n = 7", "CREATE TABLE read_c (id INT PRIMARY KEY)", "FLUSH TABLES"):
            assert error_of(one, refused), refused
        expect(level, ask(one, "(SELECT n FROM read_a)", "(SELECT n FROM read_b)"), (0, 0))
        run(one, "UNLOCK TABLES", "SET wsrep_sync_wait = 1")
        expect("unlocked", ask(one, "(SELECT n FROM read_a)", "(SELECT n FROM read_b)"), (2, 2))
    run(two, "LOCK TABLES read_a WRITE")
    run(one, "SET lock_wait_timeout = 1")
    expect("somebody writes", locked(one, "LOCK TABLES read_b READ, read_a READ")[0], LOCK_WAIT_TIMEOUT)
    run(one, "SET lock_wait_timeout = 60")
    waits = threading.Thread(target=run, args=(one, "LOCK TABLES read_b READ, read_a READ"))
    waits.start()
    run(two, "UPDATE read_a SET n = 5", "UPDATE read_a SET n = 6", "UNLOCK TABLES")
    waits.join(SOON)
    expect("written", run(one, "SELECT n FROM read_a"), ((6,),))
    run(one, "BEGIN", "UPDATE read_b SET n = 8", "COMMIT")
    expect("BEGIN has ended it", run(one, "SELECT n FROM read_b"), ((8,),))
    expect_equal()


def table_crowd():
    """Clients on all nodes who read a number and then write one more, in two statements under a lock, lose none of them."""
    define("CREATE DATABASE IF NOT EXISTS locks", "USE locks", "CREATE TABLE table_crowd (id INT PRIMARY KEY, n INT)", "INSERT INTO table_crowd VALUES (1, 0)")
    ends = time.monotonic() + SECONDS
    done = []

    def client(number):
        connection = node(number, autocommit=True, database="locks")
        while time.monotonic() < ends:
            run(connection, "LOCK TABLES table_crowd WRITE")
            (n,) = ask(connection, "(SELECT n FROM table_crowd)")
            run(connection, f"UPDATE table_crowd SET n = {n + 1}", "UNLOCK TABLES")
            done.append(number)

    at_once(SECONDS, *[lambda number=number: client(number) for number in (1, 2, 3) * 3])
    expect("counted", ask(node(1), "(SELECT n FROM locks.table_crowd)"), (len(done),))
    assert set(done) == {1, 2, 3}, done
    print(f"table_crowd: {len(done)} times, of these on each node {[done.count(number) for number in (1, 2, 3)]}")
    expect_equal()


def lost_node():
    """The locks of a node that is lost are given up, and it takes new ones when it is back."""
    box, *sandbox = sys.argv[3:]
    one, two = node(1, autocommit=True), node(2, autocommit=True)
    ask(one, "GET_LOCK('lost', 0)", "GET_LOCK('kept', 0)")
    kill(f"{box}/node1/trireme.pid")
    print(f"a lost node's lock was had after {taken_within(two, 'lost', 30):.1f} s")
    start_again(sandbox)
    one = node(1, autocommit=True)
    expect("back", ask(one, "GET_LOCK('lost', 0)"), (0,))
    taken_within(one, "kept", SOON)
    # A node that is back at once gives up what it had itself.
    kill(f"{box}/node1/trireme.pid")
    start_again(sandbox)
    print(f"the lock of a node that is back was had after {taken_within(two, 'kept', SOON):.1f} s")


def paused_node():
    """A node that stands still for long ends its sessions that had locks: others have them by then."""
    box = sys.argv[3]
    one, two = node(1, autocommit=True), node(2, autocommit=True)
    ask(one, "GET_LOCK('paused', 0)")
    pid = pid_of(f"{box}/node1/trireme.pid")
    os.kill(pid, signal.SIGSTOP)
    try:
        print(f"a lock of a node that stands still was had after {taken_within(two, 'paused', 30):.1f} s")
    finally:
        os.kill(pid, signal.SIGCONT)
    began = time.monotonic()
    while error_of(one, "DO 1") is None:
        assert time.monotonic() - began < SOON, "a session goes on without its lock"
        time.sleep(0.01)
    expect("who has it", ask(two, "IS_USED_LOCK('paused') = CONNECTION_ID()"), (1,))


{part.__name__: part for part in (functions, exact, waiting, endings, prepared, refused, migration, crowd, tables, read_tables, table_crowd, lost_node, paused_node)}[PART]()
