"""Statements that lose to another transaction, and are run again by their node.

Usage: drive.py PORT PART. Nodes are at PORT + 1 to 3.
"""

import struct
import sys
import threading
import time

import pymysql

from cluster import at_once, define, error_of, expect, expect_equal, node, run

PART = sys.argv[2]
DEADLOCK = 1213
COM_STMT_PREPARE, COM_STMT_EXECUTE, COM_STMT_SEND_LONG_DATA = 0x16, 0x17, 0x18
SECONDS = 3
MYSQL_TYPE_BLOB = 252


def as_text(statement):
    return lambda connection: connection.query(statement)


def as_one_of_several(statement):
    def execute(connection):
        connection.query(f"DO 1; {statement}; DO 2")
        while connection.next_result():
            pass

    return execute


def prepared(connection, statement, parameters):
    """Prepares a statement; gives its id."""
    connection._execute_command(COM_STMT_PREPARE, statement)
    (number,) = struct.unpack("<I", connection._read_packet().get_all_data()[1:5])
    for _ in range(parameters and parameters + 1):
        connection._read_packet()
    return number


def execute(connection, number, parameters=b""):
    connection._execute_command(COM_STMT_EXECUTE, struct.pack("<IBI", number, 0, 1) + parameters)
    return connection._read_query_result()


def as_prepared(statement):
    return lambda connection: execute(connection, prepared(connection, statement, 0))


def as_prepared_query(statement):
    """Of one column, whose rows nobody reads."""

    def run_it(connection):
        number = prepared(connection, statement, 0)
        for _ in ("the column", "its end"):
            connection._read_packet()
        connection._execute_command(COM_STMT_EXECUTE, struct.pack("<IBI", number, 0, 1))
        ends = 0
        while ends < 2:
            ends += connection._read_packet().is_eof_packet()

    return run_it


def with_long_data(statement):
    """One parameter comes in advance, for one run."""

    def run_it(connection):
        number = prepared(connection, statement, 1)
        connection._execute_command(COM_STMT_SEND_LONG_DATA, struct.pack("<IH", number, 0) + b"1")
        # No NULLs, with types.
        return execute(connection, number, struct.pack("<BBH", 0, 1, MYSQL_TYPE_BLOB))

    return run_it


def by_routine(connection):
    return connection.query("CALL retry.p()")


UPDATE = "UPDATE retry.t SET v = v + 1 + SLEEP(1) WHERE id = 1"
# What loses its row to another node: how often it may run again, the error that it gets, and the value of @n after it.
OVERTAKEN = [
    (as_text(UPDATE), 4, None, None),
    (as_text(UPDATE), 1, None, None),
    (as_text(UPDATE), 0, DEADLOCK, None),
    (as_one_of_several(UPDATE), 4, None, None),
    (as_prepared(UPDATE), 4, None, None),
    (as_prepared(UPDATE), 0, DEADLOCK, None),
    (with_long_data("UPDATE retry.t SET v = v + ? + SLEEP(1) WHERE id = 1"), 4, DEADLOCK, None),
    (as_text("UPDATE retry.t SET v = v + 1 + SLEEP((@n := @n + 1) > 0) WHERE id = 1"), 4, DEADLOCK, 1),
    (by_routine, 4, DEADLOCK, None),
]


def overtaken():
    """Another node commits a row while a statement has its lock: it loses that, and is run again if nobody can tell."""
    define("CREATE DATABASE retry", "CREATE TABLE retry.t (id INT PRIMARY KEY, v INT)", "INSERT INTO retry.t VALUES (1, 0)",
           f"CREATE PROCEDURE retry.p() {UPDATE}")
    for statement, retries, error, counted in OVERTAKEN:
        with node(1, autocommit=True) as other, node(2, autocommit=True, client_flag=1 << 16) as connection:
            run(other, "UPDATE retry.t SET v = 0")
            run(connection, f"SET wsrep_sync_wait = 1, wsrep_retry_autocommit = {retries}, @n = 0", "SELECT * FROM retry.t",
                "SET wsrep_sync_wait = 0")
            results = []

            def run_it():
                try:
                    statement(connection)
                    results.append(None)
                except pymysql.MySQLError as wrong:
                    results.append(wrong.args[0])

            running = threading.Thread(target=run_it)
            running.start()
            with node(2) as watching:
                while not run(watching, "SELECT 1 FROM information_schema.processlist WHERE state = 'User sleep'"):
                    time.sleep(0.01)
            run(other, "UPDATE retry.t SET v = v + 10")
            running.join(30)
            what = f"{statement.__qualname__} with {retries} retries"
            expect(what, results, [error])
            expect(f"the row after {what}", run(connection, "SELECT v FROM retry.t"), ((10 if error else 11,),))
            if counted is not None:
                expect(f"@n after {what}", run(connection, "SELECT @n"), ((counted,),))
    expect_equal()
    print(f"{len(OVERTAKEN)} statements that lost their lock: run again where nobody can tell")


