"""Runs every kind of write through a node and compares what `capture` says of it with what the server's
own binlog tool says: the same events, byte for byte, or nothing where nothing was written.

    drive.py NODE SERVER DATA_DIRECTORY CAPTURE TOOL…

NODE and SERVER are ports.
"""

import base64
import re
import subprocess
import sys
import time
from pathlib import Path

import pymysql

from kinds import ALL, MARIADB, MYSQL, SETUP, SETUP_MARIADB, SETUP_MYSQL, Kind, kinds

NODE, SERVER = int(sys.argv[1]), int(sys.argv[2])
DATA, CAPTURE, TOOL = Path(sys.argv[3]), sys.argv[4], sys.argv[5:]
TABLE_MAP, ROWS = 19, {23, 24, 25, 30, 31, 32}


def connect(port, schema=None):
    return pymysql.connect(host="127.0.0.1", port=port, user="root", database=schema, local_infile=True, autocommit=True)


def run(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        while cursor.nextset():
            pass


def set_up():
    """Makes the schemas and gives the server's family."""
    admin = connect(SERVER)
    family = MARIADB if "MariaDB" in admin.get_server_info() else MYSQL
    run(admin, "SET GLOBAL local_infile = ON")
    run(admin, "SET GLOBAL max_allowed_packet = 64 << 20")
    run(admin, "SET GLOBAL log_bin_trust_function_creators = ON")
    run(admin, "CREATE USER reader IDENTIFIED BY 'a secret'")
    run(admin, "GRANT ALL ON *.* TO reader")
    for schema in ("kinds", "other"):
        run(admin, f"CREATE DATABASE {schema} CHARACTER SET utf8mb4")
    setup = connect(NODE, "kinds")
    for statement in SETUP + (SETUP_MARIADB if family == MARIADB else SETUP_MYSQL):
        run(setup, statement)
    return family


def perform(kind, file):
    """Runs a kind through the node."""
    connection = connect(NODE, "kinds")
    alone = len(kind.statements) == 1 and kind.end == "commit"
    if not alone:
        run(connection, "BEGIN")
    failed = False
    for statement in kind.statements:
        try:
            run(connection, statement.replace("{file}", str(file)))
        except pymysql.err.MySQLError as error:
            if not kind.fails:
                sys.exit(f"FAILED: {kind.name}: {statement[:100]}: {error}")
            failed = True
    if failed != kind.fails:
        sys.exit(f"FAILED: {kind.name}: a statement should have failed")
    if kind.end == "disconnect":
        connection._force_close()
        return
    if not alone:
        run(connection, kind.end)
    connection.close()


def separate(server, number):
    """Writes a transaction into the binlog by whose name the kind before it is known."""
    name = f"k{number}"
    for statement in (f"XA START '{name}'", f"INSERT INTO other.done VALUES ({number})", f"XA END '{name}'",
                      f"XA PREPARE '{name}'", f"XA COMMIT '{name}'"):
        run(server, statement)


def by_kind(transactions, number):
    """Groups (name, content) up to the separator of kind `number` by the kind that they stand for."""
    kinds, since = {}, []
    for name, content in transactions:
        if name.startswith("k"):
            kinds[int(name[1:])] = since
            if int(name[1:]) == number:
                return kinds
            since = []
        else:
            since.append((name, content))
    sys.exit("FAILED: the last transaction is missing")


def captured(lines):
    """What `capture` prints: names with their events, or with the reason of a refusal."""
    for line in lines:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word in ("prepared", "refused"):
            name, _, content = rest.partition(" ")
            yield name, [bytes.fromhex(e) for e in content.split()] if word == "prepared" else content


def decode(text):
    """The bytes in a BINLOG statement, in which every event's base64 has its own padding."""
    text = b"".join(text.split())
    return b"".join(base64.b64decode(text[at : at + 4]) for at in range(0, len(text), 4))


def split(data):
    while data:
        length = int.from_bytes(data[9:13], "little")
        yield data[:length]
        data = data[length:]


def shown(files):
    """What the server's tool shows of the files: transactions' names with row events and their table maps."""
    output = subprocess.run([*TOOL, "--no-defaults", *map(str, files)], stdout=subprocess.PIPE, check=True).stdout
    events = []
    pattern = re.compile(
        rb"^BINLOG '\n([^']*)'|^XA PREPARE X'([0-9A-Fa-f]*)'|^#\d[^\n]*\t(?:Anonymous_)?GTID", re.M
    )
    for match in pattern.finditer(output):
        block, name = match.groups()
        if block is not None:
            events += [e for e in split(decode(block)) if e[4] == TABLE_MAP or e[4] in ROWS]
        elif name is not None:
            yield bytes.fromhex(name.decode()).decode(), events
            events = []
        else:
            events = []


def main():
    family = set_up()
    file = DATA.parent / "lines.csv"
    file.write_text("".join(f"{n + 5000},line {n}\n" for n in range(3000)))
    address = f"127.0.0.1:{SERVER}"
    refused = subprocess.run([CAPTURE, address, "reader", "another"], stderr=subprocess.PIPE, text=True)
    if "error 1045: Access denied for user 'reader'" not in refused.stderr:
        sys.exit(f"FAILED: a wrong password gave {refused.stderr!r}")
    capture = subprocess.Popen([CAPTURE, address, "reader", "a secret"], stdout=subprocess.PIPE, text=True)
    first = capture.stdout.readline().split()[1]
    ran = [kind for kind in kinds() if kind.family in (ALL, family)]
    server = connect(SERVER)
    separate(server, -1)
    for number, kind in enumerate(ran):
        perform(kind, file)
        separate(server, number)
        if kind.end == "disconnect":
            left_behind(server)
    run(server, "FLUSH BINARY LOGS")
    ran.append(Kind("after a change of files", ["INSERT INTO bare VALUES (0, 'last')"]))
    last = len(ran) - 1
    perform(ran[last], file)
    separate(server, last)
    ours = by_kind(captured(capture.stdout), last)
    capture.kill()
    theirs = by_kind(shown(sorted(f for f in DATA.glob("binlog.0*") if f.name >= first)), last)
    failed = events = 0
    for number, kind in enumerate(ran):
        our, their = ours[number], theirs[number]
        # The mark of a transaction is a table map and an update.
        rows = [event for _, content in their for event in content]
        events += len(rows)
        if our != their or kind.writes != (len(rows) > 2) or len(our) > 1:
            failed += 1
            print(f"FAILED: {kind.name}: captured {brief(our)}, the tool shows {brief(their)}, writes: {kind.writes}")
    print(f"{len(ran)} kinds of write on {family}, {events} events: {len(ran) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


def left_behind(server):
    """Waits until the server has rolled back what a client left; fails if it stays."""
    for _ in range(100):
        with server.cursor() as cursor:
            if not cursor.execute("SELECT 1 FROM information_schema.innodb_trx"):
                return
        time.sleep(0.1)
    sys.exit("FAILED: a transaction stayed behind its client")


def brief(groups):
    return [(name, content if isinstance(content, str) else [(e[4], len(e)) for e in content][:20]) for name, content in groups]


main()
