"""A sandbox of three nodes, for the scripts that write through it. Its port is the script's first argument.

Definitions are not replicated yet: `everywhere` runs them on each node.
"""

import sys
import time

import pymysql

PORT = int(sys.argv[1])
NODES = (1, 2, 3)


def connect(port, **options):
    return pymysql.connect(host="127.0.0.1", port=port, user="root", charset="utf8mb4", **options)


def node(number, **options):
    return connect(PORT + number, **options)


def run(connection, *statements):
    rows = ()
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            rows = cursor.fetchall()
    return rows


def everywhere(*statements):
    for number in NODES:
        with node(number, autocommit=True) as connection:
            run(connection, *statements)


def tables_of(connection):
    return run(
        connection,
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
        "AND table_schema NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema', 'trireme')",
    )


def checksums(number):
    with connect(PORT + 300 + number) as server:
        names = [f"`{schema}`.`{table}`" for schema, table in tables_of(server)]
        return dict(run(server, "CHECKSUM TABLE " + ", ".join(names)))


def expect_equal():
    """Waits until the servers' tables are equal: a commit is applied elsewhere soon after."""
    deadline = time.time() + 10
    while True:
        first, *others = [checksums(number) for number in NODES]
        if first and None not in first.values() and all(other == first for other in others):
            return len(first)
        if time.time() > deadline:
            sys.exit(f"FAILED: the servers differ: {first} {others}")
        time.sleep(0.05)
