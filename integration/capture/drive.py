"""Runs every kind of write as a prepared transaction and compares what `capture` says of it with what
the server's own binlog tool says: the same events, byte for byte, or nothing where nothing was written.

    drive.py PORT DATA_DIRECTORY CAPTURE TOOL…
"""

import base64
import re
import subprocess
import sys
from pathlib import Path

import pymysql

from kinds import ALL, MARIADB, MYSQL, SETUP, SETUP_MARIADB, SETUP_MYSQL, kinds

PORT, DATA, CAPTURE, TOOL = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:]
TABLE_MAP, ROWS = 19, {23, 24, 25, 30, 31, 32}


def connect(schema=None):
    return pymysql.connect(host="127.0.0.1", port=PORT, user="root", database=schema, local_infile=True, autocommit=True)


def run(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        while cursor.nextset():
            pass


def set_up():
    """Makes the schemas and gives the server's family."""
    admin = connect()
    family = MARIADB if "MariaDB" in admin.get_server_info() else MYSQL
    run(admin, "SET GLOBAL local_infile = ON")
    run(admin, "SET GLOBAL max_allowed_packet = 64 << 20")
    run(admin, "SET GLOBAL log_bin_trust_function_creators = ON")
    if family == MYSQL:
        run(admin, "SET GLOBAL xa_detach_on_prepare = OFF")
    run(admin, "CREATE USER reader IDENTIFIED BY 'a secret'")
    run(admin, "GRANT ALL ON *.* TO reader")
    for schema in ("kinds", "other"):
        run(admin, f"CREATE DATABASE {schema} CHARACTER SET utf8mb4")
    setup = connect("kinds")
    for statement in SETUP + (SETUP_MARIADB if family == MARIADB else SETUP_MYSQL):
        run(setup, statement)
    return family


def perform(kind, name, file):
    """Runs a kind as the XA transaction `name`."""
    connection = connect("kinds")
    run(connection, f"XA START '{name}'")
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
    run(connection, f"XA END '{name}'")
    if kind.end == "rollback":
        run(connection, f"XA ROLLBACK '{name}'")
    else:
        run(connection, f"XA PREPARE '{name}'")
        run(connection, f"XA COMMIT '{name}'")
    connection.close()


def captured(lines, last):
    """What `capture` prints, up to the transaction `last`: events or a refusal by name."""
    found = {}
    for line in lines:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word in ("prepared", "refused"):
            name, _, content = rest.partition(" ")
            found[name] = [bytes.fromhex(e) for e in content.split()] if word == "prepared" else content
            if name == last:
                return found
    sys.exit("FAILED: the capture ended before the last transaction")


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
    """What the server's tool shows of the files: row events and their table maps by transaction."""
    output = subprocess.run([*TOOL, "--no-defaults", *map(str, files)], stdout=subprocess.PIPE, check=True).stdout
    found, events = {}, []
    pattern = re.compile(
        rb"^BINLOG '\n([^']*)'|^XA PREPARE X'([0-9A-Fa-f]*)'|^#\d[^\n]*\t(?:Anonymous_)?GTID", re.M
    )
    for match in pattern.finditer(output):
        block, name = match.groups()
        if block is not None:
            events += [e for e in split(decode(block)) if e[4] == TABLE_MAP or e[4] in ROWS]
        elif name is not None:
            found[bytes.fromhex(name.decode()).decode()] = events
            events = []
        else:
            events = []
    return found


def main():
    family = set_up()
    file = DATA.parent / "lines.csv"
    file.write_text("".join(f"{n + 5000},line {n}\n" for n in range(3000)))
    address = f"127.0.0.1:{PORT}"
    refused = subprocess.run([CAPTURE, address, "reader", "another"], stderr=subprocess.PIPE, text=True)
    if "error 1045: Access denied for user 'reader'" not in refused.stderr:
        sys.exit(f"FAILED: a wrong password gave {refused.stderr!r}")
    capture = subprocess.Popen([CAPTURE, address, "reader", "a secret"], stdout=subprocess.PIPE, text=True)
    first = capture.stdout.readline().split()[1]
    ran = [kind for kind in kinds() if kind.family in (ALL, family)]
    for number, kind in enumerate(ran):
        perform(kind, f"k{number}", file)
    run(connect(), "FLUSH BINARY LOGS")
    setup = connect("kinds")
    for statement in ("XA START 'last'", "INSERT INTO bare VALUES (0, 'last')", "XA END 'last'", "XA PREPARE 'last'", "XA COMMIT 'last'"):
        run(setup, statement)
    ours = captured(capture.stdout, "last")
    capture.kill()
    theirs = shown(sorted(f for f in DATA.glob("binlog.0*") if f.name >= first))
    failed = events = 0
    for number, kind in enumerate(ran):
        name = f"k{number}"
        # MariaDB logs some transactions that wrote nothing, without a row in them.
        our, their = ours.get(name), theirs.get(name)
        events += len(our or ())
        if our != their or bool(their) != kind.writes:
            failed += 1
            what = lambda x: "nothing" if x is None else x if isinstance(x, str) else [(e[4], len(e)) for e in x][:20]
            print(f"FAILED: {kind.name}: captured {what(our)}, the tool shows {what(their)}, writes: {kind.writes}")
    if ours["last"] != theirs["last"]:
        failed += 1
        print("FAILED: the transaction after a change of files")
    print(f"{len(ran)} kinds of write on {family}, {events} events: {len(ran) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
