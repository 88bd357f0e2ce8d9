"""Changes one server of a sandbox alone, or tries to.

    drive.py PORT PART [ARGUMENT…]
"""

import re
import subprocess
import sys
import time

import pymysql
from pymysql.constants import CLIENT, COMMAND

from cluster import NODES, define, expect_equal, kill, node, run, runs, server, start_again, status

REFUSED = 1235


def refusal(connection, statement, prepare=False):
    try:
        if prepare:
            connection._execute_command(COMMAND.COM_STMT_PREPARE, statement)
            connection._read_packet()
        else:
            run(connection, statement)
    except pymysql.err.MySQLError as error:
        number, message = error.args
        assert number == REFUSED and message.startswith("Trireme: "), (statement, error)
        return message
    sys.exit(f"FAILED: not refused: {statement}")


def refused():
    """What cannot be replicated is refused with a reason, changes no server, and the session goes on."""
    mariadb = "MariaDB" in run(node(1), "SELECT VERSION()")[0][0]
    define(
        "CREATE DATABASE refused",
        "CREATE DATABASE namesakes",
        "USE refused",
        "CREATE TABLE old (a INT PRIMARY KEY, b INT) ENGINE=MyISAM",
        "CREATE TABLE cache (a INT) ENGINE=MEMORY",
        "CREATE TABLE t (a INT PRIMARY KEY, old INT)",
        "CREATE TABLE watched (a INT PRIMARY KEY)",
        "CREATE TABLE namesakes.old (a INT PRIMARY KEY, b INT)",
        "CREATE VIEW seen AS SELECT a FROM old",
        "CREATE TRIGGER w AFTER INSERT ON watched FOR EACH ROW INSERT INTO cache VALUES (NEW.a)",
        "CREATE PROCEDURE keep(n INT) BEGIN INSERT INTO t VALUES (n, n); INSERT INTO old VALUES (n, n); END",
        "CREATE PROCEDURE look() SELECT * FROM old",
        "CREATE FUNCTION kept(n INT) RETURNS INT NO SQL BEGIN DELETE FROM cache; RETURN n; END",
    )
    refuse = [
        "INSERT INTO old VALUES (1, 1)",
        "INSERT INTO refused.old VALUES (1, 1)",
        "REPLACE INTO `old` SELECT 1, 1",
        "UPDATE t JOIN cache ON t.a = cache.a SET cache.a = 1",
        "DELETE FROM old WHERE a = 1",
        "INSERT INTO seen VALUES (1)",
        "INSERT INTO watched VALUES (1)",
        "CALL keep(1)",
        "SELECT kept(1)",
        "SET @a = kept(1)",
        "INSERT INTO t VALUES (kept(1), 1)",
    ]
    if mariadb:
        define(
            "CREATE SEQUENCE refused.s",
            "CREATE TABLE refused.numbered (n INT PRIMARY KEY DEFAULT (NEXTVAL(refused.s)), a INT)",
        )
        refuse += [
            "SELECT NEXTVAL(s)",
            "SELECT NEXT VALUE FOR refused.s",
            "DO SETVAL(s, 7)",
            "INSERT INTO numbered (a) VALUES (1)",
            "UPDATE mysql.db SET Update_priv = 'Y' WHERE Db = 'refused'",
        ]
    accept = [
        "INSERT INTO t VALUES (1, 1) ON DUPLICATE KEY UPDATE old = 2",
        "UPDATE t SET old = 3",
        "INSERT INTO t SELECT a + 10, b FROM old",
        "SELECT * FROM old JOIN cache",
        "CALL look()",
        "INSERT INTO namesakes.old VALUES (1, 1)",
        "CREATE TEMPORARY TABLE mine (a INT) ENGINE=MyISAM",
        "INSERT INTO mine VALUES (1)",
    ]
    with node(1, database="refused", autocommit=True) as connection:
        for statement in refuse:
            said = refusal(connection, statement)
            assert said == refusal(connection, statement, prepare=True), statement
        assert "ALTER TABLE refused.old ENGINE=InnoDB" in refusal(connection, refuse[0])
        assert "refused.keep" in refusal(connection, "CALL keep(1)")
        for statement in accept:
            run(connection, statement)
        run(connection, "USE namesakes", "UPDATE old SET b = 2", "USE refused")
        run(connection, "BEGIN", "INSERT INTO t VALUES (5, 5)")
        refusal(connection, "INSERT INTO old VALUES (5, 5)")
        run(connection, "COMMIT")
        assert run(connection, "SELECT a FROM t WHERE a = 5") == ((5,),)
    with node(2, database="refused", client_flag=CLIENT.MULTI_STATEMENTS, autocommit=True) as connection:
        refusal(connection, "DO 1; DELETE FROM old; DROP TABLE t")
        run(connection, "DO 1")
    expect_equal()
    define("ALTER TABLE refused.old ENGINE=InnoDB", "ALTER TABLE refused.cache ENGINE=InnoDB", number=3)
    for number in NODES:
        with node(number, database="refused", autocommit=True) as connection:
            run(connection, f"CALL keep({number + 100})", f"INSERT INTO watched VALUES ({number})")
    print(f"{expect_equal()} tables equal on all servers")


def eventually(seconds, condition):
    deadline = time.time() + seconds
    while not condition():
        if time.time() > deadline:
            return False
        time.sleep(0.02)
    return True


