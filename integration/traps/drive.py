"""What a cluster of stock servers stumbles over, a part each.

    drive.py PORT PART [ARGUMENT…]
"""

import subprocess
import sys
import threading
import time

import pymysql
from pymysql.constants import CLIENT

import wire
from cluster import NODES, at_once, define, expect, expect_equal, health, kill, node, position, run, server

DUPLICATE, LOCK_TIMEOUT, DEADLOCK, NOT_SUPPORTED, NO_TABLE = 1062, 1205, 1213, 1235, 1146
AUTO_INCREMENT_FAILED, GONE = 1467, 2013
RESET_CONNECTION = 0x1F
MULTI = CLIENT.MULTI_STATEMENTS


def error_of(connection, *statements):
    """The error of the last of these statements."""
    *before, last = statements
    run(connection, *before)
    try:
        run(connection, last)
    except pymysql.err.MySQLError as error:
        return error.args
    sys.exit(f"FAILED: {last} has succeeded")


def until_one_waits(number=1):
    """Waits until a transaction of a server waits for a lock; gives its connection."""
    waiting = "SELECT trx_mysql_thread_id FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
    with server(number) as connection:
        while not (found := run(connection, waiting)):
            # Who looks more often than each 0.1 s sees the same again.
            time.sleep(0.15)
        return found[0][0]


def set_up():
    define(
        "DROP DATABASE IF EXISTS traps",
        "CREATE DATABASE traps",
        "CREATE TABLE traps.t (id INT PRIMARY KEY, v INT)",
        "CREATE TABLE traps.count (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
        "CREATE TABLE traps.other (id INT PRIMARY KEY)",
    )


# Each commits what is open before it; what it does itself does not matter.
COMMITTING = [
    "BEGIN",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT",
    "CREATE TABLE made (id INT PRIMARY KEY)",
    "CREATE INDEX i ON made (id)",
    "ALTER TABLE made ADD v INT",
    "RENAME TABLE made TO named",
    "TRUNCATE TABLE named",
    "DROP TABLE named",
    "DROP TABLE IF EXISTS nowhere",
    "CREATE VIEW seen AS SELECT 1",
    "DROP VIEW seen",
    "CREATE PROCEDURE p() DO 1",
    "DROP PROCEDURE p",
    "CREATE TRIGGER g BEFORE INSERT ON other FOR EACH ROW SET @g = 1",
    "DROP TRIGGER g",
    "CREATE USER of_traps",
    "LOCK TABLES t READ",
    "LOCK TABLES t WRITE, other READ",
    "GRANT SELECT ON traps.* TO of_traps",
    "DROP USER of_traps",
    "ANALYZE TABLE other",
    "OPTIMIZE TABLE other",
    "CHECK TABLE other",
    "FLUSH TABLES",
    "CREATE DATABASE more_traps",
    "DROP DATABASE more_traps",
]
# These do not.
KEEPING = [
    "CREATE TEMPORARY TABLE temporary (id INT)",
    "DROP TEMPORARY TABLE IF EXISTS temporary",
    "SET @v = 1",
    "SHOW TABLES",
    "SET autocommit = 0",
]


def implicit_commits():
    """Trap 4: statements that commit end our XA transaction as they would have ended the client's."""
    kept = []
    for at, statement in enumerate(COMMITTING + KEEPING):
        with node(1, database="traps", autocommit=True) as connection:
            run(connection, "BEGIN", f"INSERT INTO t VALUES ({at}, 0)", statement, "ROLLBACK")
            if statement.startswith("SET autocommit"):
                run(connection, "SET autocommit = 1")
        if run(node(1), f"SELECT 1 FROM traps.t WHERE id = {at}"):
            kept.append(statement)
    assert kept == COMMITTING, (set(COMMITTING) - set(kept), set(kept) - set(COMMITTING))
    with node(2, database="traps", autocommit=False) as connection:
        run(connection, "INSERT INTO t VALUES (100, 0)", "SET autocommit = 1")
        error = error_of(connection, "BEGIN", "INSERT INTO t VALUES (101, 0)", "XA START 'x'")
        assert error[0] == NOT_SUPPORTED, error
        run(connection, "ROLLBACK")
    assert run(node(2), "SELECT id FROM traps.t WHERE id >= 100") == ((100,),)
    expect_equal()
    print(f"{len(COMMITTING)} statements commit what is open, and {len(KEEPING)} do not")


