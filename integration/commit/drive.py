"""Writes through the nodes of a sandbox and looks at their servers.

    drive.py PORT PART [ARGUMENT…]
"""

import random
import sys
import threading
import time

import pymysql
from pymysql.constants import CLIENT

import columns
from cluster import NODES, at_once, define, expect_equal, level, node, run

DEADLOCK, DUPLICATE, UNKNOWN_COLLATION = 1213, 1062, 1273
MULTI = CLIENT.MULTI_STATEMENTS


def kinds():
    """Every way to write, on every node."""
    define(
        "DROP DATABASE IF EXISTS kinds",
        "CREATE DATABASE kinds CHARACTER SET utf8mb4",
        "USE kinds",
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200) CHARACTER SET utf8mb4, n DECIMAL(9,3), b LONGBLOB)",
        "CREATE TABLE nokey (v INT, w VARCHAR(40))",
        "CREATE TABLE parent (id INT PRIMARY KEY, u INT UNIQUE)",
        "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
        "CREATE TABLE log (n INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200))",
        "CREATE TRIGGER t_log AFTER INSERT ON t FOR EACH ROW INSERT INTO log (n, what) VALUES (NEW.id, NEW.v)",
        "CREATE PROCEDURE twice(a INT) BEGIN INSERT INTO t VALUES (a, 'once', 1, NULL), (a + 1, 'twice', 2, NULL); END",
    )
    for number in NODES:
        base = number * 1000
        with node(number, database="kinds", autocommit=True, client_flag=MULTI) as alone:
            run(alone, f"INSERT INTO t VALUES ({base}, 'auto\U0001f600', 1.5, NULL), ({base + 1}, '', -1, 'x')")
            run(alone, f"UPDATE t SET v = CONCAT(v, RAND(), UUID()) WHERE id >= {base}")
            run(alone, f"INSERT INTO nokey VALUES ({base}, 'a'), ({base}, 'a'), ({base + 1}, NULL)")
            run(alone, f"DELETE FROM nokey WHERE v = {base} LIMIT 1")
            run(alone, f"UPDATE nokey SET w = NOW(6) WHERE v = {base + 1}")
            run(alone, f"CALL twice({base + 10})")
            run(alone, f"INSERT INTO parent VALUES ({base}, {base}), ({base + 1}, NULL)")
            run(alone, f"INSERT INTO child VALUES ({base}, {base}), ({base + 1}, {base + 1}), ({base + 2}, NULL)")
            run(alone, f"DELETE FROM parent WHERE id = {base}")
            run(alone, f"INSERT INTO t VALUES ({base + 20}, 'm', 0, NULL); UPDATE t SET n = 9 WHERE id = {base + 20}")
            run(alone, f"INSERT INTO t SELECT id + 30, v, n, b FROM t WHERE id = {base}")
            run(alone, f"INSERT INTO t VALUES ({base + 40}, 'large', 0, REPEAT('x', 3000000))")
            run(alone, "UPDATE t SET n = 1 WHERE id = -1")
        with node(number, database="kinds", autocommit=False) as together:
            run(together, f"INSERT INTO t VALUES ({base + 50}, 'a', 1, NULL)", f"DELETE FROM t WHERE id = {base + 1}")
            together.commit()
            run(together, f"INSERT INTO t VALUES ({base + 60}, 'rolled back', 1, NULL)")
            together.rollback()
            run(together, f"INSERT INTO t VALUES ({base + 70}, 'kept', 1, NULL)", "SAVEPOINT s")
            run(together, f"INSERT INTO t VALUES ({base + 71}, 'gone', 1, NULL)", "ROLLBACK TO s")
            together.commit()
    tables = expect_equal()
    rows = [run(node(number), "SELECT COUNT(*) FROM kinds.t")[0][0] for number in NODES]
    assert rows == [3 * 8] * 3, rows
    print(f"every kind of write, on each of three nodes: {tables} tables equal, {rows[0]} rows in the first")


