"""Isolation levels by every route, waits for locks that end transactions, and clients that vanish: on a node and on a server alone.

Usage: beside.py PORT ALONE. Nodes are at PORT + 1 to 3, the server alone is at ALONE. Servers roll back a transaction that has waited too
long for a lock.
"""

import contextlib
import itertools
import socket
import struct
import sys
import time

import pymysql

from cluster import PORT, connect, define, error_of, expect, expect_equal, node, run, server

ALONE = int(sys.argv[2])
LEVELS = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
COM_QUERY = 3
PATIENCE = 10


def at(port, **options):
    return connect("127.0.0.1", port, **options)


def set_up():
    tables = ["CREATE DATABASE levels", "CREATE TABLE levels.t (id INT PRIMARY KEY, v INT)", "INSERT INTO levels.t VALUES (1, 0), (2, 0)",
              "CREATE PROCEDURE levels.sets() SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
              "CREATE FUNCTION levels.sleeps() RETURNS INT DETERMINISTIC NO SQL RETURN SLEEP(0.2)"]
    define(*tables)
    with at(ALONE, autocommit=True) as alone:
        run(alone, *tables)


def level_of(first, second, begin):
    """The level at which a transaction runs, by what it sees of another one and keeps it from."""
    read = "SELECT v FROM levels.t WHERE id = 1"
    errors = [error_of(first, statement) for statement in begin]
    if any(errors):
        return errors
    before = run(first, read)
    run(second, "BEGIN")
    if error_of(second, "SELECT v FROM levels.t WHERE id = 1 FOR UPDATE NOWAIT"):
        level = "SERIALIZABLE"
        run(second, "ROLLBACK")
    else:
        run(second, "UPDATE levels.t SET v = v + 1 WHERE id = 1")
        sees_open = run(first, read) != before
        run(second, "COMMIT")
        sees_committed = run(first, read) != before
        level = "READ UNCOMMITTED" if sees_open else "READ COMMITTED" if sees_committed else "REPEATABLE READ"
    run(first, "COMMIT")
    return level


