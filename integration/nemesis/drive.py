"""Clients on three nodes, and everything that can happen to these: see run.sh.

    drive.py PORT SECONDS SEED BOX TRIREME PRELOAD ADYA
"""

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pymysql

from cluster import NODES, define, expect_equal, health, run, server
from machines import PROCESSES, machines
from workloads import FAIL, INFO, OK, TABLES, TOTAL, Client, Everything

CLIENTS = 9
# Within this all nodes must serve after a fault (s).
RECOVERY = 60
# What each history must be, by `adya`'s names for levels of isolation.
PROMISED = {
    "lists": ("strong-read-committed",),
    "locked_lists": ("strong-read-committed", "cursor-stability"),
}


class Nemesis:
    def __init__(self, made, preload, seed):
        self.machines = made
        self.preload = preload
        self.random = random.Random(f"{seed} nemesis")
        self.faults = [
            self.kill_one, self.kill_one, self.kill_all, self.pause, self.isolate, self.isolate, self.one_way,
            self.flap, self.slow_disk,
        ]

    def start_all(self):
        for machine in self.machines:
            for process in PROCESSES:
                machine.start(process, self.preload)

    def expect_service(self):
        """Waits until every node takes clients; no node ends by itself."""
        deadline = time.time() + RECOVERY
        waiting = list(NODES)
        while waiting:
            told = health(waiting[0])
            if told and told[0] == 200:
                waiting.pop(0)
                continue
            self.expect_alive()
            if time.time() > deadline:
                logs = [self.machines[waiting[0] - 1].log(process) for process in PROCESSES]
                sys.exit("\n".join([f"FAILED: node {waiting[0]} does not serve: {told}", *logs]))
            time.sleep(0.02)

    def expect_alive(self):
        for machine in self.machines:
            for process in machine.running:
                if not machine.is_up(process):
                    sys.exit(f"FAILED: the {process} of node {machine.number} has ended:\n{machine.log(process)}")

    def some(self):
        return self.random.choice(self.machines)

    def wait(self, least, most):
        time.sleep(self.random.uniform(least, most))

    def kill_one(self):
        processes = self.random.choice((["trireme"], ["server"], list(PROCESSES)))
        machine = self.some()
        machine.kill(processes)
        self.wait(0, 2)
        return f"killed {' and '.join(processes)} of node {machine.number}"

    def kill_all(self):
        for machine in self.machines:
            machine.kill(["trireme", "server"])
        return "killed everything"

    def pause(self):
        machine, process = self.some(), self.random.choice(PROCESSES)
        machine.pause(process, True)
        self.wait(0.2, 3)
        machine.pause(process, False)
        return f"paused the {process} of node {machine.number}"

    def cut(self, pairs, is_lost):
        for sender, receiver in pairs:
            self.machines[sender - 1].lose(receiver, is_lost)

    def isolate(self):
        number = self.some().number
        pairs = [pair for other in NODES if other != number for pair in ((number, other), (other, number))]
        self.cut(pairs, True)
        self.wait(0.5, 4)
        self.cut(pairs, False)
        return f"cut off node {number}"

    def one_way(self):
        sender, receiver = self.random.sample(NODES, 2)
        self.cut([(sender, receiver)], True)
        self.wait(0.5, 4)
        self.cut([(sender, receiver)], False)
        return f"lost what node {sender} sent to node {receiver}"

    def flap(self):
        number = self.some().number
        pairs = [(number, other) for other in NODES if other != number]
        for _ in range(self.random.randrange(3, 8)):
            self.cut(pairs, True)
            self.wait(0.05, 0.4)
            self.cut(pairs, False)
            self.wait(0.05, 0.4)
        return f"a flapping link of node {number}"

    def slow_disk(self):
        machine = self.some()
        machine.slow.touch()
        self.wait(1, 3)
        machine.slow.unlink()
        return f"a slow disk of node {machine.number}"

    def run(self, seconds):
        """One fault after the other; gives how many there were of each kind."""
        end = time.time() + seconds
        counts = Counter()
        while time.time() < end:
            fault = self.random.choice(self.faults)
            what = fault()
            counts[fault.__name__] += 1
            healed = time.monotonic()
            self.start_all()
            self.expect_service()
            print(f"   {what}; all nodes serve {time.monotonic() - healed:.1f} s later", flush=True)
            self.wait(0.3, 1.5)
        return counts


