"""What a node does while others are down: see run.sh."""

import os
import signal
import subprocess
import sys
import time

import pymysql

from cluster import NODES, at_once, define, expect_equal, kill, node, pid_of, run, start_again

NO_QUORUM, UNDECIDED = 1047, 1180
STALLS = 4


def attempt(connection, *statements):
    """What a client hears: 0, or the error's number; and after how long (s)."""
    before = time.monotonic()
    try:
        run(connection, *statements)
        result = 0
    except pymysql.err.MySQLError as error:
        result = error.args[0]
    return result, time.monotonic() - before


def expect_alone(number):
    """Waits until a node knows that it is alone, and refuses without asking anybody."""
    deadline = time.monotonic() + 10
    while True:
        with node(number, autocommit=True) as connection:
            result, seconds = attempt(connection, "CREATE DATABASE refused")
        if result == NO_QUORUM and seconds < 0.1:
            return
        if time.monotonic() > deadline:
            sys.exit(f"FAILED: node {number} does not know that it is alone: {result} after {seconds} s")
        time.sleep(0.05)


def two_killed(box, *sandbox):
    """A node that is left alone refuses, at once and by name, and its sessions go on when the others are back."""
    define("DROP DATABASE IF EXISTS two", "CREATE DATABASE two", "CREATE TABLE two.t (id INT PRIMARY KEY, v INT)",
           "INSERT INTO two.t VALUES (1, 0), (2, 0), (3, 0)")
    expect_equal()
    idle = node(3, database="two", autocommit=True)
    inside = node(3, database="two")
    reader = node(3, database="two")
    run(inside, "UPDATE t SET v = 1 WHERE id = 1")
    run(reader, "SELECT * FROM t")
    for number in (1, 2):
        kill(f"{box}/node{number}/trireme.pid")
    # The first to write may have been sent to a leader that is gone, or be taken in by one that is alone.
    first = node(3, database="two", autocommit=True)
    result, seconds = attempt(first, "UPDATE t SET v = 2 WHERE id = 2")
    if result not in (NO_QUORUM, UNDECIDED) or seconds > 3:
        sys.exit(f"FAILED: the first write: {result} after {seconds} s")
    expect_alone(3)
    slowest = seconds
    for expected, connection, statement in (
        (0, idle, "SELECT 1, @@wsrep_start_position"),
        (NO_QUORUM, idle, "SELECT (SELECT 1)"),
        (NO_QUORUM, idle, "UPDATE t SET v = 3 WHERE id = 3"),
        (NO_QUORUM, idle, "CREATE TABLE u (a INT)"),
        (NO_QUORUM, idle, "CREATE USER somebody"),
        (NO_QUORUM, idle, "BEGIN"),
        (0, idle, "SET @a = 1"),
        (0, idle, "SHOW VARIABLES LIKE 'port'"),
        (0, idle, "ROLLBACK"),
        (NO_QUORUM, inside, "UPDATE t SET v = 1 WHERE id = 3"),
        (NO_QUORUM, inside, "COMMIT"),
        (NO_QUORUM, reader, "SELECT * FROM t"),
        (0, reader, "COMMIT"),
    ):
        result, seconds = attempt(connection, statement)
        slowest = max(slowest, seconds)
        if result != expected:
            sys.exit(f"FAILED: {statement}: {result} and not {expected}")
    start_again(sandbox)
    deadline = time.monotonic() + 10
    while (result := attempt(idle, "UPDATE t SET v = 4 WHERE id = 3")[0]) != 0:
        if time.monotonic() > deadline:
            sys.exit(f"FAILED: {result} although there is a majority again")
        time.sleep(0.05)
    for connection in (inside, reader):
        run(connection, "INSERT INTO t VALUES (LAST_INSERT_ID() + CONNECTION_ID() + 100, 5)")
        connection.commit()
    expect_equal()
    rows = dict(run(node(1), "SELECT id, v FROM two.t WHERE id < 100"))
    # What became of the first write was unknown; nothing else is.
    if rows.pop(2) not in (0, 2) or rows != {1: 0, 3: 4}:
        sys.exit(f"FAILED: {rows}")
    print(f"without a majority every client was told within {slowest:.2f} s, and its session went on afterwards")


