"""A plugin for pytest: writes what became of each test to the file named by OUTCOMES, a line each: outcome, test, and why a node refused it if one did."""
import os
import re

OUTCOMES = {}
REFUSED = re.compile(r"\(1235, ['\"](Trireme: .*?)['\"]\)")


def pytest_runtest_logreport(report):
    """Of the three phases of a test the one counts that did not pass."""
    before = OUTCOMES.get(report.nodeid, ("passed", ""))
    if report.outcome != "passed" and before[0] in ("passed", "skipped"):
        refused = REFUSED.search(report.longreprtext) if report.failed else None
        OUTCOMES[report.nodeid] = report.outcome, refused[1] if refused else ""
    else:
        OUTCOMES[report.nodeid] = before


def pytest_sessionfinish():
    with open(os.environ["OUTCOMES"], "w") as file:
        for test, (outcome, refused) in OUTCOMES.items():
            print(outcome, test.replace("\n", " "), refused, sep="\t", file=file)