def check(everything):
    """What is there at the end against what the clients were told."""
    wrong = everything.wrong
    with server(1, database="nemesis") as connection:
        def rows(statement):
            return run(connection, statement)

        if rows("SELECT SUM(balance) FROM bank") != ((TOTAL,),):
            wrong.append("the bank")
        for id, value in rows("SELECT id, v FROM counter"):
            told = Counter(outcome for counted, outcome in everything.done["counter"] if counted == id)
            if not told[OK] <= value <= told[OK] + told[INFO]:
                wrong.append(f"counter {id} is {value}: {told}")
        present = {id for (id,) in rows("SELECT id FROM uniq")}
        wrong += compare("uniq", everything.done["uniq"], present)
        present = {id for (id,) in rows("SELECT id FROM parent")}
        maybe_dead = {id for id, outcome in everything.done["dead"] if outcome != FAIL}
        wrong += compare("parent", everything.done["born"], present, maybe_dead)
        wrong += [f"parent {id} is dead and there" for id, outcome in everything.done["dead"]
                  if outcome == OK and id in present]
        for id, value in rows("SELECT id, v FROM register"):
            wrong += chain(id, value, everything.done["register"])
    return wrong


def compare(table, told, present, may_be_gone=()):
    wrong = []
    for id, outcome in told:
        if outcome == OK and id not in present and id not in may_be_gone:
            wrong.append(f"{table}: {id} was committed and is not there")
        if outcome == FAIL and id in present:
            wrong.append(f"{table}: {id} has failed and is there")
    return wrong


def chain(id, value, told):
    """Each value of a register was replaced once, and what is there follows from the first."""
    changes = [(change, outcome) for change, outcome in told if change[0] == id]
    before = {}
    for (_, old, new), outcome in changes:
        if outcome != FAIL:
            before[new] = old
    path = set()
    while value:
        path.add(value)
        if value not in before:
            return [f"register {id}: nobody was told of {value}"]
        value = before[value]
    return [f"register {id}: {change} was committed and is lost" for change, outcome in changes
            if outcome == OK and change[2] not in path]


def judge(everything, adya, directory):
    """The verdict of a checker of isolation on the histories of lists."""
    for table, models in PROMISED.items():
        path = directory / f"{table}.jsonl"
        everything.histories[table].write(path)
        levels = [part for model in models for part in ("-c", model)]
        command = [adya, "check", "-m", "list-append", *levels, str(path)]
        checked = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if checked.returncode:
            everything.wrong.append(f"{table} are not {' and '.join(models)}: {checked.stdout[:3000]}{checked.stderr[:500]}")
        print(f"   {table}: {len(everything.histories[table].lines) // 2} transactions are {' and '.join(models)}")


def main(seconds, seed, box, trireme, preload, adya):
    nemesis = Nemesis(machines(box, trireme), preload, seed)
    nemesis.start_all()
    nemesis.expect_service()
    define("CREATE DATABASE nemesis", "USE nemesis", *TABLES)
    everything = Everything()
    over = threading.Event()

    def work(at):
        client = Client(NODES[at % 3], at, seed, everything)
        try:
            while not over.is_set():
                client.step()
                if client.connection is None:
                    time.sleep(0.05)
        except Exception as error:  # noqa: BLE001
            everything.wrong.append(f"client {at}: {error!r}")

    threads = [threading.Thread(target=work, args=(at,), daemon=True) for at in range(CLIENTS)]
    for thread in threads:
        thread.start()
    faults = nemesis.run(seconds)
    over.set()
    for thread in threads:
        thread.join(30)
        if thread.is_alive():
            sys.exit("FAILED: a client waits for ever")
    expect_equal()
    wrong = check(everything)
    judge(everything, adya, Path(box))
    print(f"   told: {dict(everything.outcomes)}; errors: {dict(everything.errors)}")
    if wrong:
        sys.exit(f"FAILED (seed {seed}): " + "\n".join(wrong[:10]))
    print(f"{sum(faults.values())} faults, seed {seed}: {dict(faults)}; nothing acknowledged is lost, servers are equal")


main(int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