def few_privileges():
    """Trap 5: an account that may only read and write rows needs nothing else."""
    define(
        "CREATE USER clerk IDENTIFIED BY 'secret'",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON traps.* TO clerk",
    )
    for number in NODES:
        clerk = node(number, database="traps", autocommit=True, client_flag=MULTI)
        clerk.close()
        clerk.user, clerk.password = b"clerk", b"secret"
        clerk.connect()
        with clerk as connection:
            run(connection, f"INSERT INTO count (v) VALUES ({number}), ({number})")
            run(connection, "BEGIN", f"UPDATE count SET v = -v WHERE v = {number} LIMIT 1", "COMMIT")
            denied = error_of(connection, "DELETE FROM trireme.mark")
            assert denied[0] in (1142, NOT_SUPPORTED), denied
    expect_equal()
    assert run(node(3), "SELECT SUM(v) FROM traps.count") == ((0,),)
    define("DROP USER clerk")
    print("an account that may only read and write rows has done so on every node")


def failing_statements():
    """Traps 12 and 17: who gets an error gets the server's own, and the transaction is what it would be."""
    with node(1, database="traps", autocommit=True) as one, node(1, database="traps", autocommit=True) as two:
        run(one, "DELETE FROM t", "INSERT INTO t VALUES (1, 0), (2, 0)")
        assert error_of(one, "INSERT INTO t VALUES (3, 0), (1, 0)")[0] == DUPLICATE
        assert error_of(one, "INSERT INTO nowhere VALUES (1)")[0] == NO_TABLE
        assert run(one, "SELECT id FROM t WHERE id = 3") == ()

        # A statement fails, and the transaction goes on.
        assert error_of(one, "BEGIN", "INSERT INTO t VALUES (200, 0)", "INSERT INTO t VALUES (1, 0)")[0] == DUPLICATE
        run(one, "INSERT INTO t VALUES (201, 0)", "COMMIT")
        run(two, "BEGIN", "UPDATE t SET v = 2 WHERE id = 1")
        run(one, "SET SESSION innodb_lock_wait_timeout = 1")
        error = error_of(one, "BEGIN", "INSERT INTO t VALUES (202, 0)", "UPDATE t SET v = 1 WHERE id = 1")
        assert error[0] == LOCK_TIMEOUT, error
        run(one, "COMMIT")

        # A deadlock rolls the whole transaction back; the session goes on.
        run(one, "SET SESSION innodb_lock_wait_timeout = 20", "BEGIN", "UPDATE t SET v = 3 WHERE id = 2")
        errors = []

        def update(connection, row):
            try:
                run(connection, f"UPDATE t SET v = 9 WHERE id = {row}")
                connection.commit()
            except pymysql.err.MySQLError as error:
                errors.append((connection, error.args[0]))

        at_once(10, lambda: update(one, 1), lambda: (until_one_waits(), update(two, 2)))
        assert [number for _, number in errors] == [DEADLOCK], errors
        loser = errors[0][0]
        run(loser, "INSERT INTO t VALUES (203, 0)")
    auto_increment_deadlock()
    found = run(node(1), "SELECT id FROM traps.t WHERE id >= 200 ORDER BY id")
    assert found == ((200,), (201,), (202,), (203,), (205,)), found
    expect_equal()
    print("statements that fail leave of a transaction what they would leave on the server alone")


def auto_increment_deadlock():
    """MariaDB has an error of its own for a deadlock about its lock for AUTO_INCREMENT, and has rolled back then."""
    rows = ", ".join(f"({n}, 0)" for n in range(1000, 1200))
    with node(1, database="traps", autocommit=True) as one, node(1, database="traps", autocommit=False) as two:
        run(one, f"INSERT INTO t VALUES {rows}", "BEGIN", "INSERT INTO t VALUES (204, 0)")
        run(one, "UPDATE t SET v = 1 WHERE id = 1150")
        run(two, "UPDATE t SET v = 1 WHERE id BETWEEN 1000 AND 1100")
        insert = "INSERT INTO count (v) SELECT 0 FROM t WHERE id BETWEEN 1000 AND 1199"
        waiting = threading.Thread(target=run, args=(two, insert))
        waiting.start()
        until_one_waits()
        if int(run(one, "SELECT @@innodb_autoinc_lock_mode")[0][0]) < 2:
            error = error_of(one, "INSERT INTO count (v) SELECT 5 UNION SELECT 6")
            assert error[0] == AUTO_INCREMENT_FAILED, error
        else:
            # Nothing is locked for AUTO_INCREMENT.
            run(one, "ROLLBACK")
        run(one, "INSERT INTO t VALUES (205, 0)", "COMMIT")
        waiting.join()
        run(two, "ROLLBACK")
        run(one, "DELETE FROM t WHERE id >= 1000")


