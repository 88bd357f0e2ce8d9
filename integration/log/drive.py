"""Starts three log_node processes, has them propose, kills them, and compares what they deliver."""

import os
import random
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import disk

NODES, ENTRIES, BYTES = 3, 20_000, 1024
# Entries that one node has under way: for speed, and few enough to be killed midway.
FAST, SLOW = 256, 16
LIMIT_S = 60
POWER_CUTS = int(os.environ.get("POWER_CUTS", 10))


class Node:
    """One process, and what it has answered over all its starts."""

    def __init__(self, number, directory, addresses):
        self.directory = directory / str(number)
        self.directory.mkdir(parents=True)
        self.command = [os.environ["LOG_NODE"], self.directory, addresses[number], *addresses]
        self.prefix = "abc"[number]
        self.environment = {}
        self.starts = 0
        self.acknowledged = {}
        self.failed = []

    def start(self):
        self.starts += 1
        self.done = threading.Event()
        self.said = []
        errors = open(self.directory / "stderr", "a")
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            env=os.environ | self.environment,
        )
        threading.Thread(target=self.listen, args=(self.process,), daemon=True).start()
        self.wait_for("ready")

    def listen(self, process):
        for line in process.stdout:
            match line.split(maxsplit=2):
                case ["ok", index, tag]:
                    self.acknowledged[tag.strip()] = int(index)
                case ["failed", tag, reason]:
                    self.failed.append((tag, reason.strip()))
                case ["done"]:
                    self.done.set()
                case words:
                    self.said.append(words)

    def wait_for(self, word):
        """The latest answer that starts with this word."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            for words in self.said:
                if words[0] == word:
                    self.said.remove(words)
                    return words
            time.sleep(0.002)
        raise SystemExit(f"node {self.prefix} did not say {word!r}; its log: {self.directory}/stderr")

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def propose(self, count, window=SLOW):
        self.tell(f"propose {count} {BYTES} {window} {self.prefix}{self.starts}-")

    def leads(self):
        self.tell("leader")
        return self.wait_for("leader")[1] == "yes"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def delivered(self):
        self.tell("level")
        self.wait_for("level")
        lines = (self.directory / "delivered").read_text().splitlines()
        return [(int(index), tag) for index, tag in (line.split() for line in lines) if tag != "level"]


def free_addresses():
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(NODES)]
    addresses = ["127.0.0.1:%d" % s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return addresses


def cluster(directory, environment=lambda node: {}):
    addresses = free_addresses()
    nodes = [Node(n, directory, addresses) for n in range(NODES)]
    for node in nodes:
        node.environment = environment(node)
    for node in nodes:
        node.start()
    return nodes


def propose_everywhere(nodes, window=SLOW):
    for node in nodes:
        node.propose(ENTRIES // NODES + 1, window)


def wait_until_done(nodes):
    for node in nodes:
        if not node.done.wait(LIMIT_S):
            raise SystemExit(f"node {node.prefix} is stuck at {len(node.acknowledged)} entries")


def wait_for_entries(nodes, count):
    deadline = time.monotonic() + LIMIT_S
    while sum(len(n.acknowledged) for n in nodes) < count:
        if time.monotonic() > deadline:
            raise SystemExit("the nodes are stuck")
        time.sleep(0.005)


def judge(name, nodes, started):
    """Compares the nodes, stops them, and prints one line."""
    acknowledged, delivered = compare(name, nodes)
    failed = [f for node in nodes for f in node.failed]
    assert not failed, f"{name}: {len(failed)} proposals failed: {failed[:3]}"
    for node in nodes:
        node.kill()
    print(f"{name}: {acknowledged} acknowledged, {delivered} delivered on each node"
          f"{started and f', {acknowledged / started:,.0f} entries a second'}", flush=True)


def compare(name, nodes):
    """How many entries were acknowledged, and how many each node delivers."""
    delivered = [node.delivered() for node in nodes]
    for other in delivered[1:]:
        assert other == delivered[0], f"{name}: two nodes deliver different entries"
    places = {tag: index for index, tag in delivered[0]}
    assert len(places) == len(delivered[0]), f"{name}: an entry was delivered twice"
    acknowledged = 0
    for node in nodes:
        for tag, index in node.acknowledged.items():
            assert places.get(tag) == index, f"{name}: {tag} was acknowledged and is lost"
            acknowledged += 1
    return acknowledged, len(places)


def undisturbed(directory):
    nodes = cluster(directory)
    nodes[0].delivered()
    start = time.monotonic()
    propose_everywhere(nodes, FAST)
    wait_until_done(nodes)
    judge("undisturbed", nodes, time.monotonic() - start)


def one_killed(directory, name, leads):
    nodes = cluster(directory)
    nodes[0].delivered()
    victim = next(node for node in nodes if node.leads() == leads)
    others = [node for node in nodes if node is not victim]
    propose_everywhere(nodes)
    wait_for_entries(nodes, ENTRIES // 4)
    victim.kill()
    count, start = sum(len(n.acknowledged) for n in others), time.monotonic()
    assert count < ENTRIES // 2, f"{name}: killed too late"
    # More than what was acknowledged before and not yet read.
    wait_for_entries(others, count + ENTRIES // 10)
    gap = time.monotonic() - start
    victim.start()
    victim.propose(1000)
    wait_until_done(nodes)
    judge(f"{name} killed (others went on after {gap:.2f} s)", nodes, "")


def kill_all(nodes):
    for node in nodes:
        node.process.kill()
    for node in nodes:
        node.process.wait()


def all_killed(directory):
    nodes = cluster(directory)
    nodes[0].delivered()
    propose_everywhere(nodes)
    wait_for_entries(nodes, ENTRIES // 4)
    kill_all(nodes)
    start = time.monotonic()
    for node in nodes:
        node.start()
    nodes[0].delivered()
    judge(f"all killed at once (back after {time.monotonic() - start:.2f} s)", nodes, "")


def power_cut(directory):
    """All nodes lose power at once, again and again, and with it what was not durable."""
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    chance = random.Random(seed)
    name = f"{POWER_CUTS} power cuts, SEED={seed}"
    nodes = cluster(directory, lambda node: {
        "LD_PRELOAD": os.environ["DISK"], "DISK_JOURNAL": str(node.directory / "journal")
    })
    at_risk = 0
    for _ in range(POWER_CUTS):
        propose_everywhere(nodes)
        count = sum(len(node.acknowledged) for node in nodes)
        wait_for_entries(nodes, count + chance.randint(1, 300))
        kill_all(nodes)
        for node in nodes:
            at_risk += disk.cut(node.directory / "log", node.directory / "journal", chance)
        for node in nodes:
            node.start()
        compare(name, nodes)
    assert at_risk, f"{name}: nothing was at risk"
    judge(f"{name} ({at_risk // 1024:,} KiB were at risk)", nodes, "")


scratch = Path(sys.argv[1])
undisturbed(scratch / "undisturbed")
one_killed(scratch / "leader", "leader", True)
one_killed(scratch / "follower", "follower", False)
all_killed(scratch / "all")
power_cut(scratch / "power")
