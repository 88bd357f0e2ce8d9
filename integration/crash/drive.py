"""Kills nodes and servers under load: see run.sh."""

import pathlib
import re
import subprocess
import sys
import threading
import time

import pymysql

from link import Link
from cluster import NODES, PORT, at_once, define, expect_equal, health, kill, node, pid_of, run, server, start_again, status

CANNOT_SERVE, UNDECIDED, DEADLOCK = 1047, 1180, 1213
LOST = (2003, 2006, 2013, 0)
# Within this the others must write on when one is lost (s).
RESUME = 3
# Within this all must serve again (s).
RECOVERY = 60


def roles():
    """Which nodes lead, and which follow."""
    members = status(1)["members"]
    numbers = {role: [] for role in ("leader", "follower")}
    for member in members:
        numbers[member["role"]].append(int(member["address"].rsplit(":", 1)[1]) - PORT - 200)
    return numbers


def is_hot(serial):
    """Whether what inserts this row also increments a row that is everybody's."""
    return serial // 9 % 4 == 0


class Load:
    """Nine clients that write, three on each node, through crashes of the victims."""

    def __init__(self, victims):
        self.victims = victims
        self.acknowledged = {}
        self.unknown = set()
        self.deadlocks = 0
        self.over = threading.Event()
        define("DROP DATABASE IF EXISTS crash", "CREATE DATABASE crash",
               "CREATE TABLE crash.t (id BIGINT PRIMARY KEY, client INT)",
               "CREATE TABLE crash.hot (id INT PRIMARY KEY, v INT)",
               "INSERT INTO crash.hot VALUES (0, 0), (1, 0), (2, 0)")

    def clients(self):
        return [lambda at=at: self.client(at) for at in range(9)]

    def client(self, at):
        number = NODES[at % 3]
        serial = at
        connection = None
        while not self.over.is_set():
            serial += 9
            is_committing = False
            try:
                connection = connection or node(number, database="crash", read_timeout=20)
                run(connection, f"INSERT INTO t VALUES ({serial}, {at})")
                if is_hot(serial):
                    run(connection, f"UPDATE hot SET v = v + 1 WHERE id = {serial // 36 % 3}")
                is_committing = True
                connection.commit()
                self.acknowledged[serial] = (number, time.monotonic())
            except pymysql.err.MySQLError as error:
                code = error.args[0]
                if code == DEADLOCK:
                    # The transaction is over.
                    self.deadlocks += 1
                    continue
                if number not in self.victims or code not in (*LOST, CANNOT_SERVE, UNDECIDED):
                    raise RuntimeError(f"node {number}, victims {self.victims}: {error!r}") from error
                if is_committing and code != CANNOT_SERVE:
                    self.unknown.add(serial)
                connection = None
                time.sleep(0.05)

    def after(self, moment, number):
        """When a node has acknowledged something since, if it has."""
        times = [at for by, at in self.acknowledged.copy().values() if by == number and at > moment]
        return min(times, default=None)

    def judge(self):
        """All that was acknowledged is everywhere, and nothing is that was refused."""
        expect_equal()
        acknowledged = set(self.acknowledged)
        with server(1) as connection:
            there = {row[0] for row in run(connection, "SELECT id FROM crash.t")}
            [[increments]] = run(connection, "SELECT SUM(v) FROM crash.hot")
        if lost := acknowledged - there:
            sys.exit(f"FAILED: {len(lost)} rows were acknowledged and are gone: {sorted(lost)[:5]}")
        if refused := there - acknowledged - self.unknown:
            sys.exit(f"FAILED: {len(refused)} rows are there and were refused: {sorted(refused)[:5]}")
        sure, unsure = (sum(map(is_hot, serials)) for serials in (acknowledged, self.unknown))
        if not sure <= increments <= sure + unsure:
            sys.exit(f"FAILED: {increments} increments are there, of {sure} that were acknowledged and {unsure} unknown")


def crash(victims, processes, box, sandbox):
    """Kills these processes of the victims under load, starts them again, and waits until all serve. Gives the load,
    how long the others have committed nothing, and how long it took until all did."""
    load = Load(victims)
    took = []

    def killer():
        time.sleep(2)
        moment = time.monotonic()
        try:
            kill(*[f"{box}/node{victim}/{process}.pid" for victim in victims for process in processes])
            time.sleep(1)
            if processes == ("server",):
                for victim in victims:
                    status, words = health(victim)
                    if status != 503 or "server" not in words:
                        raise RuntimeError(f"node {victim} has lost its server and says {status} {words}")
            started = time.monotonic()
            start_again(sandbox)
            while not all(load.after(started, victim) for victim in victims):
                if time.monotonic() > started + RECOVERY:
                    raise RuntimeError(f"not all of {victims} serve again")
                time.sleep(0.05)
            took.extend((moment, max(load.after(started, victim) for victim in victims) - started))
            time.sleep(1)
        finally:
            load.over.set()

    at_once(RECOVERY, killer, *load.clients())
    moment, recovery = took
    gaps = [0.0]
    for number in NODES:
        if number not in victims:
            times = sorted(at for by, at in load.acknowledged.values() if by == number)
            gaps.append(max(second - first for first, second in zip(times, times[1:]) if second >= moment))
    load.judge()
    return load, max(gaps), recovery