def cascades():
    """Trap 16: what a cascade changes conflicts with what others change, though the row events may not show it."""
    define(
        "CREATE TABLE traps.parent (id INT PRIMARY KEY)",
        "CREATE TABLE traps.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id)"
        " ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE traps.grandchild (id INT PRIMARY KEY, c INT, v INT, FOREIGN KEY (c) REFERENCES child (id)"
        " ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE traps.tree (id INT PRIMARY KEY, up INT, v INT, FOREIGN KEY (up) REFERENCES tree (id)"
        " ON DELETE CASCADE)",
    )
    above = ("DELETE FROM parent WHERE id = {0}", "UPDATE parent SET id = {0} + 1000 WHERE id = {0}")
    below = (
        "UPDATE grandchild SET v = 1 WHERE id = {0}",
        "UPDATE child SET id = {0} + 2000 WHERE id = {0}",
        "INSERT INTO child VALUES ({0} + 3000, {0})",
        "UPDATE child SET p = NULL WHERE id = {0}",
        "DELETE FROM grandchild WHERE id = {0}",
    )
    # Where the parent's own key stays out of it these have nothing in common.
    apart = {("UPDATE parent SET id = {0} + 1000 WHERE id = {0}", "UPDATE grandchild SET v = 1 WHERE id = {0}"),
             ("UPDATE parent SET id = {0} + 1000 WHERE id = {0}", "DELETE FROM grandchild WHERE id = {0}")}
    pairs = [pair for a in above for b in below for pair in ((a, b), (b, a))]
    twice = "DELETE parent, grandchild FROM parent JOIN grandchild ON grandchild.id = {0} WHERE parent.id = {0}"
    # A table that is changed itself and reached by a cascade, too.
    for pair in (
        ("DELETE FROM tree WHERE id = {0}", "UPDATE tree SET v = 1 WHERE id = {0} + 2000"),
        ("DELETE FROM tree WHERE id = {0}", "UPDATE tree SET up = NULL WHERE id = {0} + 2000"),
        ("DELETE FROM tree WHERE id = {0}", "INSERT INTO tree VALUES ({0} + 3000, {0} + 2000, 0)"),
        (twice, "UPDATE grandchild SET v = 1 WHERE id = {0} + 6000"),
    ):
        pairs += [pair, pair[::-1]]
    with node(1, database="traps") as connection:
        if "MariaDB" not in connection.get_server_info():
            pairs = [pair for pair in pairs if twice not in pair]
            # What MySQL logs of this no server could follow.
            run(connection, "INSERT INTO parent VALUES (9000)", "INSERT INTO child VALUES (9000, 9000)")
            run(connection, "INSERT INTO grandchild VALUES (9000, 9000, 0)", "COMMIT")
            error = error_of(connection, twice.format(9000), "COMMIT")
            assert "delete from one table at a time" in error[1], error
            assert len(run(connection, "SELECT * FROM parent WHERE id = 9000")) == 1
    conflicts = 0
    for row, pair in enumerate(pairs):
        with node(3, database="traps", autocommit=True) as connection:
            for table, values in (("parent", f"{row}"), ("child", f"{row}, {row}"), ("grandchild", f"{row}, {row}, 0")):
                run(connection, f"INSERT INTO {table} VALUES ({values})")
            run(connection, f"INSERT INTO grandchild VALUES ({row} + 6000, {row}, 0)")
            run(connection, f"INSERT INTO tree VALUES ({row}, NULL, 0)")
            for depth in (1000, 2000):
                run(connection, f"INSERT INTO tree VALUES ({row + depth}, {row + depth - 1000}, 0)")
        expect_equal()
        first, second = (node(number, database="traps") for number in (1, 2))
        with first, second:
            for connection, statement in zip((first, second), pair):
                with connection.cursor() as cursor:
                    assert cursor.execute(statement.format(row)), statement
            first.commit()
            try:
                second.commit()
            except pymysql.err.MySQLError as error:
                assert error.args[0] == DEADLOCK, (pair, error)
                conflicts += 1
            else:
                assert pair in apart or pair[::-1] in apart, f"both have committed: {pair}"
        expect_equal()
    replaced_parents()
    reset_sessions()
    print(f"{len(pairs)} pairs of a cascade and what it reaches: {conflicts} conflicts, all servers equal")


