"""Bursts of random writes on three nodes at once; after each all servers have the same rows.

    drive.py PORT BURSTS [SEED]
"""

import collections
import random
import re
import sys
import time

import pymysql

from cluster import NODES, at_once, define, expect_equal, node, run, server
from tables import FEW_ROWS, REFERENCES, ROWS, Numbers, statements, tables

SECONDS = 0.8
# Who has come again and again for as long as this, and always lost, would never be done.
MOST_SECONDS = 20
CLIENTS_OF_A_NODE = 3
# How often the bursts asked for may be added once more, until every statement has changed a row.
MORE = 5
# MariaDB says 1467 of a deadlock about its lock for AUTO_INCREMENT.
AGAIN = (1213, 1205, 1467)
# What the tables refuse: a duplicate, a broken reference, a check, a number out of range, a NULL, a deep cascade; and
# what the node does: a cascade in a circle, which MySQL logs in a way that nobody could follow.
REFUSED = (1062, 1451, 1452, 3819, 4025, 1264, 1048, 6575, 1105)


class Client:
    def __init__(self, number, seed, is_mariadb):
        self.number = number
        self.random = random.Random(f"{seed} {number}")
        self.statements = statements(is_mariadb)
        self.kinds = range(len(self.statements))
        self.connection = node(NODES[number % len(NODES)], database="bursts", autocommit=True)
        self.counts = collections.Counter()
        self.changed = collections.Counter()
        self.lost = None

    def statement(self):
        """One of the statements, and its number."""
        kind = self.random.choice(self.kinds)
        return self.statements[kind](self.random), kind

    def transaction(self):
        """The statements of a transaction; a part of it may be rolled back, or all of it."""
        of = [self.statement() for _ in range(self.random.choice((1, 2, 3, 6)))]
        if self.random.random() < 0.3:
            of.insert(self.random.randrange(len(of) + 1), ("SAVEPOINT s", None))
            of.append(("ROLLBACK TO s", None))
            of.append(self.statement())
        end = "ROLLBACK" if self.random.random() < 0.1 else "COMMIT"
        return [("START TRANSACTION", None), *of, (end, None)]

    def attempt(self, of):
        """Runs statements; one that the tables refuse is passed over, as by a client that goes on."""
        try:
            for statement, kind in of:
                try:
                    with self.connection.cursor() as cursor:
                        self.changed[kind] += cursor.execute(statement)
                except pymysql.err.MySQLError as error:
                    if error.args[0] not in REFUSED:
                        error.args += (statement,)
                        raise
                    self.counts["refused"] += 1
            return True
        except pymysql.err.MySQLError as error:
            if error.args[0] not in AGAIN:
                raise
            self.counts[error.args[0]] += 1
            self.lost = error
            # After a deadlock that MySQL has kept to itself the session is over.
            self.connection.ping(reconnect=True)
            self.connection.rollback()
            return False

    def burst(self):
        end = time.time() + SECONDS
        while time.time() < end:
            of = [self.statement()] if self.random.random() < 0.4 else self.transaction()
            while not self.attempt(of):
                assert time.time() < end + MOST_SECONDS, f"{of} is never done: {self.lost!r}"
            self.counts["done"] += 1


def spread(clients):
    """Has the clients write to all tables."""
    Numbers.rows = ROWS
    for client in clients:
        client.kinds = range(len(client.statements))


def crowd(clients, of, names):
    """Has them write to few rows of three of the tables, chosen by a random generator."""
    Numbers.rows = FEW_ROWS
    words = [set(re.findall(r"\w+", make(of))) for make in clients[0].statements]
    written = [name for name in names if any(name in word for word in words)]
    chosen = set(of.sample(written, 3))
    for client in clients:
        client.kinds = [kind for kind, word in enumerate(words) if word & chosen]


def expect_whole():
    """No row points nowhere, and every index says what its table says."""
    for number in NODES:
        with server(number, database="bursts") as connection:
            for table, columns, parent, key in REFERENCES:
                some = " AND ".join(f"{column} IS NOT NULL" for column in columns.split(", "))
                lost = run(
                    connection,
                    f"SELECT COUNT(*) FROM {table} WHERE {some} AND ({columns}) NOT IN "
                    f"(SELECT {key} FROM {parent} WHERE {' AND '.join(k + ' IS NOT NULL' for k in key.split(', '))})",
                )
                assert lost == ((0,),), f"server {number}: {lost} rows of {table} point nowhere"
            names = [row[0] for row in run(connection, "SHOW FULL TABLES WHERE table_type = 'BASE TABLE'")]
            checks = run(connection, f"CHECK TABLE {', '.join(names)} EXTENDED")
            # MariaDB warns of deleted entries of an index that its purge has left behind: no reader sees them (MDEV-24402).
            wrong = [row for row in checks if row[3] != "OK" and not (row[2] == "Warning" and "info_bits=32" in row[3])]
            assert not wrong, f"server {number}: {wrong}"


def idle(clients):
    """The statements that have not changed a row yet."""
    changed = sum((client.changed for client in clients), collections.Counter())
    return [make(random) for kind, make in enumerate(clients[0].statements) if not changed[kind]]


def main(bursts, seed):
    with node(1) as connection:
        is_mariadb = "MariaDB" in run(connection, "SELECT VERSION()")[0][0]
    made = tables(is_mariadb)
    names = [words[2] for words in map(str.split, made) if words[1] == "TABLE"]
    define("DROP DATABASE IF EXISTS bursts", "CREATE DATABASE bursts CHARACTER SET utf8mb4", "USE bursts", *made)
    print(f"   seed {seed}", flush=True)
    clients = [Client(number, seed, is_mariadb) for number in range(CLIENTS_OF_A_NODE * len(NODES))]
    of = random.Random(seed)
    done = 0
    while done < bursts or idle(clients) and done < (1 + MORE) * bursts:
        if done % 2:
            crowd(clients, of, names)
        else:
            spread(clients)
        at_once(SECONDS, *[client.burst for client in clients])
        equal = expect_equal()
        done += 1
        if done % 20 == 0:
            print(f"   after {done} bursts {equal} tables are equal", flush=True)
    expect_whole()
    counts = sum((client.counts for client in clients), collections.Counter())
    assert not idle(clients), f"statements that never changed a row: {idle(clients)}"
    print(f"{done} bursts: {counts['done']} transactions, {counts[1213]} deadlocks, {counts[1205]} timeouts,"
          f" {counts['refused']} statements refused; {equal} tables equal on all servers after each")


main(int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(2**32))
