"""Puts clients of one node in the way of what the others have committed.

    drive.py PORT PART [ARGUMENT…]
"""

import collections
import functools
import random
import sys
import threading
import time

import pymysql
import pymysql.cursors

from cluster import NODES, at_once, define, expect_equal, node, run, server

DEADLOCK, LOST = 1213, 2013
# From a commit on one node to its effect on another whose client is in the way: a look at the server's
# locks is due every 0.1 s; the rest is for slow machines.
SOON = 5


def error_of(action):
    try:
        action()
    except pymysql.err.MySQLError as error:
        return error.args[0]


def runs_on(number, statement, seconds=0):
    """Waits until a node's server has run this statement for this time."""
    connection = server(number)
    deadline = time.time() + SOON
    running = f'SELECT 1 FROM information_schema.processlist WHERE info = "{statement}" AND time >= {seconds}'
    while not run(connection, running):
        if time.time() > deadline:
            sys.exit(f"FAILED: {statement} does not run")
        time.sleep(0.005)


def has(number, row, value):
    """Waits until a node's server has this value in this row."""
    connection = server(number, autocommit=True)
    deadline = time.time() + SOON
    while run(connection, f"SELECT v FROM priority.t WHERE id = {row}") != ((value,),):
        if time.time() > deadline:
            sys.exit(f"FAILED: the commit of row {row} waits for a client of node {number}")
        time.sleep(0.005)


def holders():
    """Who holds a lock that the applier needs loses the transaction; ROLLBACK and what follows work."""
    define(
        "DROP DATABASE IF EXISTS priority",
        "CREATE DATABASE priority",
        "CREATE TABLE priority.t (id INT PRIMARY KEY, v INT)",
    )
    writer = node(2, database="priority", autocommit=True)
    run(writer, f"INSERT INTO t VALUES {', '.join(f'({n}, 0)' for n in range(100))}")
    expect_equal()
    locks = (
        "UPDATE t SET v = v + 1 WHERE id = {}",
        "DELETE FROM t WHERE id = {}",
        "SELECT * FROM t WHERE id = {} FOR UPDATE",
        "SELECT * FROM t WHERE id = {} LOCK IN SHARE MODE",
        # Of a row that is not there. The lock is made by who waits for it.
        "INSERT INTO t VALUES (1000 + {}, 1)",
    )
    nexts = {
        "COMMIT": DEADLOCK,
        "SELECT 1": DEADLOCK,
        "UPDATE t SET v = 99 WHERE id = 99": DEADLOCK,
        "START TRANSACTION": DEADLOCK,
        "ROLLBACK": None,
    }
    row = 0
    for lock in locks:
        for statement, expected in nexts.items():
            for autocommit in (True, False):
                row += 1
                holder = node(1, database="priority", autocommit=autocommit)
                if autocommit:
                    run(holder, "START TRANSACTION")
                run(holder, lock.format(row))
                changed = row + 1000 if "INSERT" in lock else row
                run(writer, f"REPLACE INTO t VALUES ({changed}, 7)")
                has(1, changed, 7)
                got = error_of(lambda: run(holder, statement))
                if got != expected:
                    sys.exit(f"FAILED: {lock}, then {statement}: {got} and not {expected}")
                run(holder, "UPDATE t SET v = 8 WHERE id = 0", "COMMIT")
                holder.close()
                has(2, 0, 8)
                run(writer, "UPDATE t SET v = 9 WHERE id = 0")
                has(1, 0, 9)
    print(f"{row} idle lock holders were told, each by its next statement")

    for statement in ("SELECT SLEEP(60)", "UPDATE t SET v = SLEEP(60) WHERE id = 90"):
        row += 1
        holder = node(1, database="priority")
        run(holder, f"UPDATE t SET v = 1 WHERE id = {row}")
        told = []
        thread = threading.Thread(target=lambda: told.append(error_of(lambda: run(holder, statement))))
        thread.start()
        runs_on(1, statement)
        run(writer, f"UPDATE t SET v = 7 WHERE id = {row}")
        has(1, row, 7)
        thread.join(SOON)
        if told != [DEADLOCK]:
            sys.exit(f"FAILED: {statement} in a transaction that is in the way: {told}")
        run(holder, "UPDATE t SET v = 8 WHERE id = 0", "COMMIT")
    print("two busy lock holders were told at once")

    row += 1
    slow = node(1, database="priority", cursorclass=pymysql.cursors.SSCursor)
    run(slow, f"UPDATE t SET v = 1 WHERE id = {row}")
    unread = slow.cursor()
    large = "SELECT REPEAT('x', 100000) FROM t, t u"
    unread.execute(large)
    runs_on(1, large, 1)
    run(writer, f"UPDATE t SET v = 7 WHERE id = {row}")
    has(1, row, 7)
    assert error_of(unread.fetchall) == LOST, "it goes on"
    unread._result.unbuffered_active = False
    print("a lock holder that does not read its answer was ended")

    row += 1
    stranger = server(1, database="priority")
    run(stranger, f"SELECT * FROM t WHERE id = {row} FOR UPDATE")
    run(writer, f"UPDATE t SET v = 7 WHERE id = {row}")
    has(1, row, 7)
    assert error_of(lambda: run(stranger, "SELECT 1")), "it goes on"
    expect_equal()
    print("a connection beside the node was ended")