def crowd():
    """Nine clients on three nodes count in one row: with enough attempts nobody is told of a deadlock."""
    for retries in (0, 10000):
        define("DROP TABLE IF EXISTS retry.counter", "CREATE TABLE retry.counter (id INT PRIMARY KEY, v INT)",
               "INSERT INTO retry.counter VALUES (1, 0)")
        over = time.monotonic() + SECONDS
        counted, lost = [], []

        def client(number):
            with node(number, autocommit=True) as connection:
                run(connection, f"SET wsrep_retry_autocommit = {retries}")
                while time.monotonic() < over:
                    error = error_of(connection, "UPDATE retry.counter SET v = v + 1 WHERE id = 1")
                    (counted if error is None else lost).append(error)

        at_once(SECONDS, *(lambda number=number: client(number) for number in (1, 2, 3) for _ in range(3)))
        expect_equal()
        expect("the sum", run(node(1), "SELECT v FROM retry.counter"), ((len(counted),),))
        print(f"nine clients count in one row, {retries} retries: {len(counted)} commits, {len(lost)} errors")
        expect("their errors", set(lost), set() if retries else {DEADLOCK})


def settings():
    """The variable is a session's own, and global for those to come."""
    with node(1, autocommit=True) as first:
        read = "SELECT @@wsrep_retry_autocommit, @@GLOBAL.wsrep_retry_autocommit"
        for statement, values in [("DO 1", (4, 4)), ("SET wsrep_retry_autocommit = 7", (7, 4)),
                                  ("SET GLOBAL wsrep_retry_autocommit = 20000", (7, 10000)),
                                  ("SET wsrep_retry_autocommit = DEFAULT", (10000, 10000)),
                                  ("SET GLOBAL wsrep_retry_autocommit = DEFAULT", (10000, 4)),
                                  ("SET wsrep_retry_autocommit = -1", (0, 4))]:
            run(first, statement)
            expect(statement, run(first, read), (values,))
        expect("a word", error_of(first, "SET wsrep_retry_autocommit = 'a'"), 1232)
        expect("of all", run(first, "SHOW GLOBAL VARIABLES LIKE 'wsrep_retry_autocommit'"), (("wsrep_retry_autocommit", "4"),))
    print("the setting is each session's own")


def sent(*statements):
    def run_them(connection):
        for statement in statements:
            connection.query(statement)

    return run_them


def refused(statement, number):
    def run_it(connection):
        expect(statement, error_of(connection, statement), number)

    return run_it


def as_one_row(statement, value):
    return lambda connection: expect(statement, run(connection, statement), ((value,),))


def several(*parts):
    def run_them(connection):
        for part in parts:
            part(connection)

    return run_them


BEGIN, CHANGE, COMMIT = "BEGIN", "UPDATE retry.t SET v = v + 1 WHERE id = 1", "COMMIT"
# What a transaction does before another node commits its row, what it does after that, and whether its client gets an error.
TRANSACTIONS = [
    ("commits", sent(BEGIN, CHANGE), sent(COMMIT), None),
    ("reads another row", sent(BEGIN, "SELECT * FROM retry.t WHERE id = 2 FOR UPDATE", CHANGE, "SELECT 1 + 1"), sent(COMMIT), None),
    ("goes on", sent("START TRANSACTION READ WRITE", CHANGE), sent("UPDATE retry.t SET v = 5 WHERE id = 2", COMMIT), None),
    ("has autocommit off", sent("SET autocommit = 0", CHANGE), sent(COMMIT, "SET autocommit = 1"), None),
    ("is committed by another", sent(BEGIN, CHANGE), sent(BEGIN, COMMIT), None),
    ("is prepared", several(sent(BEGIN), as_prepared(CHANGE)), sent(COMMIT), None),
    ("has had an error", several(sent(BEGIN), refused("INSERT INTO retry.t VALUES (1, 0)", 1062), sent(CHANGE)), sent(COMMIT), None),
    ("has several statements at once", as_one_of_several(f"BEGIN; {CHANGE}; SELECT 2"), sent(COMMIT), None),
    ("begins a snapshot", sent("START TRANSACTION WITH CONSISTENT SNAPSHOT", CHANGE), sent(COMMIT), None),
    ("is one of a chain", sent(BEGIN, "COMMIT AND CHAIN", CHANGE), sent("COMMIT AND CHAIN", "ROLLBACK"), None),
    ("has read the row", sent(BEGIN, CHANGE, "SELECT v FROM retry.t WHERE id = 1"), sent(COMMIT), DEADLOCK),
    ("has read the row when it was prepared", several(sent(BEGIN, CHANGE), as_prepared_query("SELECT v FROM retry.t WHERE id = 1")), sent(COMMIT), DEADLOCK),
    ("counts its rows", sent(BEGIN, CHANGE, "UPDATE retry.t SET v = 7 WHERE v < 5"), sent(COMMIT), DEADLOCK),
    ("shows the time", sent(BEGIN, CHANGE, "SELECT SYSDATE(6)"), sent(COMMIT), DEADLOCK),
    ("sets a variable", sent(BEGIN, CHANGE, "SET @n = 1"), sent(COMMIT), DEADLOCK),
    ("assigns to one", sent(BEGIN, CHANGE, "SELECT @n := 1"), sent(COMMIT), DEADLOCK),
    ("has a savepoint", sent(BEGIN, CHANGE, "SAVEPOINT s"), sent(COMMIT), DEADLOCK),
    ("calls a routine", sent(BEGIN, CHANGE, "CALL retry.nothing()"), sent(COMMIT), DEADLOCK),
    ("has a lock with a name", sent(BEGIN, CHANGE, "SELECT GET_LOCK('a', 0)"), sent(COMMIT), DEADLOCK),
    ("has parameters in advance", several(sent(BEGIN), with_long_data("UPDATE retry.t SET v = v + ? WHERE id = 1")), sent(COMMIT), DEADLOCK),
    ("has an isolation of its own", sent("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", BEGIN, CHANGE), sent(COMMIT), DEADLOCK),
    ("loads its client's file", sent("SET GLOBAL local_infile = 1", BEGIN, CHANGE, "LOAD DATA LOCAL INFILE '/dev/null' INTO TABLE retry.t"), sent(COMMIT),
     DEADLOCK),
    ("has a table of its own", sent("CREATE TEMPORARY TABLE retry.own (a INT) ENGINE=MyISAM", BEGIN, "INSERT INTO retry.own VALUES (1)", CHANGE),
     several(refused(COMMIT, DEADLOCK), as_one_row("SELECT COUNT(*) FROM retry.own", 1)), None),
    ("is rolled back", sent(BEGIN, CHANGE), sent("ROLLBACK"), None),
]


