"""Transactions that read what others change before they write it.

Usage: drive.py PORT PART ISOLATION. Nodes are at PORT + 1 to 3, with this isolation. What "snapshot" promises is looked
for with "server", too, which does not promise it: or nobody would know that the test can see it.
"""

import random
import sys
import time

import pymysql
from pymysql.constants import CLIENT

from cluster import NODES, at_once, define, error_of, expect, node, run

PART, ISOLATION = sys.argv[2:4]
DEADLOCK = 1213
SECONDS = 2
COUNTERS = 3

BEGIN = {
    "BEGIN": ("BEGIN",),
    "autocommit off": ("SET autocommit = 0",),
    "a snapshot": ("START TRANSACTION WITH CONSISTENT SNAPSHOT",),
    "a level for one transaction": ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION READ WRITE"),
    "READ COMMITTED": ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "BEGIN"),
}


def set_up():
    define("CREATE DATABASE counts", "CREATE TABLE counts.c (id INT PRIMARY KEY, v INT NOT NULL)",
           "CREATE PROCEDURE counts.reads() READS SQL DATA SELECT v INTO @v FROM counts.c WHERE id = 1",
           "CREATE PROCEDURE counts.sets(which INT, value INT) UPDATE counts.c SET v = value WHERE id = which",
           "CREATE PROCEDURE counts.one_more(which INT) BEGIN DECLARE one INT; SELECT v + 1 INTO one FROM counts.c WHERE id = which; "
           "UPDATE counts.c SET v = one WHERE id = which; END",
           "INSERT INTO counts.c VALUES " + ", ".join(f"({number}, 0)" for number in range(COUNTERS + 1)))


def commits(begin, read, meanwhile, write, one=1, other=1):
    """Whether a transaction of one node commits which reads and then writes, while another client does something."""
    with node(one, autocommit=True) as first, node(other, autocommit=True) as second:
        run(first, *begin)
        if read:
            run(first, read)
        run(second, *meanwhile)
        # Its server has it.
        with node(one, autocommit=True) as third:
            run(third, "SET wsrep_sync_wait = 1", "SELECT 1")
        errors = [error_of(first, statement) for statement in (*write, "COMMIT")]
        errors = [error for error in errors if error]
        expect("what it may lose by", errors[:1] in ([], [DEADLOCK]), True)
        return not errors


def schedules():
    read = "SELECT v FROM counts.c WHERE id = 1"
    plus_one = "UPDATE counts.c SET v = v + 1 WHERE id = {}"
    write = (plus_one.format(1),)
    overwritten = (plus_one.format(1),)
    is_lax = ISOLATION == "server"
    for other in (1, 2):
        for name, begin in BEGIN.items():
            lost = commits(begin, read, overwritten, write, other=other)
            expect(f"after {name} an update of node {other} is lost", lost, is_lax)
        begin = BEGIN["BEGIN"]
        for name, reads in (
            ("a variable", "SELECT v INTO @v FROM counts.c WHERE id = 1"),
            ("a procedure", "CALL counts.reads()"),
            ("another row's write", "UPDATE counts.c SET v = v + 1 WHERE id = 2"),
        ):
            lost = commits(begin, reads, overwritten, write, other=other)
            expect(f"with {name} an update of node {other} is lost", lost, is_lax)
        definition = ("CREATE OR REPLACE VIEW counts.w AS SELECT 1",)
        expect("a definition between", commits(begin, read, definition, write, other=other), is_lax)
        # In these nobody has overwritten anything.
        for name, reads, meanwhile, writes in (
            ("another row", read, (plus_one.format(2),), write),
            ("nothing read", None, overwritten, write),
            ("only read", read, overwritten, ()),
            ("a failed update", read, ("BEGIN", *overwritten, "ROLLBACK"), write),
        ):
            expect(f"{name}: it commits", commits(begin, reads, meanwhile, writes, other=other), True)
    # A session has seen what it has written itself, and after that what others have.
    with node(1, autocommit=True) as first, node(1, autocommit=True) as second:
        for _ in range(100):
            for connection in (first, first, second):
                run(connection, "BEGIN", read, *write, "COMMIT")
            run(first, *write)


def set_to(statement):
    """Reads a counter, and writes one more: what two have read at once they set to the same."""

    def count(connection, which):
        ((value,),) = run(connection, "BEGIN", f"SELECT v FROM counts.c WHERE id = {which}")
        run(connection, statement.format(which=which, value=value + 1), "COMMIT")

    return count


def prepared(connection, which):
    ((value,),) = run(connection, "BEGIN", f"SELECT v FROM counts.c WHERE id = {which}")
    run(connection, f"SET @v = {value + 1}, @which = {which}", "PREPARE p FROM 'UPDATE counts.c SET v = ? WHERE id = ?'",
        "EXECUTE p USING @v, @which", "COMMIT")


def in_one_statement(connection, which):
    run(connection, f"CALL counts.one_more({which})")


# What the client writes with; each client uses one.
WAYS = {
    "UPDATE": set_to("UPDATE counts.c SET v = {value} WHERE id = {which}"),
    "ON DUPLICATE KEY": set_to("INSERT INTO counts.c VALUES ({which}, {value}) ON DUPLICATE KEY UPDATE v = {value}"),
    "REPLACE": set_to("REPLACE INTO counts.c VALUES ({which}, {value})"),
    "CALL": set_to("CALL counts.sets({which}, {value})"),
    "a routine that reads": in_one_statement,
    "EXECUTE": prepared,
}


def count(number, way, stop, commits):
    flags = CLIENT.FOUND_ROWS if number == 2 else 0
    with node(number, autocommit=True, client_flag=flags) as connection:
        while time.time() < stop:
            which = random.randint(1, COUNTERS)
            try:
                way(connection, which)
                commits.append(which)
            except pymysql.MySQLError as error:
                if error.args[0] != DEADLOCK:
                    raise


def counters():
    for name, way in WAYS.items():
        with node(1, autocommit=True) as connection:
            run(connection, "UPDATE counts.c SET v = 0")
        define("SELECT 1")
        commits, stop = [], time.time() + SECONDS
        clients = [lambda number=number: count(number, way, stop, commits) for number in NODES for _ in range(2)]
        at_once(SECONDS, *clients)
        define("SELECT 1")
        with node(1) as connection:
            ((total,),) = run(connection, "SELECT SUM(v) FROM counts.c WHERE id > 0")
        lost = len(commits) - int(total)
        print(f"{ISOLATION}, {name}: {len(commits)} commits, {lost} updates lost")
        expect("something is committed of each", len(set(commits)), COUNTERS)
        expect("updates are lost", lost > 0, ISOLATION == "server")


{"set_up": set_up, "schedules": schedules, "counters": counters}[PART]()
