"""Clients move money through HAProxy while each node is told to stop, and started again.

    drive.py PORT SANDBOX…
"""

import collections
import os
import random
import signal
import sys
import threading
import time

import pymysql

from cluster import NODES, PORT, at_once, connect, define, expect_equal, health, node, pid_of, run, runs, start_again

ACCOUNTS, BALANCE, CLIENTS = 90, 100, 9
# What a client has to be ready for: a deadlock; and a connection that ends, which it may do between transactions only.
DEADLOCK, LOST = 1213, (2003, 2006, 2013)
# Nodes may take so long to end: client.drain_timeout_ms and a bit.
STOP_LIMIT = 10


class Bank:
    def __init__(self):
        self.over = threading.Event()
        self.counts = collections.Counter()
        self.commits = []

    def client(self):
        """Transfers until it is over, each in a transaction of four statements."""
        connection = None
        while not self.over.is_set():
            try:
                if connection is None:
                    connection = connect("127.0.0.1", PORT, database="bank")
                run(connection, "START TRANSACTION")
            except pymysql.err.OperationalError as error:
                if error.args[0] not in LOST:
                    raise
                self.counts["connections ended between transactions"] += 1
                connection = None
                continue
            self.counts[self.transfer(connection)] += 1
        if connection:
            connection.close()

    def transfer(self, connection):
        """The rest of the transaction; what fails here, by anything but a deadlock, fails the promise."""
        one, other = random.sample(range(ACCOUNTS), 2)
        try:
            run(
                connection,
                f"UPDATE account SET balance = balance - 1 WHERE id = {one}",
                "DO SLEEP(0.01)",
                f"UPDATE account SET balance = balance + 1 WHERE id = {other}",
                "COMMIT",
            )
        except pymysql.err.OperationalError as error:
            if error.args[0] != DEADLOCK:
                raise
            # It has rolled the transaction back.
            return "deadlocks"
        self.commits.append(time.time())
        return "transfers"

    def restart_all(self, sandbox):
        """Stops and starts each node while clients go on, with one transaction open on it that is not in a hurry."""
        try:
            for number in NODES:
                time.sleep(1.5)
                self.restart(number, sandbox)
            time.sleep(1)
        finally:
            self.over.set()

    def restart(self, number, sandbox):
        patient = node(number, database="bank")
        run(patient, "START TRANSACTION", "INSERT INTO patient VALUES (%d)" % number)
        idle = node(number)
        pid = pid_of(f"{sandbox[3]}/node{number}/trireme.pid")
        began = time.time()
        os.kill(pid, signal.SIGTERM)
        while (answer := health(number)) and answer[0] != 404:
            assert time.time() < began + 2, f"node {number} says {answer} and not that it leaves"
        assert answer, f"node {number} has not waited for a transaction"
        try:
            node(number).close()
            sys.exit(f"FAILED: node {number} lets somebody in while it leaves")
        except pymysql.err.OperationalError as error:
            assert error.args[0] == 2003, error
        try:
            run(idle, "DO 1")
            sys.exit(f"FAILED: node {number} has kept an idle session")
        except pymysql.err.OperationalError as error:
            assert error.args[0] in LOST, error
        time.sleep(0.5)
        run(patient, "COMMIT")
        while runs(pid):
            assert time.time() < began + STOP_LIMIT, f"node {number} does not end"
            time.sleep(0.01)
        print(f"   node {number} has ended {time.time() - began:.1f} s after it was told to")
        start_again(sandbox)


def main(sandbox):
    define(
        "CREATE DATABASE bank",
        "CREATE TABLE bank.account (id INT PRIMARY KEY, balance INT)",
        "CREATE TABLE bank.patient (id INT PRIMARY KEY)",
        "INSERT INTO bank.account VALUES " + ", ".join(f"({id}, {BALANCE})" for id in range(ACCOUNTS)),
    )
    bank = Bank()
    at_once(60, *[bank.client] * CLIENTS, lambda: bank.restart_all(sandbox))
    expect_equal()
    with node(1, database="bank") as connection:
        total = run(connection, "SELECT SUM(balance) FROM account")[0][0]
        patient = run(connection, "SELECT COUNT(*) FROM patient")[0][0]
    assert total == ACCOUNTS * BALANCE, f"the bank has {total}"
    assert patient == len(NODES), f"{patient} of the transactions that were open are there"
    gap = max(later - earlier for earlier, later in zip(bank.commits, bank.commits[1:]))
    counts = ", ".join(f"{count} {what}" for what, count in sorted(bank.counts.items()))
    print(f"   {counts}; no other error, and at most {gap:.2f} s without a commit")


main(sys.argv[2:])
