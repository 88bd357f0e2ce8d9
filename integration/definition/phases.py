"""Kills in each phase of a definition. Each phase is held or waited for from outside, by what a server shows of it."""

import os
import random
import signal
import sys
import threading
import time

import pymysql

from cluster import (
    NODES, define, expect_equal, expect_positions, kill, node, pid_of, position, run, server, start_again,
)

LIMIT = 30
# Rows that take a server a while to copy.
ROWS = 200_000


def until(what, condition):
    deadline = time.time() + LIMIT
    while not condition():
        if time.time() > deadline:
            sys.exit(f"FAILED: {what} does not come")


class Session(threading.Thread):
    """A client that issues a definition on a node, and hears what has become of it, or that its node is lost."""

    def __init__(self, number, statement):
        super().__init__(daemon=True)
        self.number = number
        self.statement = statement
        self.has = None
        self.start()

    def run(self):
        try:
            with node(self.number, autocommit=True, database="phases") as connection:
                run(connection, self.statement)
            self.has = "run"
        except pymysql.err.MySQLError as error:
            self.has = error.args[0]

    def is_running_on(self, watching):
        """Whether a server is in the midst of it; that of another node has it from the binlog."""
        start = " ".join(self.statement.split()[:5])
        rows = run(watching, "SELECT info FROM information_schema.processlist WHERE info IS NOT NULL")
        return any(info.startswith(start) for (info,) in rows)


def is_there(number, table):
    with server(number) as connection:
        return bool(run(connection, f"SHOW TABLES FROM phases LIKE '{table}'"))


def queued(number, name, lose):
    """It has its place in the order, and waits for another one."""
    other = Session(2, f"CREATE TABLE before_{name} AS SELECT SLEEP(1.5) s")
    with server(2) as watching:
        until("a definition", lambda: other.is_running_on(watching))
    it = Session(number, f"CREATE TABLE {name} (x INT)")
    time.sleep(0.3)
    lose()
    other.join(LIMIT)
    assert other.has == "run", other.has
    return it, None


def running(number, name, lose):
    """Its server is in the midst of it."""
    it = Session(number, f"CREATE TABLE {name} AS SELECT SLEEP(1.5) s")
    with server(number) as watching:
        until("a definition", lambda: it.is_running_on(watching))
    lose()
    return it, None


def untold(number, name, lose):
    """It is done where it was issued, and the others, which are not there, do not know."""
    it = Session(number, f"CREATE TABLE {name} AS SELECT SLEEP(1) s")
    with server(number) as watching:
        until("a definition", lambda: it.is_running_on(watching))
        others = [pid_of(f"{lose.box}/node{other}/trireme.pid") for other in NODES if other != number]
        for other in others:
            os.kill(other, signal.SIGSTOP)
        # MariaDB shows the table before the statement ends.
        until("the table", lambda: not it.is_running_on(watching) and is_there(number, name))
    lose()
    for other in others:
        os.kill(other, signal.SIGCONT)
    return it, name


def told(number, name, lose):
    """The log has what it was, and the servers of the others, which do not answer, do not."""
    servers = [pid_of(f"{lose.box}/node{other}/server.pid") for other in NODES if other != number]
    for other in servers:
        os.kill(other, signal.SIGSTOP)
    it = Session(number, f"CREATE TABLE {name} (x INT)")
    it.join(LIMIT)
    assert it.has == "run", it.has
    lose()
    for other in servers:
        os.kill(other, signal.SIGCONT)
    return it, name


def elsewhere(number, name, lose):
    """The server of another node is in the midst of it."""
    it = Session(number % len(NODES) + 1, f"ALTER TABLE {TABLE} ADD COLUMN {name} INT DEFAULT 7, ALGORITHM=COPY")
    it.join(LIMIT)
    assert it.has == "run", it.has
    with server(number) as watching:
        until("a definition", lambda: it.is_running_on(watching))
    lose()
    return it, None


TABLE = "rows_to_copy"
PHASES = (queued, running, untold, told, elsewhere)
PROCESSES = (["trireme"], ["server"], ["trireme", "server"])


class Loss:
    """Kills processes of a node."""

    def __init__(self, box, number, processes):
        self.box = box
        self.files = [f"{box}/node{number}/{process}.pid" for process in processes]

    def __call__(self):
        kill(*self.files)


def phases(expect_same_definitions, rounds, box, *sandbox):
    """A node, its server, or both are killed in each phase of a definition, or one of these if that is enough."""
    define("DROP DATABASE IF EXISTS phases", "CREATE DATABASE phases",
           f"CREATE TABLE phases.{TABLE} (id INT AUTO_INCREMENT PRIMARY KEY, v CHAR(60))")
    with node(1, autocommit=True, database="phases") as connection:
        run(connection, f"INSERT INTO {TABLE} (v) VALUES ('x')")
        while run(connection, f"SELECT COUNT(*) FROM {TABLE}")[0][0] < ROWS:
            run(connection, f"INSERT INTO {TABLE} (v) SELECT v FROM {TABLE} LIMIT 20000")
    expect_positions(position(1))
    for phase in PHASES:
        for processes in PROCESSES if rounds == "all" else [random.choice(PROCESSES)]:
            number = random.choice([number for number in NODES if phase is not queued or number != 2])
            name = f"{phase.__name__}_{'_'.join(processes)}"
            it, table = phase(number, name, Loss(box, number, processes))
            start_again(sandbox)
            it.join(LIMIT)
            assert not it.is_alive(), f"{name}: the client waits for ever"
            with node(number, autocommit=True, database="phases") as connection:
                run(connection, f"CREATE TABLE after_{name} (x INT)")
            expect_positions(position(number))
            expect_same_definitions()
            if table or it.has == "run" and phase is not elsewhere:
                assert is_there(3, name), f"{name} was there, and is gone"
            expect_equal()
    print("a node, its server or both killed in each phase of a definition, and all is the same everywhere")