def hammers(seconds):
    """Clients that come again at once, whenever they lose, cannot keep the same locks from the applier."""
    seconds = float(seconds)
    define(
        "DROP DATABASE IF EXISTS priority",
        "CREATE DATABASE priority",
        "CREATE TABLE priority.t (id INT PRIMARY KEY, v INT, w INT)",
    )
    with node(2, database="priority", autocommit=True) as writer:
        run(writer, "INSERT INTO t VALUES (5, 0, 0), (10, 0, 0), (20, 0, 0)")
    expect_equal()
    counts = collections.Counter()
    waits = []
    end = time.time() + seconds

    def attempt(connection, name, *statements):
        error = error_of(lambda: run(connection, *statements))
        assert error in (None, DEADLOCK), error
        counts[name if error is None else f"{name} lost"] += 1
        if error:
            connection.rollback()
        return error is None

    def hammer():
        with node(1, database="priority") as connection:
            while time.time() < end:
                attempt(connection, "hammers", "SELECT id FROM t WHERE id BETWEEN 11 AND 19 FOR UPDATE",
                        "UPDATE t SET v = v + 1 WHERE id = 5", "COMMIT")

    def write():
        with node(2, database="priority") as connection, server(1, autocommit=True, database="priority") as other:
            number = 0
            while time.time() < end:
                number += 1
                if not attempt(connection, "commits", f"UPDATE t SET w = {number} WHERE id = 5",
                               f"REPLACE INTO t VALUES (15, {number}, 0)", "COMMIT"):
                    continue
                since = time.time()
                while run(other, "SELECT MAX(v) FROM t WHERE id = 15") != ((number,),):
                    assert time.time() - since < SOON, f"a commit waits for clients of node 1: {counts}"
                    time.sleep(0.005)
                waits.append(time.time() - since)
                while time.time() < end and not attempt(connection, "removals", "DELETE FROM t WHERE id = 15", "COMMIT"):
                    pass

    at_once(seconds + SOON, write, *[hammer] * 6)
    expect_equal()
    print(f"{dict(counts)}; the slowest of the commits was applied after {max(waits):.2f} s")


def replays(rounds):
    """Gap locks have no key: a prepared transaction that holds one is replayed, and its client gets its OK."""
    define(
        "DROP DATABASE IF EXISTS priority",
        "CREATE DATABASE priority",
        "CREATE TABLE priority.t (id INT PRIMARY KEY, v INT)",
        "CREATE TABLE priority.large (id INT PRIMARY KEY AUTO_INCREMENT, b LONGBLOB)",
    )
    holder, writer = node(1, database="priority"), node(2, database="priority", autocommit=True)
    run(writer, "INSERT INTO t VALUES (0, 0), (1000000, 0)")
    expect_equal()
    usual = 0.1
    for n in range(1, int(rounds) + 1):
        run(holder, "SELECT * FROM t WHERE id > 500000 FOR UPDATE")
        run(holder, "INSERT INTO large (b) VALUES (REPEAT('x', 8000000))")
        told = []
        thread = threading.Thread(target=lambda: told.append(error_of(holder.commit)))
        begun = time.time()
        thread.start()
        for part in range(4):
            time.sleep(random.random() * usual / 4)
            run(writer, f"INSERT INTO t VALUES ({500000 + 4 * n + part}, {n})")
        thread.join(10 * SOON)
        usual = time.time() - begun
        if told != [None]:
            sys.exit(f"FAILED: round {n}: {told}")
        has(1, 500000 + 4 * n + part, n)
    expect_equal()
    rows = run(node(3), "SELECT (SELECT COUNT(*) FROM priority.t), (SELECT COUNT(*) FROM priority.large)")[0]
    assert rows == (2 + 4 * int(rounds), int(rounds)), rows
    print(f"{rounds} transactions with gap locks have committed, and so have {rows[0] - 2} inserts into the gaps")


def bank(seconds):
    """Transfers between ten accounts, from nine clients on three nodes: no money appears, none goes."""
    define(
        "DROP DATABASE IF EXISTS bank",
        "CREATE DATABASE bank",
        "CREATE TABLE bank.account (id INT PRIMARY KEY, balance INT)",
    )
    with node(1, autocommit=True) as one:
        run(one, f"INSERT INTO bank.account VALUES {', '.join(f'({n}, 100)' for n in range(10))}")
    expect_equal()
    end = time.time() + float(seconds)
    counts = collections.Counter()

    def client(number):
        connection = node(number, database="bank")
        while time.time() < end:
            source, target = random.sample(range(10), 2)
            amount = random.randint(1, 10)
            try:
                if random.random() < 0.3:
                    total = run(connection, "SELECT SUM(balance) FROM account")[0][0]
                    connection.commit()
                    counts["reads"] += 1
                    assert total == 1000, total
                else:
                    run(
                        connection,
                        f"UPDATE account SET balance = balance - {amount} WHERE id = {source}",
                        f"UPDATE account SET balance = balance + {amount} WHERE id = {target}",
                    )
                    connection.commit()
                    counts["transfers"] += 1
            except pymysql.err.MySQLError as error:
                if error.args[0] != DEADLOCK:
                    raise
                counts["deadlocks"] += 1
                connection.rollback()

    at_once(seconds, *(functools.partial(client, number) for number in NODES * 3))
    expect_equal()
    total = run(node(2), "SELECT SUM(balance) FROM bank.account")[0][0]
    assert total == 1000, total
    print(f"the bank after {seconds} s: {dict(counts)}, and its total is what it was")


PARTS = {"holders": holders, "hammers": hammers, "replays": replays, "bank": bank}
PARTS[sys.argv[2]](*sys.argv[3:])
