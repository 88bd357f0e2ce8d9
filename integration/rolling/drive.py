"""Clients move money through HAProxy while a node gets orders, and while each node is told to stop, and started again.

    drive.py PORT SANDBOX…
"""

import collections
import concurrent.futures as futures
import os
import random
import signal
import subprocess
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


def wait_for(happened, what):
    limit = time.time() + 10
    while not happened():
        assert time.time() < limit, f"10 s are not enough for {what}"
        time.sleep(0.02)


def refused(number):
    """Nobody is let in by this node."""
    try:
        node(number).close()
    except pymysql.err.OperationalError as error:
        assert error.args[0] == 2003, error
        return
    sys.exit(f"FAILED: node {number} lets somebody in")


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

    def order(self, sandbox, *order, config=None):
        """Runs a command of the node's operator for node 2."""
        config = config or f"{sandbox[3]}/node2/trireme.toml"
        command = [sandbox[0], *order, "--config", config]
        return subprocess.run(command, capture_output=True, text=True, timeout=20)

    def obeys(self, sandbox):
        """Drains node 2, with a transaction open on it, and has it resume; no client of the balancer gets an error."""
        patient = node(2, database="bank")
        run(patient, "START TRANSACTION", "INSERT INTO patient VALUES (20)")
        with futures.ThreadPoolExecutor() as pool:
            draining = pool.submit(self.order, sandbox, "drain")
            wait_for(lambda: health(2)[0] == 404, "node 2 to be drained")
            assert "drained" in health(2)[1], health(2)
            refused(2)
            time.sleep(1)
            assert not draining.done(), "node 2 has not waited for a transaction"
            run(patient, "COMMIT")
            drained = draining.result()
        assert drained.returncode == 0 and drained.stderr.endswith("0 sessions left\n"), drained
        wait_for(lambda: health(1)[0] == 200, "node 1 to serve")
        assert self.order(sandbox, "resume").returncode == 0
        wait_for(lambda: health(2)[0] == 200, "node 2 to serve again")
        node(2).close()
        print("   node 2 was drained, and has taken clients again")

    def reads_its_configuration_again(self, sandbox):
        """With SIGHUP another token counts; a file that is wrong changes nothing."""
        file = f"{sandbox[3]}/node2/trireme.toml"
        text = open(file).read()
        old, token = f"{file}.old", "another-secret"
        log = f"{sandbox[3]}/node2/trireme.log"
        for path, content in (old, text), (file, text.replace('token = "sandbox"', f'token = "{token}"') + "\n[nonsense]"):
            with open(path, "w") as written:
                written.write(content)
        pid = pid_of(f"{sandbox[3]}/node2/trireme.pid")
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: "was not read again" in open(log).read(), "node 2 to complain of its configuration")
        assert self.order(sandbox, "resume", config=old).returncode == 0
        with open(file, "w") as written:
            written.write(text.replace('token = "sandbox"', f'token = "{token}"'))
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: self.order(sandbox, "resume").returncode == 0, "node 2 to know its new token")
        told = self.order(sandbox, "drain", config=old)
        assert told.returncode != 0 and "not this node's http.token" in told.stderr, told
        assert health(2)[0] == 200, health(2)
        assert token not in open(log).read(), "node 2 has logged its token"
        with open(file, "w") as written:
            written.write(text)
        print("   node 2 has read its configuration again")

    def restart_all(self, sandbox):
        """Stops and starts each node while clients go on, with one transaction open on it that is not in a hurry."""
        try:
            time.sleep(1)
            self.obeys(sandbox)
            self.reads_its_configuration_again(sandbox)
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
        refused(number)
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
    assert patient == len(NODES) + 1, f"{patient} of the transactions that were open are there"
    gap = max(later - earlier for earlier, later in zip(bank.commits, bank.commits[1:]))
    counts = ", ".join(f"{count} {what}" for what, count in sorted(bank.counts.items()))
    print(f"   {counts}; no other error, and at most {gap:.2f} s without a commit")


main(sys.argv[2:])