def transactions():
    """Another node commits the row that a transaction has changed: it is run again if its client cannot tell."""
    define("DROP DATABASE IF EXISTS retry", "CREATE DATABASE retry", "CREATE TABLE retry.t (id INT PRIMARY KEY, v INT)",
           "INSERT INTO retry.t VALUES (1, 0), (2, 0)", "CREATE PROCEDURE retry.nothing() DO 1")
    run_again = 0
    for what, before, after, error in TRANSACTIONS:
        with node(1, autocommit=True) as other, node(2, autocommit=True, client_flag=1 << 16, local_infile=True) as connection:
            run(other, "UPDATE retry.t SET v = 0")
            run(connection, "SET wsrep_sync_wait = 1", "SELECT * FROM retry.t", "SET wsrep_sync_wait = 0")
            before(connection)
            run(other, "UPDATE retry.t SET v = v + 10 WHERE id = 1")
            # The transaction has lost its lock by then.
            with node(2, autocommit=True) as watching:
                run(watching, "SET wsrep_sync_wait = 1")
                expect("the other's row", run(watching, "SELECT v FROM retry.t WHERE id = 1"), ((10,),))
            try:
                after(connection)
                found = None
            except pymysql.MySQLError as wrong:
                found = wrong.args[0]
            expect(f"a transaction that {what}", found, error)
            is_run_again = error is None and what not in ("is rolled back", "has a table of its own")
            run_again += is_run_again
            run(connection, "SET wsrep_sync_wait = 1")
            value = 11 if is_run_again else 10
            expect(f"the row of one that {what}", run(connection, "SELECT v FROM retry.t WHERE id = 1"), ((value,),))
    expect_equal()
    print(f"{len(TRANSACTIONS)} transactions that lost a lock: {run_again} run again, where nobody can tell")


def crowded_transactions():
    """Nine clients on three nodes move one each time between three rows, in transactions of two statements."""
    define("DROP TABLE IF EXISTS retry.account", "CREATE TABLE retry.account (id INT PRIMARY KEY, v INT)",
           "INSERT INTO retry.account VALUES (1, 0), (2, 0), (3, 0)")
    over = time.monotonic() + SECONDS
    moved, lost = [], []

    def client(number, giver):
        taker = giver % 3 + 1
        with node(number, autocommit=True) as connection:
            while time.monotonic() < over:
                run(connection, "BEGIN")
                error = (error_of(connection, f"UPDATE retry.account SET v = v - 1 WHERE id = {giver}")
                         or error_of(connection, f"UPDATE retry.account SET v = v + 1 WHERE id = {taker}")
                         or error_of(connection, "COMMIT"))
                (moved if error is None else lost).append((giver, error))

    at_once(SECONDS, *(lambda number=number, giver=giver: client(number, giver) for number in (1, 2, 3) for giver in (1, 2, 3)))
    expect_equal()
    given = [sum(1 for giver, _ in moved if giver == account) for account in (1, 2, 3)]
    expected = tuple((account, given[account - 2] - given[account - 1]) for account in (1, 2, 3))
    expect("the accounts", run(node(1), "SELECT * FROM retry.account ORDER BY id"), expected)
    expect("their errors", {error for _, error in lost} - {DEADLOCK}, set())
    print(f"nine clients move between three rows: {len(moved)} commits, {len(lost)} errors")


{"overtaken": overtaken, "crowd": crowd, "settings": settings, "transactions": transactions,
 "crowded_transactions": crowded_transactions}[PART]()