def reads(box, *sandbox):
    """By its configuration a node lets clients read while it is alone, and nothing else."""
    define("DROP DATABASE IF EXISTS three", "CREATE DATABASE three", "CREATE TABLE three.t (id INT PRIMARY KEY)",
           "INSERT INTO three.t VALUES (1)")
    expect_equal()
    kill(f"{box}/node3/trireme.pid")
    with open(f"{box}/node3/trireme.toml") as file:
        configuration = file.read()
    path = f"{box}/node3/reads.toml"
    with open(path, "w") as file:
        file.write(configuration + "reads_without_majority = true\n")
    with open(f"{box}/node3/trireme.log", "a") as log:
        reading = subprocess.Popen([sandbox[0], "run", "--config", path], stderr=log)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                connection = node(3, autocommit=True, database="three")
                break
            except pymysql.err.MySQLError:
                if time.monotonic() > deadline:
                    sys.exit("FAILED: the node does not serve")
                time.sleep(0.1)
        for number in (1, 2):
            kill(f"{box}/node{number}/trireme.pid")
        expect_alone(3)
        for expected, statement in ((0, "SELECT * FROM t"), (0, "BEGIN"), (0, "SELECT * FROM t FOR UPDATE"),
                                    (NO_QUORUM, "DELETE FROM t"), (0, "COMMIT"), (NO_QUORUM, "CREATE TABLE u (a INT)")):
            result, _ = attempt(connection, statement)
            if result != expected:
                sys.exit(f"FAILED: {statement}: {result} and not {expected}")
    finally:
        reading.terminate()
        reading.wait(10)
    start_again(sandbox)
    expect_equal()
    print("a node that may reads while it is alone, and does not write")


def expect_all(stall, seconds):
    """Nine clients write while something stands still, and are told of nothing; gives the number of commits."""
    define("DROP DATABASE IF EXISTS stalled", "CREATE DATABASE stalled", "CREATE TABLE stalled.t (id INT PRIMARY KEY, v INT)",
           f"INSERT INTO stalled.t VALUES {', '.join(f'({at}, 0)' for at in range(9))}")
    expect_equal()
    over = time.monotonic() + seconds
    commits = []

    def client(at):
        with node(NODES[at % 3], database="stalled", autocommit=True) as connection:
            while time.monotonic() < over:
                run(connection, f"UPDATE t SET v = v + 1 WHERE id = {at}")
                commits.append(at)

    at_once(seconds, stall, *(lambda at=at: client(at) for at in range(9)))
    expect_equal()
    values = dict(run(node(1), "SELECT id, v FROM stalled.t"))
    if any(values[at] != commits.count(at) for at in range(9)):
        sys.exit(f"FAILED: {values}")
    return len(commits)


def stalled(box, *_):
    """All nodes stand still for a while, as on a machine that does: nobody is told that there is no majority."""
    def stall():
        pids = [pid_of(f"{box}/node{number}/trireme.pid") for number in NODES]
        for _ in range(STALLS):
            time.sleep(0.5)
            for what, seconds in ((signal.SIGSTOP, 2.5), (signal.SIGCONT, 0)):
                for pid in pids:
                    os.kill(pid, what)
                time.sleep(seconds)

    print(f"all nodes stood still {STALLS} times for 2.5 s: {expect_all(stall, 3 * STALLS)} commits, and no error")


def stalled_disks(file):
    """The disks of all nodes stand still, while the nodes run: a majority is there, and takes things in when it can."""
    waits = []

    def stall():
        with node(1, database="stalled", autocommit=True) as reader:
            for _ in range(STALLS):
                time.sleep(0.5)
                with open(file, "w"):
                    over = time.monotonic() + 2.5
                while time.monotonic() < over:
                    start = time.monotonic()
                    run(reader, "SELECT * FROM t")
                    waits.append(time.monotonic() - start)
                    time.sleep(0.05)
                os.remove(file)

    commits = expect_all(stall, 3 * STALLS)
    print(f"all disks stood still {STALLS} times for 2.5 s: {commits} commits, reads within {max(waits):.2f} s, and no error")


PARTS = {"two_killed": two_killed, "reads": reads, "stalled": stalled, "stalled_disks": stalled_disks}
PARTS[sys.argv[2]](*sys.argv[3:])