def replaced_parents():
    """MySQL 9.7 logs a REPLACE as a deletion, too, though what refers to the row has stayed. Of a row that stays since its update is ignored
    it changes what refers to it."""
    define(
        "CREATE TABLE traps.named (id INT PRIMARY KEY AUTO_INCREMENT, name INT UNIQUE)",
        "CREATE TABLE traps.called (id INT PRIMARY KEY, name INT, FOREIGN KEY (name) REFERENCES named (name)"
        " ON DELETE CASCADE ON UPDATE SET NULL)",
    )
    with node(1, database="traps", autocommit=True) as connection:
        run(connection, "INSERT INTO named (name) VALUES (1), (2), (3)", "INSERT INTO called VALUES (1, 1), (2, 2), (3, 3)")
        run(connection, "REPLACE INTO named (name) VALUES (1)", "DELETE FROM named WHERE name = 2")
        run(connection, "INSERT INTO named (name) VALUES (3) ON DUPLICATE KEY UPDATE name = 4")
        called = run(connection, "SELECT * FROM called ORDER BY id")
        assert called in (((1, 1), (3, None)), ((3, None),)), called
        run(connection, "INSERT INTO named (name) VALUES (5), (6)", "INSERT INTO called VALUES (5, 5)", "UPDATE IGNORE named SET name = 6 WHERE name = 5")
        (stays,), = run(connection, "SELECT COUNT(*) FROM named WHERE name = 5")
        assert stays == 1, "the duplicate was not ignored"
    expect_equal()


def reset_sessions():
    """MySQL 9.7 logs no cascades in a session that was reset or has changed its user."""
    define(
        "CREATE TABLE traps.above (id INT PRIMARY KEY, name INT UNIQUE)",
        "CREATE TABLE traps.below (id INT PRIMARY KEY, name INT, v INT, FOREIGN KEY (name) REFERENCES above (name)"
        " ON DELETE CASCADE ON UPDATE SET NULL)",
    )
    with node(1, database="traps") as one, node(2, database="traps") as two:
        for row, above in enumerate(("DELETE FROM above WHERE id = {0}", "UPDATE above SET name = name + 100 WHERE id = {0}",
                                     "REPLACE INTO above VALUES ({0} + 100, {0})")):
            run(one, f"INSERT INTO above VALUES ({row}, {row})", f"INSERT INTO below VALUES ({row}, {row}, 0)", "COMMIT")
            expect_equal()
            one._execute_command(RESET_CONNECTION, b"")
            one._read_ok_packet()
            run(one, "USE traps", "BEGIN", above.format(row))
            run(two, f"UPDATE below SET v = 1 WHERE id = {row}")
            one.commit()
            assert error_of(two, "COMMIT")[0] == DEADLOCK, above
            expect_equal()


def snapshots():
    """A snapshot that stays open keeps nobody from committing: it locks nothing that sessions mark."""
    # SERIALIZABLE reads under locks, and by then what is committed.
    for level, visible in (("REPEATABLE READ", 0), ("SERIALIZABLE", 10)):
        define("DROP TABLE IF EXISTS traps.seen", "CREATE TABLE traps.seen (id INT PRIMARY KEY)")
        with node(1, database="traps") as reader:
            run(reader, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}", "START TRANSACTION WITH CONSISTENT SNAPSHOT")
            for row in range(4):
                writers = [node(1, database="traps", autocommit=True, read_timeout=10) for _ in range(row + 1)]
                for at, writer in enumerate(writers):
                    run(writer, f"INSERT INTO seen VALUES ({10 * row + at})")
                for writer in writers:
                    writer.close()
            expect(f"rows that are seen at {level}", run(reader, "SELECT COUNT(*) FROM seen"), ((visible,),))
    print("a snapshot keeps no session from committing")