def routes(is_mariadb):
    """Ways to set a level: statements of one session, and those that begin its transactions."""
    begins = [["BEGIN"], ["START TRANSACTION READ WRITE"], ["START TRANSACTION READ ONLY"], ["START TRANSACTION WITH CONSISTENT SNAPSHOT"], ["SET autocommit = 0"]]
    for scope, begin in itertools.product(("SESSION ", "LOCAL ", ""), begins):
        yield [f"SET {scope}TRANSACTION ISOLATION LEVEL READ COMMITTED"], begin
    for scope, level in itertools.product(("SESSION ", ""), LEVELS):
        yield [f"SET {scope}TRANSACTION ISOLATION LEVEL {level}"], begins[0]
    for variable in ("tx_isolation", "transaction_isolation"):
        for name in (variable, f"SESSION {variable}", f"LOCAL {variable}", f"@@SESSION.{variable}", f"@@LOCAL.{variable}", f"@@{variable}"):
            yield [f"SET {name} = 'READ-COMMITTED'"], begins[0]
        yield [f"SET SESSION {variable} = 'SERIALIZABLE'", f"SET SESSION {variable} = DEFAULT"], begins[0]
        yield [f"SET @a = 1, SESSION {variable} = 1, @b = 2"], begins[0]
        yield [f"SET {variable} = 'nonsense'"], begins[0]
    yield ["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY"], begins[0]
    yield ["SET TRANSACTION READ WRITE, ISOLATION LEVEL SERIALIZABLE"], begins[0]
    yield ["SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED"], begins[0]
    yield ["BEGIN", "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "COMMIT"], begins[0]
    yield ["BEGIN", "SELECT * FROM levels.t", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "COMMIT"], begins[0]
    yield ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "SELECT * FROM levels.t"], begins[0]
    yield ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "UPDATE levels.t SET v = 7 WHERE id = 2"], begins[0]
    yield ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "DO 1", "SET @a = 1", "SHOW TABLES FROM levels"], begins[0]
    yield ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "BEGIN", "COMMIT"], begins[0]
    yield ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "COMMIT", "ROLLBACK"], begins[0]
    yield ["CALL levels.sets()"], begins[0]
    yield ["PREPARE s FROM 'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED'", "EXECUTE s"], begins[0]
    if is_mariadb:
        # On MySQL a transaction that begins by ending another one has its level there: docs/differences.md.
        yield ["BEGIN", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"], begins[0]
        yield ["SET STATEMENT tx_isolation = 'READ-COMMITTED' FOR SELECT * FROM levels.t"], begins[0]


def levels():
    """The levels of a session's next two transactions."""
    with at(ALONE) as alone:
        is_mariadb = "MariaDB" in run(alone, "SELECT VERSION()")[0][0]
    found = set()
    for count, (statements, begin) in enumerate(routes(is_mariadb), 1):
        outcomes = []
        for port in (ALONE, PORT + 1):
            with at(port, autocommit=True) as first, at(port, autocommit=True) as second:
                errors = [error_of(first, statement) for statement in statements]
                outcomes.append((errors, level_of(first, second, begin), level_of(first, second, begin)))
        expect(f"{statements}, then twice {begin}", outcomes[1], outcomes[0])
        found.update(outcome for outcome in outcomes[0][1:] if isinstance(outcome, str))
    expect("the levels that were seen", found, set(LEVELS))
    for level, other in [("READ COMMITTED", "REPEATABLE READ"), ("REPEATABLE READ", "READ COMMITTED")]:
        statement = f"SET GLOBAL TRANSACTION ISOLATION LEVEL {level}"
        for port in (ALONE, PORT + 1):
            with at(port, autocommit=True) as administrator, at(port, autocommit=True) as before:
                run(administrator, statement)
                with at(port, autocommit=True) as first:
                    expect(f"after {statement}", level_of(first, administrator, ["BEGIN"]), level)
                expect(f"in a session from before {statement}", level_of(before, administrator, ["BEGIN"]), other)
    print(f"{count} routes to an isolation level lead there, for the next transaction and the one after it")


def timeouts():
    """A wait for a lock that lasts too long rolls back the transaction, as these servers are set."""
    outcomes = []
    for port in (ALONE, PORT + 1):
        outcome = []
        for begin in ("BEGIN", "SET autocommit = 0", "DO 1"):
            with at(port, autocommit=True) as holder, at(port, autocommit=True) as waiter:
                run(holder, "DELETE FROM levels.t WHERE id > 2", "BEGIN", "UPDATE levels.t SET v = 1 WHERE id = 1")
                run(waiter, "SET innodb_lock_wait_timeout = 1", begin, "INSERT INTO levels.t VALUES (3, 3)")
                outcome.append(error_of(waiter, "UPDATE levels.t SET v = 2 WHERE id = 1"))
                outcome.append(waiter.server_status)
                outcome.append(run(waiter, "SELECT id FROM levels.t ORDER BY id"))
                run(waiter, "INSERT INTO levels.t VALUES (4, 4)", "COMMIT")
                run(holder, "ROLLBACK")
                outcome.append(run(waiter, "SELECT id FROM levels.t ORDER BY id"))
        outcomes.append(outcome)
    expect("what a wait for a lock has rolled back", outcomes[1], outcomes[0])
    expect("that it has rolled back something", outcomes[0][2], ((1,), (2,)))
    print("a transaction that has waited too long for a lock is rolled back as on the server alone")


STEPS = ("BEGIN", "INSERT INTO levels.t VALUES (10, 0)", "SAVEPOINT s", "SELECT levels.sleeps() FROM levels.t", "UPDATE levels.t SET v = levels.sleeps() WHERE id = 10",
         "INSERT INTO levels.t VALUES (11, 0)", "SELECT * FROM levels.t", "COMMIT", "DO 1")


def vanish(connection, is_reset):
    """Ends a connection without a goodbye."""
    if is_reset:
        connection._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection._sock.close()
    connection._rfile.close()


def is_quiet():
    """Whether nobody's transaction is open or prepared on the first server."""
    with server(1, autocommit=True) as connection:
        return not run(connection, "SELECT * FROM information_schema.innodb_trx WHERE trx_rows_modified > 0") and not run(connection, "XA RECOVER")


def disconnects():
    """A client goes after each step of a transaction, with the answer to the next one unread, or before it was asked for."""
    committed = []
    for steps, asks_more, is_reset in itertools.product(range(len(STEPS)), (True, False), (True, False)):
        define("DELETE FROM levels.t WHERE id >= 10")
        connection = node(1, autocommit=True)
        with contextlib.suppress(pymysql.MySQLError):
            run(connection, *STEPS[:steps])
            if asks_more:
                connection._execute_command(COM_QUERY, STEPS[steps])
        vanish(connection, is_reset)
        deadline = time.monotonic() + PATIENCE
        while not is_quiet():
            expect(f"that the transaction of a client that vanished after {steps} steps has ended", time.monotonic() < deadline, True)
            # MariaDB shows what it has shown before to those who ask more often than each 0.1 s.
            time.sleep(0.12)
        expect_equal()
        with server(2) as other:
            rows = [row for (row,) in run(other, "SELECT id FROM levels.t WHERE id >= 10 ORDER BY id")]
        commit = STEPS.index("COMMIT")
        may_be = [[10, 11]] if steps > commit else [[], [10, 11]] if steps == commit and asks_more else [[]]
        expect(f"the rows of a client that vanished after {steps} steps", rows in may_be, True)
        committed.append(bool(rows))
    print(f"{len(committed)} clients vanished within a transaction, {sum(committed)} of them had committed")


set_up()
levels()
timeouts()
disconnects()
