"""Sends random sequences of statements to one server alone and to a node of a cluster: every answer and all data must be the same.

Usage: drive.py PORT PLAIN_PORT SECONDS SEQUENCES SEED. Nodes are at PORT + 1 to 3, the server that stands alone at PLAIN_PORT. Ends after so
many sequences or seconds, whatever comes first. A seed is a round's own: so many sequences on the same tables.
"""

import random
import re
import sys
import time

import wire
from cluster import PORT, connect, expect_equal, node, run, tables_of
from statements import FOUND, FOUND_IN_BULK, TABLES, Writer

PLAIN_PORT, SECONDS, SEQUENCES, SEED = map(int, sys.argv[2:])
ROUND = 20
CURSOR = re.compile(rb"...(.\xff..#HY000The statement \()\d+", re.DOTALL)
BEGINNING = ["SET timestamp = 1500000000", "USE sequences"]


def without_plans(answer):
    """The answer without the flags by which a server says that it has used no good index, which depends on its statistics."""
    answer, at = bytearray(answer), 0
    while at < len(answer):
        length = int.from_bytes(answer[at:at + 3], "little")
        match list(answer[at + 4:at + 4 + min(length, 7)]):
            case [0xfe, _, _, _, _] if length == 5:
                answer[at + 7] &= ~0x30
            case [0 | 0xfe, rows, id, _, _, *_] if rows < 251 and id < 251:
                answer[at + 7] &= ~0x30
        at += 4 + length
    return bytes(answer)


class Session:
    """A client, with its prepared statements under numbers that do not depend on the server."""

    def __init__(self, port, capabilities):
        self.connection = wire.Connection(port, capabilities)
        self.prepared = {}
        self.exchange(*map(wire.query, BEGINNING))

    def exchange(self, *packets):
        return without_plans(CURSOR.sub(rb"\1", wire.comparable(self.connection.exchange(*packets))))

    def do(self, kind, *what):
        """The answer to a step."""
        number, parameters, is_query = self.prepared.get(what[0] if what else None, (wire.NO_STATEMENT, 0, False))
        match kind:
            case "query":
                return self.exchange(*map(wire.query, what))
            case "prepare":
                answer = self.connection.exchange(wire.prepare(what[1]))
                if told := wire.PREPARED.match(answer):
                    self.prepared[what[0]] = int.from_bytes(told[2], "little"), what[1].count("?"), what[1].startswith("SELECT")
                return wire.comparable(answer)
            case "execute":
                return self.exchange(wire.execute(number, what[2][:parameters], cursor=what[1] and is_query))
            case "bulk":
                return self.exchange(wire.bulk(number, [row[:parameters] for row in what[1]]))
            case "fetch":
                return self.exchange(wire.fetch(number, 2))
            case "close":
                self.prepared.pop(what[0], None)
                return self.exchange(wire.close(number))
            # A BEGIN that has been given some is refused by MariaDB, and runs here (docs/differences.md).
            case "long data" if number == wire.NO_STATEMENT or parameters:
                return self.exchange(wire.long_data(number, 0, b"1"))
            case "long data":
                return b""
            case "reset statement":
                return self.exchange(wire.reset(number))
            case "reset connection":
                self.prepared.clear()
                return self.exchange(wire.packet(b"\x1f"), *map(wire.query, BEGINNING))
            case "ping":
                return self.exchange(wire.packet(b"\x0e"))
            case "schema":
                return self.exchange(wire.packet(b"\x02" + what[0].encode()))
            case _:
                raise ValueError(kind)

    def leave(self):
        """Ends the session, and waits until the server has."""
        self.connection.last_words(wire.packet(b"\x01"))


def begin_round(connections):
    for connection in connections:
        run(connection, "DROP DATABASE IF EXISTS sequences", "DROP DATABASE IF EXISTS other", "CREATE DATABASE sequences", "USE sequences", *TABLES)


def rows(connection):
    """All that there is."""
    return {name: sorted(run(connection, f"SELECT * FROM {name[0]}.{name[1]}"), key=repr) for name in sorted(tables_of(connection))}


def sequence(writer, chance):
    """A session's capabilities and steps."""
    capabilities = wire.COMMON | chance.choice([0, wire.DEPRECATE_EOF]) | wire.BULK * writer.is_mariadb
    writer.begin()
    return capabilities, [*writer.opening(), *(writer.step() for _ in range(chance.randint(4, 14)))]


def differing(capabilities, steps):
    """Sends a sequence to both; the first answers that differ, if any do, with the step."""
    sessions = [Session(PLAIN_PORT, capabilities), Session(PORT + 1, capabilities)]
    for at, step in enumerate(steps):
        answers = []
        for session in sessions:
            try:
                answers.append(session.do(*step))
            except (OSError, EOFError) as error:
                answers.append(f"{type(error).__name__}: {error}".encode())
        if answers[0] != answers[1]:
            return at, answers
    for session in sessions:
        session.leave()
    return None


def tell(seed, steps, at, answers):
    print(f"FAILED, round {seed}: after")
    for step in steps[:at]:
        print("    ", step)
    print("   to", steps[at])
    common = next((at for at, (one, other) in enumerate(zip(*answers)) if one != other), min(map(len, answers)))
    for who, answer in zip(("server", "node  "), answers):
        print(f"   the {who} answers, from byte {common} on: {answer[max(common - 100, 0):common]} ! {answer[common:common + 100]}")


def random_round(seed):
    """The sequences of a round, each for those capabilities."""
    chance = random.Random(seed)
    writer = Writer(chance, b"MariaDB" in wire.Connection(PLAIN_PORT, wire.COMMON).greeting)
    for _ in range(ROUND):
        yield sequence(writer, chance)


def round_of(seed, sequences, connections):
    """One round; gives how many sequences and steps it had, and whether all was equal."""
    begin_round(connections)
    steps_done = 0
    done = 0
    for done, (capabilities, steps) in enumerate(sequences):
        if different := differing(capabilities, steps):
            tell(seed, steps, *different)
            return done, steps_done, False
        steps_done += len(steps)
        there, here = map(rows, connections)
        if there != here:
            print(f"FAILED, round {seed}: rows differ after", *steps, sep="\n     ")
            for name in there:
                if there[name] != here.get(name):
                    print("   ", name, there[name], here.get(name))
            return done, steps_done, False
    try:
        expect_equal()
    except SystemExit:
        print(f"FAILED, round {seed}: the servers of the cluster differ")
        raise
    return done + 1, steps_done, True


def main():
    plain = connect("127.0.0.1", PLAIN_PORT, autocommit=True)
    run(plain, "SET GLOBAL auto_increment_increment = 3, GLOBAL auto_increment_offset = 1", "SET auto_increment_increment = 3")
    connections = [plain, node(1, autocommit=True)]
    over = time.monotonic() + SECONDS
    found = [(wire.COMMON, [("query", statement) for statement in statements]) for statements in FOUND]
    found += [(wire.COMMON | wire.BULK, FOUND_IN_BULK)] * (b"MariaDB" in wire.Connection(PLAIN_PORT, wire.COMMON).greeting)
    sequences, steps, equal = round_of("of what was found", found, connections)
    seed, failed = SEED, int(not equal)
    while sequences < SEQUENCES and time.monotonic() < over and failed < 5:
        done, sent, equal = round_of(seed, random_round(seed), connections)
        sequences, steps, failed, seed = sequences + done, steps + sent, failed + (not equal), seed + 1
    print(f"{sequences} sequences, {steps} steps, rounds {SEED} to {seed - 1}: {failed} differ")
    sys.exit(failed > 0)


main()
