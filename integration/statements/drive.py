"""Sends every statement of the manuals to a server alone and to a node of a cluster: what comes of it must be the same, on all servers.

Usage: drive.py PORT PLAIN_PORT FAMILY DIRECTORY DATA. Nodes are at PORT + 1 to 3, the server that stands alone at PLAIN_PORT, with its data in
DATA; servers write files into the directory.
"""

import itertools
import re
import subprocess
import sys
import time

import pymysql

import manual
from cluster import NODES, PORT, connect, define, run, server

PLAIN_PORT, FAMILY, DIRECTORY, DATA = int(sys.argv[2]), sys.argv[3].lower(), *sys.argv[4:]
NOT_SUPPORTED_YET = 1235
# What entries leave behind, and what they start from where they only change rows.
ROWS = ("USE manual", "DROP PROCEDURE IF EXISTS q", "DROP TABLE IF EXISTS n", "DELETE FROM u", "DELETE FROM t", "DELETE FROM outside", "DELETE FROM parts", "ALTER TABLE t AUTO_INCREMENT = 4",
        "INSERT INTO t VALUES (1, 1, 'one'), (2, 2, 'two'), (3, 3, 'three')", "INSERT INTO u VALUES (1, 1), (2, 2)", "INSERT INTO parts VALUES (1, 1), (11, 11)")
DEFINED = [
    "SELECT table_schema, table_name, column_name, ordinal_position, column_default, column_type, collation_name, extra FROM information_schema.columns {where}",
    "SELECT table_schema, table_name, index_name, seq_in_index, column_name, non_unique FROM information_schema.statistics {where}",
    "SELECT table_schema, table_name, constraint_name, constraint_type FROM information_schema.table_constraints {where}",
    "SELECT table_schema, table_name, partition_name, partition_description FROM information_schema.partitions {where}",
    "SELECT table_schema, table_name, view_definition FROM information_schema.views {where}",
    "SELECT routine_schema, routine_name, routine_type, routine_definition, routine_comment FROM information_schema.routines WHERE routine_schema LIKE 'manual%'",
    "SELECT trigger_schema, trigger_name, action_statement FROM information_schema.triggers WHERE trigger_schema LIKE 'manual%'",
    "SELECT event_schema, event_name, event_definition, execute_at FROM information_schema.events WHERE event_schema LIKE 'manual%'",
    "SELECT schema_name, default_collation_name FROM information_schema.schemata WHERE schema_name LIKE 'manual%'",
    "SELECT user, host FROM mysql.user WHERE user IN ('one', 'uno', 'two', 'reader', 'writer')",
    "SELECT grantee, privilege_type FROM information_schema.user_privileges WHERE grantee REGEXP 'one|uno|two|reader|writer'",
    "SELECT grantee, table_schema, privilege_type FROM information_schema.schema_privileges WHERE grantee REGEXP 'one|uno|two|reader|writer'",
    "SELECT grantee, table_schema, table_name, privilege_type FROM information_schema.table_privileges WHERE grantee REGEXP 'one|uno|two|reader|writer'",
]


def state(connection):
    """All that is defined on a server and belongs to this test, and its tables' rows."""
    found = {}
    for query in DEFINED:
        found[query] = sorted(run(connection, query.format(where="WHERE table_schema LIKE 'manual%'")), key=repr)
    tables = run(connection, "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema LIKE 'manual%' AND table_type = 'BASE TABLE'")
    for schema, table in tables:
        found[table] = sorted(run(connection, f"SELECT * FROM {schema}.{table}"), key=repr)
    return found


def result(found, verdict):
    """What a client learns from a result: its columns and rows, or what it has changed."""
    if found.description is None:
        return () if verdict == manual.OWN else (found.affected_rows, found.insert_id, found.message, found.warning_count)
    columns = [column[0] for column in found.description]
    return (columns,) if verdict == manual.OWN else (columns, found.rows, found.warning_count)