def deadlocked_cascades():
    """MySQL rolls back without an error when a cascade meets a deadlock after its first row: the node says so."""
    heavy = ", ".join(f"({n}, 0)" for n in range(3000, 3200))
    for row, cascading in enumerate(
        (
            "DELETE FROM parent WHERE id = {0}",
            "UPDATE parent SET id = {0} + 100 WHERE id = {0}",
            "CALL less({0})",
        ),
        start=8000,
    ):
        for in_transaction in (True, False):
            one, two = (node(1, database="traps", autocommit=True) for _ in "12")
            with one, node(1, database="traps", autocommit=True) as setting_up:
                # The lighter transaction is the victim.
                run(setting_up, "DELETE FROM t", "DELETE FROM child", "DELETE FROM parent", "DROP PROCEDURE IF EXISTS less")
                run(setting_up, "CREATE PROCEDURE less(n INT) DELETE FROM parent WHERE id = n")
                run(setting_up, f"INSERT INTO t VALUES {heavy}", f"INSERT INTO parent VALUES ({row})")
                run(setting_up, f"INSERT INTO child VALUES (1, {row}), (2, {row})")
                run(two, "SET wsrep_retry_autocommit = 0")
                if in_transaction:
                    run(two, "BEGIN", "INSERT INTO t VALUES (1, 1)")
                run(one, "BEGIN", "UPDATE t SET v = 1 WHERE id >= 3000", "UPDATE child SET id = 5 WHERE id = 2")
                failed = []
                cascade = cascading.format(row)
                waiting = threading.Thread(target=lambda: failed.append(error_of(two, cascade)[0]))
                waiting.start()
                until_one_waits()
                run(one, f"SELECT * FROM parent WHERE id = {row} FOR UPDATE", "COMMIT")
                waiting.join()
                assert failed == [DEADLOCK], (cascade, failed)
                two.ping(reconnect=True)
                assert run(two, "SELECT COUNT(*) FROM t") == ((200,),)
                assert run(two, "SELECT id, p FROM child ORDER BY id") == ((1, row), (5, row))
                run(two, cascade)
                two.close()
            expect_equal()
    with node(1, database="traps", autocommit=True) as connection:
        run(connection, "DELETE FROM t")
    print("a cascade that meets a deadlock at its second row is a deadlock to its client, and nothing is lost")


def deadlocked_rows():
    """MySQL takes a deadlock that the applier meets for the end of what it looks for; others may end what it does."""
    define("CREATE TABLE traps.bare (v INT, w VARCHAR(9), KEY (v))")
    heavy = ", ".join(f"({n}, 0)" for n in range(3000, 3200))
    for first, second, is_deadlock in (
        ("(1, 'a')", "(2, 'c')", True),
        ("(1, 'a')", "(1, 'c')", True),
        ("(1, 'a')", "(1, 'c')", False),
        ("(1, 'a')", "(1, 'c'), (3, 'd')", False),
    ):
        with node(2, database="traps", autocommit=True) as client, server(1, database="traps") as stranger:
            run(client, f"INSERT INTO bare VALUES {first}")
            expect_equal()
            # Who waits for these rows holds the first of those to come. The lighter transaction is the victim.
            run(stranger, "SET sql_log_bin = 0", "INSERT INTO bare VALUES (1, 'b'), (2, 'b')",
                f"INSERT INTO t VALUES {heavy}")
            run(client, f"INSERT INTO bare VALUES {second}", f"DELETE FROM bare WHERE (v, w) IN ({first}, {second})")
            applier = until_one_waits()
            if is_deadlock:
                run(stranger, "SELECT * FROM bare WHERE v = 1 AND w = 'a' FOR UPDATE", "ROLLBACK")
            else:
                run(stranger, f"KILL QUERY {applier}")
                number, _ = error_of(stranger, "DO SLEEP(60)")
                assert number == GONE, number
        expect_equal()
    print("the applier meets a deadlock in the midst of its rows, or is killed, or waits for long, and nothing is lost")


def moved_wait():
    """A row that grows takes with it the lock that somebody waits for; MySQL makes it anew, for who has let it grow."""
    define("CREATE TABLE traps.grows (id INT PRIMARY KEY, v INT, w VARCHAR(5000))")
    with node(2, database="traps", autocommit=True) as client, server(1, database="traps") as stranger:
        run(client, "INSERT INTO grows VALUES (1, 0, '')")
        expect_equal()
        run(stranger, "SET sql_log_bin = 0", "SELECT * FROM grows WHERE id = 1 FOR UPDATE")
        run(client, "UPDATE grows SET v = 1 WHERE id = 1")
        until_one_waits()
        run(stranger, "UPDATE grows SET w = REPEAT('x', 5000) WHERE id = 1")
        number, _ = error_of(stranger, "DO SLEEP(20)")
        assert number == GONE, number
    expect_equal()
    print("who is in the applier's way is found though the lock that it waits for was moved")