def one(processes, role, box, *sandbox):
    victim = roles()[role][0]
    load, gap, recovery = crash([victim], tuple(processes.split(",")), box, sandbox)
    print(f"{processes} of the {role} killed among {len(load.acknowledged)} commits ({load.deadlocks} deadlocks, "
          f"{len(load.unknown)} unknown): the others committed nothing for {gap:.2f} s at most, it served again "
          f"{recovery:.1f} s after its start")
    if gap > RESUME:
        sys.exit(f"FAILED: more than {RESUME} s")


def all_at_once(rounds, box, *sandbox):
    for _ in range(int(rounds)):
        load, _, recovery = crash(NODES, ("trireme", "server"), box, sandbox)
        print(f"all nodes and servers killed among {len(load.acknowledged)} commits ({load.deadlocks} deadlocks, "
              f"{len(load.unknown)} unknown): nothing is lost, and all served again {recovery:.1f} s after their start")


def catching_up(box, *sandbox):
    """A node that was away tells how far it is with what it lacks, and serves nobody before it has that."""
    define("DROP DATABASE IF EXISTS away", "CREATE DATABASE away", "CREATE TABLE away.t (id INT PRIMARY KEY, v INT)",
           "INSERT INTO away.t VALUES (0, 0)")
    kill(f"{box}/node3/trireme.pid")
    with node(1, autocommit=True) as connection:
        run(connection, *[f"INSERT INTO away.t VALUES ({n}, 0)" for n in range(1, 300)],
            "UPDATE away.t SET v = 1 WHERE id = 0")
    # The node needs some time to get this out of its way.
    stranger = server(3)
    run(stranger, "SELECT * FROM away.t WHERE id = 0 FOR UPDATE")
    starting = threading.Thread(target=start_again, args=(sandbox,))
    starting.start()
    told = set()
    while starting.is_alive():
        if answer := health(3):
            told.add(answer)
        time.sleep(0.02)
    words = "".join(words for status, words in told if status == 503)
    progress = re.findall(r"catching up with its cluster: (\d+) of (\d+)", words)
    if not any(int(at) < int(end) for at, end in progress) or health(3) != (200, "ok\n"):
        sys.exit(f"FAILED: a node that catches up says {told}, and then {health(3)}")
    expect_equal()
    print(f"a node that was away has told while it caught up: {progress}")


def unnoticed(box, *sandbox):
    """A server starts anew, without what it had not written down, before its node is told that it was gone: the
    connection on which the node reads its binlog is just silent."""
    victim, pid_file = 3, f"{box}/node3/trireme.pid"
    link = Link(PORT + 300 + victim)
    with open(f"{box}/node{victim}/trireme.toml") as file:
        configuration = file.read().replace(f":{PORT + 300 + victim}", f":{link.port}")
    with open(linked := f"{box}/linked.toml", "w") as file:
        file.write(configuration)
    load = Load([victim])
    kill(pid_file)
    server_pid = f"{box}/node{victim}/server.pid"
    with open(f"/proc/{pid_of(server_pid)}/cmdline") as file:
        command = file.read().split("\0")[:-1]
    with open(f"{box}/node{victim}/trireme.log", "a") as log:
        running = subprocess.Popen((sandbox[0], "run", "--config", linked), stdout=log, stderr=log)

    def crasher():
        try:
            expect_health(victim, 200)
            time.sleep(2)
            link.lose()
            kill(server_pid)
            # A killed MySQL leaves its number here, which may be another process's by now.
            pathlib.Path(f"{box}/node{victim}/server.sock.lock").unlink(missing_ok=True)
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            expect_server(victim)
            time.sleep(2)
            link.tell()
            time.sleep(1)
            expect_health(victim, 200)
        finally:
            load.over.set()

    at_once(RECOVERY, crasher, *(client for at, client in enumerate(load.clients()) if NODES[at % 3] != victim))
    load.judge()
    kill(pid_file)
    running.wait()
    start_again(sandbox)
    print(f"a server was killed and started among {len(load.acknowledged)} commits, before its node noticed: nothing is lost")


def expect_server(number):
    deadline = time.monotonic() + RECOVERY
    while time.monotonic() < deadline:
        try:
            return server(number).close()
        except pymysql.err.OperationalError:
            time.sleep(0.05)
    raise RuntimeError(f"server {number} does not start")


def expect_health(number, code):
    deadline = time.monotonic() + RECOVERY
    while (health(number) or (None,))[0] != code:
        if time.monotonic() > deadline:
            raise RuntimeError(f"node {number} says {health(number)}")
        time.sleep(0.05)


PARTS = {"one": one, "all": all_at_once, "catching_up": catching_up, "unnoticed": unnoticed}
PARTS[sys.argv[2]](*sys.argv[3:])