def outcome(connection, statement, verdict):
    """All results of a statement, the last of which may be an error."""
    results = []
    try:
        connection.query(statement)
        results.append(result(connection._result, verdict))
        while connection._result.has_next:
            connection.next_result()
            results.append(result(connection._result, verdict))
    except pymysql.MySQLError as error:
        # Of what only one of them says, as the path of a file, there is nothing left.
        results.append(tuple(str(part).replace(f"{DIRECTORY}/node", f"{DIRECTORY}/plain") for part in error.args))
    return results


def session(port, number):
    """A client. A server alone counts as the node's does."""
    connection = connect("127.0.0.1", port, autocommit=True, read_timeout=30)
    run(connection, "SET timestamp = 1500000000", f"SET auto_increment_increment = 3, auto_increment_offset = {number}", "USE manual")
    return connection


def differences(entry, number, plain, servers):
    """What differs of an entry, sent to a server alone and to that node."""
    ways = {"plain": session(PLAIN_PORT, number), "node": session(PORT + number, number)}
    for at, statement in enumerate(entry.statements):
        there, here = (outcome(ways[way], statement.replace("{file}", f"{DIRECTORY}/{way}.{number}.{id(entry)}"), entry.verdict) for way in ways)
        if entry.verdict == manual.REFUSED and at == len(entry.statements) - 1:
            if len(there[-1]) == 2 or here[-1][0] != str(NOT_SUPPORTED_YET):
                yield f"{statement}: not refused: server {there}, node {here}"
            return
        if there != here:
            yield f"{statement}:\n      server {str(there)[:600]}\n      node   {str(here)[:600]}"
    for connection in ways.values():
        connection.close()
    expected, deadline = state(plain), time.time() + 10
    for name, other in servers.items():
        while (found := state(other)) != expected and time.time() < deadline:
            time.sleep(0.05)
        for what, there in expected.items():
            if found.get(what) != there:
                yield f"afterwards server {name} differs: {what}\n      alone {str(there)[:600]}\n      there {str(found.get(what))[:600]}"


def binlog_statements(plain):
    """What a server's binlog holds of a write, as the tool that replays binlogs sends it."""
    run(plain, *manual.SETUP, "FLUSH BINARY LOGS", "DELETE FROM outside", "INSERT INTO outside VALUES (100, 1), (101, 2)")
    name = run(plain, "SHOW BINARY LOGS")[-1][0]
    shown = subprocess.run(["mariadb-binlog", "--no-defaults", f"{DATA}/{name}"], check=True, capture_output=True, text=True).stdout
    *_, rows = found = re.findall(r"BINLOG '[^']*'", shown)
    return found[0], rows


def main():
    plain = connect("127.0.0.1", PLAIN_PORT, autocommit=True)
    servers = {number: server(number, autocommit=True) for number in NODES}
    numbers = itertools.cycle(NODES)
    chapters = {chapter: [entry for entry in entries if entry.family in (manual.ALL, FAMILY)] for chapter, entries in manual.CHAPTERS.items()}
    # On MySQL it needs SET GTID_NEXT, which is refused.
    if FAMILY == manual.MARIADB:
        chapters["administration"].append(manual.same("BINLOG", *binlog_statements(plain), "SELECT * FROM outside"))
    wrong = 0
    for chapter, entries in chapters.items():
        is_whole = False
        for entry in entries:
            anew = ROWS if is_whole else manual.CLEANUP + manual.SETUP
            run(plain, *anew)
            define(*anew)
            is_whole = chapter not in ("definition", "accounts") and entry.verdict != manual.REFUSED
            for difference in differences(entry, next(numbers), plain, servers):
                print(f"FAILED: {chapter}: {entry.name}: {difference}")
                wrong += 1
                is_whole = False
        refused = sum(entry.verdict == manual.REFUSED for entry in entries)
        print(f"{chapter}: {len(entries) - refused} kinds of statement as on the server, {refused} refused")
    sys.exit(wrong > 0)


main()
