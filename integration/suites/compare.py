"""Compares what became of a suite's tests on a server and through a node of a cluster.

Usage: compare.py SUITE LEAST SERVER_OUTCOMES NODE_OUTCOMES. At least so many must have passed on both. What a node refuses, and says so by
error 1235, is told by the reason; anything else that differs is a failure.
"""
import collections
import re
import sys

# What a node refuses by design.
DESIGNED = re.compile("XA transactions of clients|the sequence|engine|LOCK TABLES")


def read(path):
    with open(path) as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return {test: (outcome, refused) for outcome, test, refused in rows}


def main():
    suite, least = sys.argv[1], int(sys.argv[2])
    server, node = map(read, sys.argv[3:])
    refused, differing, passed = collections.Counter(), [], 0
    for test in sorted(server.keys() | node.keys()):
        alone, (outcome, reason) = server.get(test, ("not run", ""))[0], node.get(test, ("not run", ""))
        passed += alone == outcome == "passed"
        if alone == "passed" and outcome == "failed" and DESIGNED.search(reason):
            refused[re.sub(r"sequence \S+", "sequence …", reason)] += 1
        elif alone != outcome:
            differing.append((test, alone, outcome, reason))
    print(f"{suite}: {len(server)} tests, {passed} passed on both, {sum(alone == 'failed' for alone, _ in server.values())} fail on the server alone")
    for reason, count in refused.items():
        print(f"  {count} refused: {reason}")
    for test, alone, outcome, reason in differing:
        print(f"  DIFFERS: {test}: {alone} on the server, {outcome} through the node {reason}")
    if differing or passed < least:
        sys.exit(f"FAILED: {suite}: {len(differing)} differ, {passed} of at least {least} passed")


main()