def late_commit(box, *sandbox):
    """What a node that was killed has committed is not applied again if it is over only after the node is back."""
    kill(f"{box}/node3/trireme.pid")
    with node(1, database="traps", autocommit=True) as client, server(3, database="traps") as late:
        run(client, "INSERT INTO bare VALUES (9, 'once')")
        expect_equal(1, 2)
        run(late, "SET sql_log_bin = 0", f"UPDATE trireme_private.position SET seqno = {position(2)}",
            "INSERT INTO bare VALUES (9, 'once')")
        starting = subprocess.Popen(sandbox, stdout=subprocess.DEVNULL)
        until_one_waits(3)
        run(late, "COMMIT")
        assert starting.wait(60) == 0
    expect_equal()
    print("what was committed by a node that was killed, when it was back already, is not applied again")


def left_waiting(box, *sandbox):
    """What a node that was killed has left waiting for a lock is not waited for."""
    with node(1, database="traps", autocommit=True) as client, server(3, database="traps") as stranger:
        run(client, "INSERT INTO t VALUES (250, 0)")
        expect_equal()
        run(stranger, "SET sql_log_bin = 0", "UPDATE t SET v = 1 WHERE id = 250")
        run(client, "UPDATE t SET v = 2 WHERE id = 250")
        until_one_waits(3)
        kill(f"{box}/node3/trireme.pid")
        subprocess.run(sandbox, stdout=subprocess.DEVNULL, timeout=60, check=True)
        number, _ = error_of(stranger, "DO SLEEP(60)")
        assert number == GONE, number
    expect_equal()
    print("what a node that was killed has left waiting for a lock does not keep it from coming back")


def routines():
    """Trap 14: a procedure that would end the transaction says why it cannot, and nothing else is lost."""
    define(
        "CREATE PROCEDURE traps.ends() BEGIN INSERT INTO t VALUES (300, 0); COMMIT; END",
        "CREATE PROCEDURE traps.begins() BEGIN START TRANSACTION; INSERT INTO t VALUES (301, 0); COMMIT; END",
        "CREATE PROCEDURE traps.defines() CREATE TABLE never (id INT)",
    )
    with node(2, database="traps", autocommit=True) as connection:
        for name in ("ends", "begins", "defines"):
            number, text = error_of(connection, f"CALL {name}()")
            assert number == NOT_SUPPORTED and "have the client do so itself" in text, (number, text)
        number, _ = error_of(connection, "BEGIN", "INSERT INTO t VALUES (302, 0)", "CALL begins()")
        assert number == NOT_SUPPORTED
        run(connection, "COMMIT")
    assert run(node(2), "SELECT id FROM traps.t WHERE id >= 300") == ((302,),)
    expect_equal()
    print("procedures that end transactions are refused, and the session goes on")


def redefined():
    """A prepared statement does what it means when it runs, not what it meant when it was prepared."""
    define(
        "CREATE TABLE traps.looked (id INT AUTO_INCREMENT PRIMARY KEY)",
        "CREATE VIEW traps.look AS SELECT 1 AS v",
    )
    client = wire.Connection(int(sys.argv[1]) + 1, wire.COMMON)
    prepared = client.exchange(wire.prepare("SELECT v FROM traps.look"))
    execute = wire.execute(int.from_bytes(wire.PREPARED.match(prepared)[2], "little"))
    client.exchange(execute)
    define(
        "CREATE FUNCTION traps.see() RETURNS INT DETERMINISTIC BEGIN INSERT INTO traps.looked VALUES (); RETURN 1; END",
        "CREATE OR REPLACE VIEW traps.look AS SELECT traps.see() AS v",
    )
    client.exchange(execute)
    client.exchange(wire.query("BEGIN"), execute, wire.query("COMMIT"))
    with node(1, database="traps", autocommit=True) as keeper, node(2, database="traps", autocommit=True) as waiter:
        run(keeper, "CREATE OR REPLACE VIEW look AS SELECT 1 AS v", "DO GET_LOCK('look', 0)")
        expect_equal()
        waiting = threading.Thread(target=run, args=(waiter, "SELECT GET_LOCK('look', 30), v FROM look"))
        waiting.start()
        # If it comes to wait only after the definition, this shows less.
        time.sleep(0.5)
        run(keeper, "CREATE OR REPLACE VIEW look AS SELECT see() AS v")
        expect_equal()
        run(keeper, "DO RELEASE_LOCK('look')")
        waiting.join()
    expect_equal()
    expect("what was seen", run(node(3), "SELECT COUNT(*) FROM traps.looked"), ((3,),))
    print("statements that read a view write, once the view does: prepared ones, and one that waits meanwhile")


