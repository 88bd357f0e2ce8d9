"""Sends the same bytes to a server and to the node in front of it; the answers must be the same bytes.

Usage: compare.py SERVER_PORT NODE_PORT. What may differ, and is left out of the comparison:
- the greeting's connection id and scramble, and the capabilities that a node takes out (compression) or puts in (TLS);
- the scramble in a request to authenticate again, after COM_CHANGE_USER;
- whether the server ends an idle session by closing or by resetting the connection;
- the number of a prepared statement, which MariaDB counts up over all sessions;
- the numbers in the text of COM_STATISTICS;
- what MySQL's session tracking tells of the transaction's state, of which the node's XA statements tell too.
"""
import re
import sys

import wire
from statements import LAST_WORDS, STATEMENTS

MASKED = wire.TLS | wire.COMPRESS | wire.ZSTD


def comparable_greeting(greeting):
    """The greeting without what may differ."""
    g = bytearray(greeting)
    v = g.index(0, 5) + 1
    low, high = int.from_bytes(g[v + 13:v + 15], "little"), int.from_bytes(g[v + 18:v + 20], "little")
    capabilities = (low | high << 16) & ~MASKED
    scramble = g[v + 31:v + 43]
    g[v:v + 12] = bytes(12)
    g[v + 13:v + 15], g[v + 18:v + 20] = bytes(2), bytes(2)
    g[v + 31:v + 43] = bytes(len(scramble))
    return bytes(g) + capabilities.to_bytes(4, "little")


def run(connection, packets, then=lambda s: []):
    """The answers to packets, or to a statement that is prepared and to what is done with it then."""
    if isinstance(packets, str):
        prepared = connection.exchange(wire.prepare(packets))
        statement = int.from_bytes(wire.PREPARED.match(prepared)[2], "little")
        return wire.comparable(prepared) + wire.comparable(connection.exchange(*then(statement)))
    return wire.comparable(connection.exchange(*packets))


def conversation(port, capabilities):
    """Every statement in one session, then one session for each of the last words."""
    connection = wire.Connection(port, capabilities)
    answers = {"greeting": (b"", comparable_greeting(connection.greeting)), "verdict": (b"", connection.verdict)}
    for name, holds, *sent in STATEMENTS:
        assert name not in answers, name
        try:
            answers[name] = (holds, run(connection, *sent))
        except (OSError, EOFError) as error:
            raise SystemExit(f"FAILED {name} on port {port}: {error}")
    statistics = connection.exchange(wire.packet(b"\x09"))
    answers["statistics"] = (b"Uptime", re.sub(rb"[\d.]+", b"N", statistics[4:]))
    for name, holds, packets in LAST_WORDS:
        answers[name] = (holds, wire.comparable(wire.Connection(port, capabilities).last_words(*packets)))
    return answers


def main():
    server, node = map(int, sys.argv[1:])
    passed = failed = 0
    for title, capabilities in (("EOF packets", wire.COMMON), ("no EOF packets", wire.COMMON | wire.DEPRECATE_EOF),
                                ("session tracking", wire.COMMON | wire.DEPRECATE_EOF | wire.SESSION_TRACK)):
        expected, got = conversation(server, capabilities), conversation(node, capabilities)
        for name, (holds, answer) in expected.items():
            if holds not in answer:
                print(f"FAILED ({title}) {name}: the server's own answer lacks {holds}: {answer[:300]}")
            elif got[name][1] != answer:
                at = next((i for i, (a, b) in enumerate(zip(got[name][1], answer)) if a != b), "the end")
                print(f"FAILED ({title}) {name}: differs at {at}: {len(answer)} and {len(got[name][1])} bytes")
                print(f"  server {answer[:200]}\n  node   {got[name][1][:200]}")
            else:
                passed += 1
                continue
            failed += 1
    print(f"{passed} answers equal, {failed} not")
    return failed > 0


sys.exit(main())
