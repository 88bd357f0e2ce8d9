"""Has one server of a sandbox be slow, and hang, and looks what the others notice of it.

    drive.py PORT PART DIR
"""

import os
import signal
import sys
import threading
import time

import pymysql

from cluster import NODES, PORT, at_once, connect, define, expect_equal, health, node, pid_of, run

SLOW = 3
OTHERS = (1, 2)
# Clients that write through each of the others.
CLIENTS = 4


def until(condition, seconds, failure):
    """How long it took until something is so."""
    since = time.time()
    while not condition():
        if time.time() - since > seconds:
            sys.exit(f"FAILED: after {seconds} s {failure}: {[health(number) for number in NODES]}")
        time.sleep(0.1)
    return time.time() - since


class Writers:
    """Clients of the other nodes that write without a pause."""

    def __init__(self):
        self.commits, self.gap, self.has_ended = 0, 0.0, threading.Event()
        define("DROP DATABASE IF EXISTS slow", "CREATE DATABASE slow", "CREATE TABLE slow.t (id INT PRIMARY KEY, n INT)")
        count = len(OTHERS) * CLIENTS
        self.unused = count
        with node(1, autocommit=True) as connection:
            run(connection, f"INSERT INTO slow.t VALUES {', '.join(f'({client}, 0)' for client in range(count + 1))}")
        clients = [lambda client=client: self.write(client) for client in range(count)]
        self.thread = threading.Thread(target=at_once, args=(300, *clients), daemon=True)
        self.thread.start()

    def write(self, client):
        with node(OTHERS[client % len(OTHERS)], autocommit=True) as connection:
            while not self.has_ended.is_set():
                since = time.time()
                run(connection, f"UPDATE slow.t SET n = n + 1 WHERE id = {client}")
                self.gap = max(self.gap, time.time() - since)
                self.commits += 1

    def rate(self, seconds):
        """Commits per second for so long, and the longest that one took."""
        before, self.gap = self.commits, 0.0
        time.sleep(seconds)
        return (self.commits - before) / seconds, self.gap

    def end(self):
        self.has_ended.set()
        self.thread.join(60)
        assert not self.thread.is_alive(), "a client waits for ever"


def is_out(words):
    def condition():
        code, said = health(SLOW)
        return code == 503 and words in said

    return condition


def is_in():
    return health(SLOW)[0] == 200


def ports():
    """The servers that clients come to through HAProxy; nothing for one that does not answer."""
    found = set()
    for _ in range(len(NODES) * 4):
        try:
            with connect("127.0.0.1", PORT) as connection:
                found.add(run(connection, "SELECT @@port")[0][0] - PORT - 300)
        except pymysql.err.OperationalError:
            found.add(None)
    return found


class Throttle:
    """A process that gets to work for a hundredth of the time, if at all."""

    def __init__(self, pid):
        self.pid, self.may_work, self.is_over = pid, True, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.is_over.is_set():
            os.kill(self.pid, signal.SIGSTOP)
            time.sleep(1)
            if self.may_work:
                os.kill(self.pid, signal.SIGCONT)
                time.sleep(0.01)
        os.kill(self.pid, signal.SIGCONT)

    def end(self):
        self.is_over.set()
        self.thread.join()


def slow(box):
    """A server is too slow to keep up, then does not answer at all, and is itself again."""
    until(lambda: ports() == set(NODES), 20, "HAProxy does not use all nodes")
    writers = Writers()
    session = node(SLOW, autocommit=True)
    (own,) = run(session, "SELECT CONNECTION_ID()")
    before, _ = writers.rate(2)
    waited = []

    def wait():
        run(session, f"UPDATE slow.t SET n = n + 1 WHERE id = {writers.unused}")
        waited.append(True)

    throttle = Throttle(pid_of(f"{box}/node{SLOW}/server.pid"))
    try:
        behind = until(is_out("behind"), 120, "nobody says that the server is slow")
        until(lambda: ports() == set(OTHERS), 20, "HAProxy goes on sending clients to the node")
        throttle.may_work = False
        waiting = threading.Thread(target=wait, daemon=True)
        hung = until(is_out("said nothing"), 15, "nobody says that the server hangs")
        waiting.start()
        during, gap = writers.rate(3)
        assert not waited, "a server that hangs has answered"
    finally:
        throttle.end()
    back = until(is_in, 30, "the node does not serve again")
    waiting.join(10)
    assert waited, "the client of the server that hung waits on"
    assert run(session, "SELECT CONNECTION_ID()") == (own,)
    session.close()
    until(lambda: ports() == set(NODES), 20, "HAProxy does not use the node again")
    writers.end()
    print(
        f"a server was slow, and its node left after {behind:.1f} s; it hung, which was told after {hung:.1f} s; its node was "
        f"back {back:.1f} s after that; the others' clients committed {during:.0f} / {before:.0f} a second, the longest wait "
        f"was {gap:.2f} s; {expect_equal()} tables equal"
    )


PARTS = {"slow": slow}
try:
    PARTS[sys.argv[2]](*sys.argv[3:])
except pymysql.err.MySQLError as error:
    sys.exit(f"FAILED: {error!r}")