def unordered():
    """An ALTER TABLE that numbers the rows of a table without a key would number others on each server, and one that asks who runs it
    or for a random number would get another answer."""
    mariadb = "MariaDB" in run(node(1), "SELECT VERSION()")[0][0]
    define("CREATE TABLE traps.heap (v INT)", "CREATE TABLE traps.keyed (v INT NOT NULL, UNIQUE (v))")
    with node(1, database="traps") as early, node(1, database="traps") as late:
        run(early, "BEGIN", "INSERT INTO heap VALUES (1)", "INSERT INTO keyed VALUES (2)")
        run(late, "BEGIN", "INSERT INTO heap VALUES (2)", "INSERT INTO keyed VALUES (1)", "COMMIT")
        run(early, "COMMIT")
    refused = ["ALTER TABLE traps.heap ADD id INT AUTO_INCREMENT PRIMARY KEY",
               "ALTER TABLE heap ADD c INT DEFAULT (CONNECTION_ID())"]
    if mariadb:
        refused += ["ALTER IGNORE TABLE heap ADD UNIQUE (v)", "ALTER TABLE heap ADD c INT DEFAULT (@c)", "ALTER TABLE heap ADD c CHAR(36) DEFAULT UUID()",
                    "CREATE TABLE t2 (a BIGINT UNSIGNED AS ROW START, b BIGINT UNSIGNED AS ROW END, PERIOD FOR SYSTEM_TIME (a, b)) WITH SYSTEM VERSIONING"]
    with node(1, database="traps", autocommit=True) as connection:
        for statement in refused:
            expect(statement, error_of(connection, statement)[0], NOT_SUPPORTED)
        run(connection, "ALTER TABLE keyed ADD id INT AUTO_INCREMENT, ADD KEY (id)", "ALTER TABLE heap ADD d CHAR(36)", "ALTER TABLE heap ALTER d SET DEFAULT (UUID())")
        expect("no table", error_of(connection, "ALTER TABLE nowhere ADD id INT AUTO_INCREMENT PRIMARY KEY")[0], NO_TABLE)
    expect_equal()
    print(f"{len(refused)} ways to alter a table that would have come out differently on each server are refused")


def settings(binlog_format, row_image):
    """Trap 7: what can be set on a running server is set, whatever it was started with."""
    for number in NODES:
        with server(number) as connection:
            found = run(connection, "SELECT @@GLOBAL.binlog_format, @@GLOBAL.binlog_row_image")
            assert found == (("ROW", "FULL"),), found
    print(f"servers started with {binlog_format} and {row_image} have what is needed")


def diverged():
    """Trap 10: a server that cannot take what is committed does not go on without it."""
    with node(1, database="traps", autocommit=True) as connection:
        run(connection, "INSERT INTO t VALUES (400, 0)")
        expect_equal()
        with server(3, database="traps") as third:
            run(third, "SET sql_log_bin = 0", "DELETE FROM t WHERE id = 400", "COMMIT")
        run(connection, "UPDATE t SET v = 1 WHERE id = 400", "INSERT INTO t VALUES (401, 0)")
    deadline = time.time() + 10
    while (found := health(3)) and found[0] == 200:
        if time.time() > deadline:
            sys.exit("FAILED: a node goes on whose server lacks a row")
        time.sleep(0.05)
    expect_equal(1, 2)
    assert run(server(3), "SELECT id FROM traps.t WHERE id >= 400") == ()
    with node(2, database="traps", autocommit=True) as connection:
        run(connection, "INSERT INTO t VALUES (402, 0)")
    expect_equal(1, 2)
    print("a node whose server lacks a row has stopped at it, and the others go on")


PARTS = {part.__name__: part for part in (
    set_up, implicit_commits, few_privileges, failing_statements, snapshots, cascades, deadlocked_cascades,
    deadlocked_rows, moved_wait, late_commit, left_waiting, routines, redefined, unordered, settings, diverged)}
PARTS[sys.argv[2]](*sys.argv[3:])