def write(*numbers):
    for number in numbers:
        with node(number, autocommit=True) as connection:
            run(connection, f"INSERT INTO behind.t VALUES ({time.time_ns()}, {number})")


def make_tables():
    define(
        "DROP DATABASE IF EXISTS behind",
        "CREATE DATABASE behind",
        "CREATE TABLE behind.t (id BIGINT PRIMARY KEY, n INT)",
    )
    write(*NODES)


# What somebody commits on a server, what the node calls it, and how that is undone.
BACKDOOR = (
    ("INSERT INTO behind.t VALUES (-7, 7)", "behind.t", "DELETE FROM behind.t WHERE id = -7"),
    ("CREATE USER behind", "CREATE USER", "DROP USER behind"),
    ("ALTER TABLE behind.t ADD b INT", "ALTER TABLE behind.t ADD b INT", "ALTER TABLE behind.t DROP b"),
    ("CREATE DATABASE more", "CREATE DATABASE more", "DROP DATABASE more"),
    (("XA START 'x'", "INSERT INTO behind.t VALUES (-8, 8)", "XA END 'x'", "XA PREPARE 'x'"), "XA", "XA ROLLBACK 'x'"),
)



def has_one_binlog():
    """Takes away what a node would see such a commit in. A server keeps what somebody reads."""
    with server(3, autocommit=True) as connection:
        run(connection, "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
        return len(run(connection, "SHOW BINARY LOGS")) == 1


LOST = ("FLUSH BINARY LOGS", "binlog that is not there", "DO 1")


def fatal(box, *sandbox):
    """What somebody commits on a server stops its node, which stays down until that has been dealt with; and so it
    does when the node was not there to see it."""
    make_tables()
    log, pid_file = f"{box}/node3/trireme.log", f"{box}/node3/trireme.pid"
    mariadb = "MariaDB" in run(node(1), "SELECT VERSION()")[0][0]
    emptied = ("RESET MASTER" if mariadb else "RESET BINARY LOGS AND GTIDS", "binlog that is not there", "DO 1")
    for is_away, (statements, named, undo) in (
        *((False, backdoor) for backdoor in (*BACKDOOR, emptied)),
        *((True, backdoor) for backdoor in (*BACKDOOR, LOST)),
    ):
        statements = (statements,) if isinstance(statements, str) else statements
        with open(pid_file) as file:
            pid = int(file.read())
        with server(3, autocommit=True) as connection:
            # These change nothing that nodes have in common.
            run(connection, "FLUSH TABLES", "CREATE TEMPORARY TABLE behind.m (a INT)", "INSERT INTO behind.m VALUES (1)")
            run(connection, "SET sql_log_bin = 0", "CREATE DATABASE mine", "DROP DATABASE mine", "SET sql_log_bin = 1")
        write(3)
        define("CREATE TABLE behind.own (id INT)", "DROP TABLE behind.own", number=3)
        assert status(3)["backdoor_commits"] == 0, status(3)
        if is_away:
            kill(pid_file)
        since = time.time()
        with server(3, autocommit=True) as connection:
            run(connection, *statements)
        if statements[0] == LOST[0] and not eventually(10, has_one_binlog):
            sys.exit("FAILED: the server keeps its binlogs")
        if not eventually(10, lambda: not runs(pid)):
            sys.exit(f"FAILED: the node goes on after {statements}")
        took = time.time() - since
        for attempt in ("at its next start",) if is_away else ("at once", "at its next start"):
            if is_away:
                started = subprocess.run(sandbox, capture_output=True, text=True, timeout=60)
                assert started.returncode, f"{statements} were not noticed: {started.stdout}"
            with open(log) as file:
                last = re.sub("\x1b[^m]*m", "", file.readlines()[-1])
            assert "committed what did not come through this node" in last and named in last, (attempt, last)
            if attempt == "at once":
                print(f"   after {took:.2f} s: {last.split(': ', 1)[1][:170]}…")
                write(1, 2)
                started = subprocess.run(sandbox, capture_output=True, text=True, timeout=60)
                assert started.returncode, started.stdout
        with server(3, autocommit=True) as connection:
            run(connection, "SET sql_log_bin = 0", undo, "DELETE FROM trireme_private.backdoor_commit")
        start_again(sandbox)
        write(3)
        expect_equal()


def reported(box, *sandbox):
    """Or it is only reported, once."""
    with server(1, autocommit=True) as connection:
        run(connection, "CREATE DATABASE behind", "CREATE TABLE behind.t (id INT)", "CREATE USER behind")
        run(connection, "INSERT INTO behind.t VALUES (1)")
    if not eventually(5, lambda: status(1)["backdoor_commits"] == 4):
        sys.exit(f"FAILED: {status(1)}")
    last = status(1)["last_backdoor_commit"]
    assert "rows of behind.t" in last, last
    print(f"   reported: {last}")
    with node(1, autocommit=True) as connection:
        run(connection, "INSERT INTO behind.t VALUES (2)")
    for commits in (2, 0):
        kill(f"{box}/node1/trireme.pid")
        with server(1, autocommit=True) as connection:
            for _ in range(commits):
                run(connection, "INSERT INTO behind.t VALUES (3)")
        start_again(sandbox)
        assert status(1)["backdoor_commits"] == commits, status(1)


PARTS = {"refused": refused, "fatal": fatal, "reported": reported}
PARTS[sys.argv[2]](*sys.argv[3:])
