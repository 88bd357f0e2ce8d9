"""Fills the log of a cluster, and starts its nodes again: see run.sh.

    drive.py PORT PART [ARGUMENT…]
"""

import sys
import threading
import time

import pymysql

from cluster import NODES, at_once, define, expect_equal, kill, node, run, start_again, status

DEADLOCK = 1213
# Rows of this size, so that a transaction can be several entries of the log.
ROW_BYTES = 100_000
# The log's files may be larger than what is kept by what is not to be removed yet, and by what is being written.
KEPT_BYTES, MAX_BYTES = 1 << 20, 4 << 20
# Nothing takes as long, unless it hangs.
LIMIT = 180
# How long to wait for what comes by chance: a fence between the parts of a transaction.
CHANCE = 30
TRANSACTIONS = 100


def set_up():
    define(
        "DROP DATABASE IF EXISTS retention",
        "CREATE DATABASE retention",
        "CREATE TABLE retention.small (id BIGINT AUTO_INCREMENT PRIMARY KEY, client INT)",
        "CREATE TABLE retention.hot (id INT PRIMARY KEY, v INT)",
        "CREATE TABLE retention.large (id BIGINT AUTO_INCREMENT PRIMARY KEY, v LONGBLOB)",
        "INSERT INTO retention.hot VALUES (0, 0), (1, 0)",
    )


class Load:
    """Clients that write until they have done enough."""

    def __init__(self, numbers):
        self.numbers = numbers
        self.over = threading.Event()
        self.committed = {"small": 0, "hot": 0, "large": 0}
        self.deadlocks = 0
        with node(numbers[0], database="retention") as connection:
            self.rows = self.counts(connection)

    def counts(self, connection):
        small = run(connection, "SELECT COUNT(*) FROM small")[0][0]
        hot = run(connection, "SELECT SUM(v) FROM hot")[0][0]
        return {"small": small, "hot": int(hot)}

    def client(self, number, kind):
        statements = {
            "small": ["INSERT INTO small (client) VALUES (0)"],
            "hot": ["UPDATE hot SET v = v + 1 WHERE id = 0", "UPDATE hot SET v = v + 1 WHERE id = 1"],
            # The oldest go, so that the disk does not fill.
            "large": [
                "INSERT INTO large (v) VALUES " + ", ".join([f"(REPEAT('{number}', {ROW_BYTES}))"] * 25),
                f"DELETE FROM large WHERE id % {len(NODES)} = @@auto_increment_offset % {len(NODES)} ORDER BY id LIMIT 25",
            ],
        }[kind]
        with node(number, database="retention") as connection:
            while not self.over.is_set():
                try:
                    run(connection, *statements, "COMMIT")
                    self.committed[kind] += 1
                except pymysql.err.MySQLError as error:
                    if error.args[0] != DEADLOCK:
                        raise
                    self.deadlocks += 1

    def definer(self):
        """Nothing may be forgotten while something is being defined."""
        with node(self.numbers[-1], database="retention") as connection:
            while not self.over.wait(0.3):
                run(connection, "CREATE TABLE made (id INT PRIMARY KEY)", "DROP TABLE made")

    def watch(self, is_enough):
        deadline = time.time() + LIMIT
        while not is_enough() and time.time() < deadline:
            time.sleep(0.05)
        self.over.set()
        assert time.time() < deadline, self.committed

    def run(self, large, is_enough):
        """With so many clients whose transactions are large."""
        clients = [lambda n=n, k=k: self.client(n, k) for n in self.numbers for k in ("small", "hot")]
        clients += [lambda n=n: self.client(n, "large") for n in self.numbers[:large]]
        at_once(LIMIT, *clients, self.definer, lambda: self.watch(is_enough))
        expect_equal(*self.numbers)
        # Nobody was told what is not so.
        with node(self.numbers[0], database="retention") as connection:
            now = self.counts(connection)
        assert now["small"] - self.rows["small"] == self.committed["small"], (now, self.rows, self.committed)
        assert now["hot"] - self.rows["hot"] == 2 * self.committed["hot"], (now, self.rows, self.committed)
        return f"{self.committed} transactions, {self.deadlocks} deadlocks"


def fill(*numbers):
    """The log of these nodes loses all that was in it, and is as long as it may be."""
    numbers = [int(number) for number in numbers]
    before = max(status(number)["last_delivered"] for number in numbers)
    load = Load(numbers)

    def is_enough():
        has_forgotten = all(status(number)["log_first"] > before for number in numbers)
        return has_forgotten and sum(load.committed.values()) >= TRANSACTIONS

    done = load.run(1, is_enough)
    deadline = time.time() + LIMIT
    while max(sizes := [status(number)["log_bytes"] for number in numbers]) > MAX_BYTES:
        assert time.time() < deadline, sizes
        time.sleep(0.05)
    assert min(sizes) >= KEPT_BYTES, sizes
    print(f"{done}: nodes {numbers} have forgotten all {before} entries from before, and keep {max(sizes) >> 10} KiB")


def cut(box):
    """A fence waits for the end of a large transaction; but one can begin while the fence is on its way."""

    def cuts():
        logs = [open(f"{box}/node{number}/trireme.log").read() for number in NODES]
        return sum(log.count("a fence has come between its parts") for log in logs)

    before, deadline = cuts(), time.time() + CHANCE
    done = Load(list(NODES)).run(2, lambda: cuts() > before or time.time() > deadline)
    print(f"{done}: {cuts() - before} were cut by fences between their parts, and all are there")


def restart(box, numbers, *sandbox):
    """Kills nodes and their servers, and starts them again."""
    numbers = [int(number) for number in numbers.split(",")]
    kill(*[f"{box}/node{number}/{process}.pid" for process in ("trireme", "server") for number in numbers])
    started = time.time()
    start_again(sandbox)
    expect_equal()
    print(f"nodes {numbers} and their servers killed: {time.time() - started:.1f} s until they served again")


PARTS = {part.__name__: part for part in (set_up, fill, cut, restart)}
PARTS[sys.argv[2]](*sys.argv[3:])
