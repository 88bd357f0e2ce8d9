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


{"overtaken": overtaken, "crowd": crowd, "settings": settings}[PART]()