def race(first, second, statements):
    """Runs one transaction on each connection, at random times; gives what became of them."""
    results = [None, None]

    def commit(at, connection):
        time.sleep(random.random() * 0.004)
        try:
            run(connection, statements[at])
            time.sleep(random.random() * 0.004)
            connection.commit()
            results[at] = "committed"
        except pymysql.err.MySQLError as error:
            results[at] = error.args[0]
            connection.rollback()

    threads = [threading.Thread(target=commit, args=pair) for pair in enumerate((first, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def conflicts(rounds):
    """Two sessions on two nodes want the same thing, and exactly one gets it."""
    define(
        "DROP DATABASE IF EXISTS conflicts",
        "CREATE DATABASE conflicts",
        "CREATE TABLE conflicts.t (id INT PRIMARY KEY, v INT, u VARCHAR(20) COLLATE utf8mb4_unicode_ci UNIQUE)",
        "CREATE TABLE conflicts.w (id BIGINT PRIMARY KEY AUTO_INCREMENT, v INT)",
    )
    with node(1, autocommit=True) as one:
        run(one, f"INSERT INTO conflicts.t VALUES {', '.join(f'({n}, 0, NULL)' for n in range(0, int(rounds), 3))}")
    expect_equal()
    counts = {}
    first, second = node(1, database="conflicts"), node(2, database="conflicts")
    for n in range(int(rounds)):
        kind = ("update", "insert", "unique")[n % 3]
        row, other = 10_000 + n, 20_000 + n
        statements = {
            # Only the first to come finds the row as it was.
            "update": [f"UPDATE t SET v = {who} WHERE id = {n} AND v = 0" for who in (1, 2)],
            "insert": [f"INSERT INTO t VALUES ({row}, {who}, NULL)" for who in (1, 2)],
            "unique": [f"INSERT INTO t VALUES ({row}, 1, 'u{n}')", f"INSERT INTO t VALUES ({other}, 2, 'U{n} ')"],
        }[kind]
        results = race(first, second, statements)
        allowed = {"update": (DEADLOCK,), "insert": (DEADLOCK, DUPLICATE), "unique": (DEADLOCK, DUPLICATE)}[kind]
        winners = results.count("committed")
        loser = next((result for result in results if result != "committed"), None)
        if winners == 2 and kind == "update":
            # The second came after the first had committed, and has changed nothing.
            loser = "nothing to change"
        elif winners != 1 or loser not in allowed:
            sys.exit(f"FAILED: round {n}, {kind}: {results}")
        counts[(kind, loser)] = counts.get((kind, loser), 0) + 1
    expect_equal()
    with node(3) as third:
        winners = run(third, "SELECT COUNT(*) FROM conflicts.t WHERE id < 10000 AND v = 0")
    assert winners == ((0,),), winners
    print(f"{rounds} conflicts, one winner each; the losers: {counts}")


def equal_values():
    """What one node takes for equal must conflict with it on another."""
    columns = {
        "utf8mb4_general_ci": [("a", "A"), ("\u00e9", "e"), ("x", "x  ")],
        "utf8mb4_unicode_ci": [("stra\u00dfe", "STRASSE"), ("\u00f1", "N"), ("a\u00a0", "a")],
        "utf8mb4_bin": [("a", "a ")],
        "latin1_swedish_ci": [("\u00fc", "Y"), ("\u00e5", "\u00c5")],
        "ascii_bin": [("a", "a   ")],
        "utf8mb4_nopad_bin": [("a", "a")],
        "utf8mb4_uca1400_ai_ci": [("\u00c5ngstr\u00f6m", "angstrom"), ("a", "A ")],
        "utf8mb4_uca1400_as_cs": [("a", "a ")],
        "utf8mb4_0900_ai_ci": [("stra\u00dfe", "STRASSE"), ("\u00e9", "e")],
        "utf8mb4_0900_as_cs": [("\u00e9", "e\u0301")],
        "utf8mb4_0900_bin": [("a", "a")],
        "utf8mb4_ja_0900_as_cs": [("\u304b\u3099", "\u304c")],
        "binary": [("a", "a")],
    }
    first, second = node(1), node(2)
    pairs = collations = 0
    for collation, values in columns.items():
        character_set = collation.split("_")[0]
        try:
            run(first, f"DO CONVERT('a' USING {character_set}) COLLATE `{collation}`")
        except pymysql.err.MySQLError as error:
            assert error.args[0] == UNKNOWN_COLLATION, error
            continue
        collations += 1
        kind = "VARBINARY(30)" if collation == "binary" else (
            f"VARCHAR(30) CHARACTER SET {character_set} COLLATE `{collation}`")
        for prefix in ("", "(3)"):
            define(
                "CREATE DATABASE IF NOT EXISTS equal_values",
                "DROP TABLE IF EXISTS equal_values.t",
                f"CREATE TABLE equal_values.t (id INT PRIMARY KEY, v {kind}, UNIQUE (v{prefix}))",
            )
            pairs_here = values + ([("abcd", "abce")] if prefix else [])
            for at, (one, other) in enumerate(pairs_here):
                run(first, "DELETE FROM equal_values.t")
                first.commit()
                expect_equal()
                with first.cursor() as a, second.cursor() as b:
                    a.execute(f"INSERT INTO equal_values.t VALUES ({2 * at}, %s)", one)
                    b.execute(f"INSERT INTO equal_values.t VALUES ({2 * at + 1}, %s)", other)
                first.commit()
                try:
                    second.commit()
                    sys.exit(f"FAILED: {collation}: {one!r} and {other!r} have both committed")
                except pymysql.err.MySQLError as error:
                    assert error.args[0] == DEADLOCK, error
                pairs += 1
    print(f"{pairs} pairs of equal values in {collations} collations conflict")


def column_types():
    """A primary and a unique key of every type tell rows apart as the server does, at the type's limits: two transactions conflict if they write one value, and not if
    they write two."""
    first, second, third = (node(number) for number in NODES)
    is_mariadb = "MariaDB" in run(first, "SELECT VERSION()")[0][0]
    kinds_of_column = {**columns.COLUMNS, **(columns.OF_MARIADB if is_mariadb else {})}
    tables = {}
    for at, kind in enumerate(kinds_of_column):
        kind, prefix = (kind[:-5], kind[-4:]) if kind.endswith(" (20)") else (kind, "")
        tables[f"p{at}"] = f"(k {kind.removesuffix(' NULL')} NOT NULL, v INT, PRIMARY KEY (k{prefix}))"
        tables[f"u{at}"] = f"(id INT PRIMARY KEY, k {kind}, w {kind}, UNIQUE (k{prefix}))"
    define("CREATE DATABASE column_types CHARACTER SET utf8mb4", "USE column_types", "SET sql_mode = ''", *(f"CREATE TABLE {name} {body}" for name, body in tables.items()))

    def insert(connection, table, value, number):
        row = f"({value}, {number})" if table[0] == "p" else f"({number}, {value}, {value})"
        run(connection, f"INSERT INTO column_types.{table} VALUES {row}")

    def both_commit(table, values):
        """What becomes of transactions on two nodes at once, of which each inserts one of the values."""
        for connection, (number, value) in zip((first, second), enumerate(values)):
            insert(connection, table, value, 100 + number)
        first.commit()
        try:
            second.commit()
            return True
        except pymysql.err.MySQLError as error:
            assert error.args[0] == DEADLOCK, error
            return False

    def empty():
        for table in tables:
            run(first, f"DELETE FROM column_types.{table}")
        first.commit()
        expect_equal()

    for connection in (first, second, third):
        run(connection, "SET sql_mode = ''")
    different = same = 0
    for at, values in enumerate(kinds_of_column.values()):
        for table in (f"p{at}", f"u{at}"):
            for number, value in enumerate(values):
                insert((first, second)[number % 2], table, value, number)
            if table[0] == "u":
                for number, connection in enumerate((first, second)):
                    insert(connection, table, "NULL", 50 + number)
            first.commit()
            second.commit()
            different += len(values)
    expect_equal()
    for at in range(len(kinds_of_column)):
        # Every value becomes another row's.
        run(third, f"UPDATE column_types.u{at} SET k = NULL", f"UPDATE column_types.u{at} SET k = w", f"UPDATE column_types.p{at} SET v = v + 1")
        third.commit()
    expect_equal()
    empty()
    for at, (kind, values) in enumerate(kinds_of_column.items()):
        for table in (f"p{at}", f"u{at}"):
            for value in values:
                assert not both_commit(table, (value, value)), f"{kind}, {table}: {value} was committed twice"
                same += 1
                run(first, f"DELETE FROM column_types.{table}")
                first.commit()
                level(second)
    expect_equal()
    verdicts = {}
    for kind, *values in columns.PAIRS:
        for table in (f"{letter}{list(kinds_of_column).index(kind)}" for letter in "pu"):
            empty_one = f"DELETE FROM column_types.{table}"
            for number, value in enumerate(values):
                error = None
                try:
                    insert(first, table, value, number)
                except pymysql.err.MySQLError as wrong:
                    error = wrong.args[0]
            first.rollback()
            assert error in (None, DUPLICATE), error
            differ = error is None
            assert both_commit(table, values) == differ, f"{kind}, {table}: {values} are {'two values' if differ else 'one value'} to the server"
            verdicts[differ] = verdicts.get(differ, 0) + 1
            run(first, empty_one)
            first.commit()
            level(second)
    expect_equal()
    print(f"{len(kinds_of_column)} types of column: {different} values are told apart, {same} conflict with themselves; of pairs of spellings {verdicts[False]} are one value and {verdicts[True]} are two")


def auto_increment():
    """Rows that several nodes insert at once get values of their own: no insert meets a conflict."""
    define(
        "DROP DATABASE IF EXISTS auto_increment",
        "CREATE DATABASE auto_increment",
        "CREATE TABLE auto_increment.t (id INT AUTO_INCREMENT PRIMARY KEY, node INT, n INT)",
    )

    def insert(number):
        with node(number, autocommit=True, database="auto_increment") as connection:
            for n in range(0, 100, 2):
                run(connection, f"INSERT INTO t (node, n) VALUES ({number}, {n}), ({number}, {n + 1})")
                run(connection, f"UPDATE t SET n = -n WHERE id = LAST_INSERT_ID() AND node = {number} AND n = {n}")

    at_once(20, *[lambda number=number: insert(number) for number in NODES for _ in range(2)])
    expect_equal()
    found = {}
    for number in NODES:
        for owner, remainder, rows, updated in run(
            node(number), "SELECT node, id % 3, COUNT(*), SUM(n <= 0) FROM auto_increment.t GROUP BY node, id % 3"
        ):
            found.setdefault(owner, set()).add((remainder, rows, int(updated)))
    # The nodes' addresses are in the order of their numbers.
    expected = {number: {(number % 3, 200, 100)} for number in NODES}
    assert found == expected, found

    # A definition that gives values gives the same ones everywhere, whatever its session counts by.
    for number in NODES:
        for session in (None, (1, 1), (10, 5)):
            with node(number, autocommit=True, database="auto_increment") as connection:
                if session:
                    run(connection, "SET auto_increment_increment = {}, auto_increment_offset = {}".format(*session))
                run(connection, "DROP TABLE IF EXISTS d", "CREATE TABLE d (k INT PRIMARY KEY)")
                run(connection, "INSERT INTO d VALUES (1), (2), (3)")
                run(connection, "ALTER TABLE d DROP PRIMARY KEY, ADD id INT AUTO_INCREMENT PRIMARY KEY")
                increment, offset = session or (3, number)
                ids = [row[0] for row in run(connection, "SELECT id FROM d ORDER BY k")]
                assert [id - ids[0] for id in ids] == [0, increment, 2 * increment], (number, session, ids)
                assert (ids[0] - offset) % increment == 0, (number, session, ids)
            expect_equal()
    print("600 rows inserted at once on three nodes, without a conflict")


def write(*numbers):
    for number in numbers:
        with node(int(number), autocommit=True, database="conflicts") as connection:
            for n in range(100):
                run(connection, f"INSERT INTO w VALUES ({time.time_ns()}, {n})")


PARTS = {
    "kinds": kinds,
    "conflicts": conflicts,
    "equal_values": equal_values,
    "column_types": column_types,
    "auto_increment": auto_increment,
    "write": write,
    "checksums": lambda: print(f"{expect_equal()} tables equal on all servers"),
}
PARTS[sys.argv[2]](*sys.argv[3:])
