"""What is defined on one node, and when: see run.sh."""

import functools
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

import pymysql

import wire
from cluster import (
    NODES, OWN_SCHEMAS, PORT, at_once, define, error_of, expect_equal, expect_positions, kill, node, pid_of, position, run,
    runs, server, start_again, tables_of,
)
from events import events
from phases import phases

DEADLOCK, DENIED, EXISTS, SYNTAX, UNKNOWN = 1213, 1044, 1050, 1064, 1051
NO_SUCH_USER, CANNOT_CREATE_USER = 1133, 1410
# What a node says that has defined what the others know nothing of.
VOID = "the cluster went on without what was defined here"

# What is kept with a program.
CHARACTER_SETS = "character_set_client, collation_connection, database_collation"

# Definitions, one session after the other; each session on the next node.
SESSIONS = (
    ("CREATE DATABASE d CHARACTER SET latin1", "CREATE DATABASE e", "ALTER DATABASE e CHARACTER SET utf8mb4"),
    (
        "USE d",
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))",
        "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        "ALTER TABLE t ADD COLUMN w TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), ADD KEY (v)",
        "CREATE INDEX twice ON t (v, w)",
        "DROP INDEX twice ON t",
        "CREATE UNIQUE INDEX once ON t (v)",
    ),
    (
        "USE d",
        "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES', time_zone = '+03:00', foreign_key_checks = 0",
        'CREATE TABLE "q" (a INT, s VARCHAR(9) DEFAULT \'\\\', CONSTRAINT far FOREIGN KEY (a) REFERENCES "later" (id))',
        "CREATE PROCEDURE p(x INT) SELECT x",
        "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1",
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.v = CONCAT(NEW.v, '\\')",
        "CREATE EVENT ev ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01' DISABLE DO DELETE FROM t",
        'CREATE VIEW v AS SELECT "id", f() FROM t',
    ),
    (
        "USE d",
        "SET NAMES latin1",
        b"CREATE TABLE `n\xe9` (`\xe4` VARCHAR(9) DEFAULT '\xfc')",
        b"INSERT INTO `n\xe9` VALUES ('\xdf')",
        b"ALTER TABLE `n\xe9` ADD COLUMN x TEXT",
    ),
    (
        "CREATE TABLE e.copy AS SELECT id, v, RAND() r FROM d.t",
        "CREATE TABLE e.empty SELECT * FROM d.t WHERE id > 10",
        "CREATE TABLE e.like_t LIKE d.t",
        "CREATE TEMPORARY TABLE e.own (a INT, b INT)",
        "CREATE TABLE e.like_own LIKE e.own",
        "ALTER TABLE e.own ADD COLUMN c INT",
        "DROP TABLE e.own",
    ),
    (
        "CREATE TABLE IF NOT EXISTS d.t (x INT)",
        "DROP TABLE IF EXISTS d.none",
        "RENAME TABLE e.copy TO e.one, e.empty TO e.copy, e.one TO e.empty",
        "TRUNCATE e.like_t",
        "ANALYZE TABLE d.t",
        "OPTIMIZE TABLE d.t",
        "ALTER TABLE e.like_t ENGINE = InnoDB",
    ),
    (
        "USE d",
        "SET @every = 5, @start = '2036-01-01', @days = 2.5",
        "CREATE VIEW dice AS SELECT RAND() AS thrown",
        "CREATE EVENT thrown ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01' + INTERVAL FLOOR(RAND() * 1000000) SECOND DISABLE DO DELETE FROM t",
        "CREATE EVENT chosen ON SCHEDULE EVERY @every DAY STARTS @start + INTERVAL @days DAY DISABLE DO DELETE FROM t",
    ),
    (
        "CREATE USER one@localhost IDENTIFIED BY 'first', two@'%' IDENTIFIED BY 'second'",
        "GRANT SELECT, INSERT (v) ON d.t TO one@localhost",
        "GRANT ALL ON e.* TO two@'%' WITH GRANT OPTION",
        "ALTER USER two@'%' IDENTIFIED BY 'third'",
        "CREATE ROLE r",
        "GRANT r TO one@localhost",
        "GRANT CREATE VIEW ON e.* TO r",
        "REVOKE INSERT (v) ON d.t FROM one@localhost",
        "RENAME USER one@localhost TO uno@localhost",
        "SET DEFAULT ROLE r {for} uno@localhost",
    ),
    ("ALTER VIEW d.v AS SELECT 1 AS one", "DROP FUNCTION d.f", "DROP TRIGGER d.tr", "ALTER EVENT d.ev COMMENT 'x'"),
)


def dictionary(number):
    """All that is defined on a server, by name."""
    connection = server(number)
    found = {}

    def note(kind, rows):
        for row in rows:
            found[(kind, *row[:2])] = row[2:]

    own = f"NOT IN {OWN_SCHEMAS}"
    note("database", run(connection, f"SELECT schema_name, '', default_character_set_name, default_collation_name "
         f"FROM information_schema.schemata WHERE schema_name {own}"))
    note("routine", run(connection, f"SELECT routine_schema, routine_name, routine_definition, definer, sql_mode, {CHARACTER_SETS} "
         f"FROM information_schema.routines WHERE routine_schema {own}"))
    note("trigger", run(connection, f"SELECT trigger_schema, trigger_name, action_statement, definer, sql_mode, {CHARACTER_SETS} "
         f"FROM information_schema.triggers WHERE trigger_schema {own}"))
    note("event", run(connection, f"SELECT event_schema, event_name, event_definition, definer, time_zone, starts, interval_value, "
         f"event_comment, {CHARACTER_SETS} FROM information_schema.events WHERE event_schema {own}"))
    note("view", run(connection, f"SELECT table_schema, table_name, view_definition, definer, character_set_client, collation_connection "
         f"FROM information_schema.views WHERE table_schema {own}"))
    for schema, table in run(connection, f"SELECT table_schema, table_name FROM information_schema.tables "
                             f"WHERE table_schema {own}"):
        create = run(connection, f"SHOW CREATE TABLE `{schema}`.`{table}`")[0][1]
        # MySQL also tells whether a column's collation was named when the table was made, which it does not log.
        found[("table", schema, table)] = re.sub(r" AUTO_INCREMENT=\d+| COLLATE latin1_swedish_ci", "", create)
    for user, host, *secret in run(connection, "SELECT user, host, plugin, authentication_string FROM mysql.user"):
        if user not in ("root", "mariadb.sys") and not user.startswith("mysql."):
            name = f"'{user}'@'{host}'" if host else f"'{user}'"
            found[("account", user, host)] = secret, run(connection, f"SHOW GRANTS FOR {name}")
    return found


def expect_same_definitions():
    first, *others = map(dictionary, NODES)
    for other in others:
        for key in sorted(first.keys() | other.keys()):
            if first.get(key) != other.get(key):
                sys.exit(f"FAILED: {key}: {first.get(key)!r} and {other.get(key)!r}")
    return len(first)


def in_collations():
    """Definitions by clients that connect with a collation that is not their character set's default one; gives their number."""
    with server(1) as connection:
        # In its greeting a client has one byte for it.
        collations = run(connection, "SELECT MAX(id), MIN(id) FROM information_schema.collations WHERE id < 256 AND is_default <> 'Yes' "
                         "AND character_set_name NOT IN ('ucs2', 'utf16', 'utf16le', 'utf32') GROUP BY character_set_name")
    numbers = sorted(set(itertools.chain(*collations)))
    for number, name in zip(numbers, itertools.cycle(NODES)):
        client = wire.Connection(PORT + name, wire.COMMON, number)
        for statement in f"CREATE TABLE e.by_{number} (v VARCHAR(9) DEFAULT 'x')", f"CREATE PROCEDURE e.says_{number}() SELECT 'x'":
            answer = client.exchange(wire.query(statement))
            assert answer[4] == 0, (number, answer)
    expect_positions(position(name))
    return 2 * len(numbers)


def kinds():
    """Definitions of every kind, on each node in turn, are on all of them afterwards, and nothing else is."""
    with server(1) as connection:
        word = "FOR" if is_mariadb(connection) else "TO"
    count = 0
    for statements, number in zip(SESSIONS, itertools.cycle(NODES)):
        with node(number, autocommit=True) as connection:
            for statement in statements:
                if isinstance(statement, str):
                    statement = statement.replace("{for}", word)
                run(connection, statement)
                count += 1
        expect_positions(position(number))
    count += in_collations()
    with node(2, autocommit=True) as connection:
        assert error_of(connection, "CREATE TABEL d.x (a INT)") == SYNTAX
        assert error_of(connection, "CREATE TABLE d.t (a INT)") == EXISTS
        # It has an effect all the same, or none: what it has is everywhere.
        assert error_of(connection, "DROP TABLE e.like_own, d.none") == UNKNOWN
        # MariaDB grants it to the first one, and logs nothing.
        assert error_of(connection, "GRANT DELETE ON d.t TO two, nobody") in (NO_SUCH_USER, CANNOT_CREATE_USER)
    with node(3, autocommit=True) as connection:
        run(connection, "PREPARE s FROM 'SELECT 1'")
        run(connection, "INSERT INTO d.t (id, v) VALUES (3, 'c')")
    two = pymysql.connect(host="127.0.0.1", port=PORT + 1, user="two", password="third", autocommit=True)
    assert error_of(two, "DROP DATABASE d") == DENIED
    run(two, "CREATE TABLE e.allowed (a INT PRIMARY KEY)", "CREATE VIEW e.w AS SELECT * FROM e.allowed")
    expect_positions(position(1))
    tables = expect_equal()
    print(f"{count} definitions: {expect_same_definitions()} things are defined alike, {tables} tables equal")


def in_the_way():
    """Who has used a table is no obstacle to its definition, on whatever node, and is told so."""
    define("DROP DATABASE IF EXISTS way", "CREATE DATABASE way", "CREATE TABLE way.t (id INT PRIMARY KEY, v INT)",
           "CREATE TABLE way.other (id INT PRIMARY KEY, v INT)")
    with node(1, autocommit=True, database="way") as connection:
        run(connection, "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)", "INSERT INTO other VALUES (1, 1)")
    expect_equal()
    rounds = 0
    for uses in ("SELECT * FROM t", "UPDATE t SET v = v + 1 WHERE id = 1", "SELECT * FROM t FOR UPDATE"):
        for held, changed in itertools.product(NODES, NODES):
            holder = node(held, database="way")
            run(holder, uses)
            start = time.time()
            define(f"ALTER TABLE way.t ADD COLUMN c{rounds} INT", number=changed)
            took = time.time() - start
            assert error_of(holder, "SELECT 1") == DEADLOCK, (uses, held, changed)
            run(holder, "SELECT * FROM t")
            holder.close()
            assert took < 5, took
            rounds += 1
    print(f"{rounds} transactions in the way of a definition were told")


def meanwhile():
    """What commits while a definition of something else runs waits for it, however long, and is not lost."""
    waited = []

    def client(number):
        with node(number, database="way") as connection:
            run(connection, f"INSERT INTO other VALUES ({100 + number}, 0)")
            time.sleep(0.5)
            start = time.time()
            connection.commit()
            waited.append(time.time() - start)

    def definer():
        time.sleep(0.2)
        define("CREATE TABLE way.slow AS SELECT SLEEP(12) s", number=2)

    at_once(12, definer, *(functools.partial(client, number) for number in NODES))
    expect_equal()
    assert min(waited) > 10, waited
    print(f"{len(waited)} commits waited for a definition of another table, {max(waited):.1f} s, and came through")


def dropped(rounds):
    """A database is dropped under those who commit to one of its tables: neither waits for the other for ever."""
    outcomes = {}

    def write(number, over):
        while not over.is_set():
            try:
                with node(number, database="gone", autocommit=True, read_timeout=30) as connection:
                    while True:
                        run(connection, f"INSERT INTO t{random.randrange(4)} VALUES ()")
                        outcomes["done"] = outcomes.get("done", 0) + 1
            except pymysql.err.MySQLError as error:
                outcomes[error.args[0]] = outcomes.get(error.args[0], 0) + 1
                # There is no such database or table, or it is gone before the transaction is over.
                if error.args[0] not in (1049, 1146, 1412, DEADLOCK):
                    raise
                time.sleep(0.02)

    def drop(over):
        try:
            for _ in range(int(rounds)):
                with node(1, autocommit=True, read_timeout=30) as connection:
                    run(connection, "CREATE DATABASE gone", *(f"CREATE TABLE gone.t{n} (id INT AUTO_INCREMENT PRIMARY KEY)" for n in range(4)))
                    enough = outcomes.get("done", 0) + random.randrange(30)
                    while outcomes.get("done", 0) < enough:
                        time.sleep(0.001)
                    run(connection, "DROP DATABASE gone")
        finally:
            over.set()

    over = threading.Event()
    at_once(int(rounds) * 5, functools.partial(drop, over), *(functools.partial(write, number, over) for number in NODES * 2))
    expect_positions(position(1))
    expect_same_definitions()
    print(f"{rounds} databases dropped under those who wrote: {outcomes}")


def storm(seconds):
    """Tables change their definition while nine clients write to them."""
    define("DROP DATABASE IF EXISTS storm", "CREATE DATABASE storm")
    for n in range(3):
        define(f"CREATE TABLE storm.t{n} (id INT PRIMARY KEY, v INT)")
    end = time.time() + float(seconds)
    counts = {"commits": 0, "losses": 0, "definitions": 0}
    columns = (1054, 1136, 1412)  # the column is not there, or more are; the table has changed since the snapshot

    def client(action, number):
        with node(number, database="storm") as connection:
            while time.time() < end:
                action(connection)

    def write(connection):
        try:
            for _ in range(2):
                key = random.randrange(50)
                run(connection, f"INSERT INTO t{random.randrange(3)} (id, v) VALUES ({key}, 1) "
                    f"ON DUPLICATE KEY UPDATE v = v + 1")
            connection.commit()
            counts["commits"] += 1
        except pymysql.err.MySQLError as error:
            if error.args[0] not in (DEADLOCK, *columns):
                raise
            connection.rollback()
            counts["losses"] += 1

    def change(connection):
        table = f"t{random.randrange(3)}"
        statement = random.choice((
            f"ALTER TABLE {table} ADD COLUMN x INT DEFAULT 5",
            f"ALTER TABLE {table} DROP COLUMN x",
            f"CREATE INDEX i ON {table} (v)",
            f"DROP INDEX i ON {table}",
            f"TRUNCATE {table}",
        ))
        try:
            run(connection, statement)
            counts["definitions"] += 1
        except pymysql.err.MySQLError as error:
            # It is there already, or not there; or this is what another one's definition says.
            if error.args[0] not in (1060, 1061, 1091, DEADLOCK):
                raise
        time.sleep(random.random())

    writers = [functools.partial(client, write, number) for number in NODES * 3]
    definers = [functools.partial(client, change, number) for number in NODES]
    at_once(seconds, *writers, *definers)
    expect_equal()
    expect_same_definitions()
    print(f"{counts} in {seconds} s, and all is the same everywhere")


def crashes(rounds, box, *sandbox):
    """A node, its server or both, or all at once are killed while they run a definition: all come to the same."""
    define("DROP DATABASE IF EXISTS crash", "CREATE DATABASE crash", "CREATE TABLE crash.a (x INT PRIMARY KEY)",
           "CREATE USER of_crash IDENTIFIED BY 'secret'",
           "CREATE TABLE crash.b (y INT PRIMARY KEY)", "CREATE TABLE crash.t (id INT PRIMARY KEY, v INT)")
    with node(1, autocommit=True) as connection:
        run(connection, f"INSERT INTO crash.t VALUES {', '.join(f'({n}, {n})' for n in range(2000))}")
    expect_equal()
    outcomes, done = {}, set()

    def issue(number, statement):
        try:
            with node(number, autocommit=True, database="crash") as connection:
                run(connection, statement)
            outcomes["done"] = outcomes.get("done", 0) + 1
            done.add(statement)
        except pymysql.err.MySQLError as error:
            outcomes[error.args[0]] = outcomes.get(error.args[0], 0) + 1

    for n in range(int(rounds)):
        origin, victim = random.choice(NODES), random.choice(NODES)
        victims, processes = random.choice((
            ([victim], ["trireme"]), ([victim], ["server"]), ([victim], ["trireme", "server"]),
            (NODES, ["trireme", "server"]),
        ))
        # Most of them do not the same when they run twice. With what is there when it has run, if one row tells.
        statement, there = random.choice((
            ("RENAME TABLE a TO c, b TO a, c TO b", None),
            ("ALTER TABLE t ADD INDEX (v)", None),
            (f"CREATE TABLE made{n} AS SELECT id, RAND() r FROM t",
             f"SELECT 1 FROM information_schema.tables WHERE table_name = 'made{n}'"),
            (f"ALTER TABLE t ADD COLUMN c{n} INT DEFAULT {n}",
             f"SELECT 1 FROM information_schema.columns WHERE table_name = 't' AND column_name = 'c{n}'"),
            (f"CREATE USER of_crash{n} IDENTIFIED BY 'secret'", f"SELECT 1 FROM mysql.user WHERE user = 'of_crash{n}'"),
            (f"ALTER USER of_crash IDENTIFIED BY 'secret{n}'", None),
        ))
        thread = threading.Thread(target=issue, args=(origin, statement))
        thread.start()
        time.sleep(random.random() * 0.05)
        kill(*[f"{box}/node{victim}/{process}.pid" for victim in victims for process in processes])
        start_again(sandbox)
        thread.join(30)
        if thread.is_alive():
            sys.exit(f"FAILED: {statement} on node {origin} does not end after {processes} of {victims} were killed")
        with node(origin, autocommit=True) as connection:
            run(connection, f"CREATE TABLE crash.after{n} (x INT)")
        expect_positions(position(origin))
        expect_same_definitions()
        if there and statement in done:
            with server(1) as connection:
                assert run(connection, there), f"{statement} was acknowledged, and is gone"
    expect_equal()
    print(f"{rounds} crashes while something was defined ({outcomes}), and all is the same everywhere")


def binlog(number, box):
    """The file that a server's binlog grows in."""
    with server(number) as connection:
        show = "SHOW MASTER STATUS" if is_mariadb(connection) else "SHOW BINARY LOG STATUS"
        return f"{box}/node{number}/data/{run(connection, show)[0][0]}"


def is_mariadb(connection):
    return "MariaDB" in run(connection, "SELECT VERSION()")[0][0]


def logged(box, *sandbox):
    """Tables are made with rows in them, and a node, its server or both killed as soon as that is in the binlog: MariaDB may
    start again without the table, and the log with it."""
    define("DROP DATABASE IF EXISTS logged", "CREATE DATABASE logged", "CREATE TABLE logged.t (id INT PRIMARY KEY, v INT)",
           "CREATE TABLE logged.old (v INT)")
    with node(1, autocommit=True, database="logged") as connection:
        run(connection, f"INSERT INTO t VALUES {', '.join(f'({n}, {n})' for n in range(2000))}", "INSERT INTO old VALUES (1)")
        statements = ["CREATE TABLE new{} AS SELECT * FROM t", "CREATE TABLE IF NOT EXISTS new{} AS SELECT * FROM t"]
        if is_mariadb(connection):
            statements.append("CREATE OR REPLACE TABLE old AS SELECT id, v, {} n FROM t")
    expect_equal()
    rounds = 0
    for statement, processes in itertools.product(statements, (["server"], ["trireme", "server"], ["trireme"])):
        rounds += 1
        number = random.choice(NODES)
        acknowledged = []

        def issue(number=number, statement=statement.format(rounds), acknowledged=acknowledged):
            try:
                with node(number, autocommit=True, database="logged") as connection:
                    run(connection, statement)
                acknowledged.append(True)
            except pymysql.err.MySQLError:
                pass

        with open(binlog(number, box), "rb") as file:
            before = os.fstat(file.fileno()).st_size
            thread = threading.Thread(target=issue, daemon=True)
            thread.start()
            while os.fstat(file.fileno()).st_size < before + 15000 and thread.is_alive():
                pass
        kill(*[f"{box}/node{number}/{process}.pid" for process in processes])
        start_again(sandbox)
        thread.join(30)
        assert not thread.is_alive(), f"{statement} does not end after {processes} were killed"
        with node(number, autocommit=True, database="logged") as connection:
            run(connection, f"CREATE TABLE after{rounds} (x INT)")
        expect_positions(position(number))
        expect_same_definitions()
        expect_equal()
        if acknowledged:
            with server(3) as connection:
                run(connection, f"SELECT {'n' if 'old' in statement else 'v'} FROM logged.{'old' if 'old' in statement else f'new{rounds}'}")
    print(f"{rounds} tables were made with rows, and processes killed when that was logged, and all is the same everywhere")


def void(case, number, slow, lose):
    """Has a node begin a definition, and another to wait behind it, then lose the node. Gives the node's two sessions,
    when they have ended, and how long the last node's commit took."""
    told = []

    def issue(statement):
        try:
            with node(number, autocommit=True, database="lost") as connection:
                run(connection, statement)
            told.append("done")
        except pymysql.err.MySQLError as error:
            told.append(error.args[0])

    # Without rows: what MariaDB makes with rows can be undone when it starts again.
    statements = (f"CREATE TABLE of_{case} AS SELECT 1 s FROM DUAL WHERE SLEEP({slow})", f"CREATE TABLE behind_{case} (x INT)")
    sessions = [threading.Thread(target=issue, args=(statement,), daemon=True) for statement in statements]
    for session in sessions:
        session.start()
        time.sleep(0.5)
    lose()
    start = time.time()
    with node(3, autocommit=True, database="lost") as connection:
        run(connection, f"INSERT INTO t VALUES ('{case}')")
        took = time.time() - start
        run(connection, f"CREATE TABLE after_{case} (x INT)")
    return sessions, told, took


def expect_void(box, number, pid):
    """A node has defined what the others know nothing of: it stops, and says why."""
    deadline = time.time() + 20
    while runs(pid):
        if time.time() > deadline:
            sys.exit(f"FAILED: node {number} goes on")
        time.sleep(0.05)
    log = f"{box}/node{number}/trireme.log"
    with open(log) as file:
        assert VOID in file.read(), f"{log} does not say why node {number} has ended"


def lost(cases, box, *sandbox):
    """A node that is lost within a definition is not waited for, and does not go on with data of its own."""
    define("DROP DATABASE IF EXISTS lost", "CREATE DATABASE lost", "CREATE TABLE lost.t (name VARCHAR(9) PRIMARY KEY)")
    waited = []

    def lose_all():
        kill(f"{box}/node1/trireme.pid")
        kill(f"{box}/node1/server.pid")

    sessions, told, took = void("killed", 1, 60, lose_all)
    for session in sessions:
        session.join(5)
    assert told == [2013, 2013], told
    waited.append(took)
    start_again(sandbox)
    with node(1, autocommit=True) as connection:
        run(connection, "CREATE TABLE lost.back (x INT)")
    expect_positions(position(1))
    expect_equal()
    expect_same_definitions()

    expected = {"t", "back", "after_killed"}
    for case in cases.split(","):
        number, process = {"frozen": (1, "trireme"), "alone": (2, "server")}[case]
        ended, frozen = (pid_of(f"{box}/node{number}/{kind}.pid") for kind in ("trireme", process))
        sessions, told, took = void(case, number, 3, lambda: os.kill(frozen, signal.SIGSTOP))
        waited.append(took)
        os.kill(frozen, signal.SIGCONT)
        for session in sessions:
            session.join(20)
        assert len(told) == 2 and "done" not in told, told
        expect_void(box, number, ended)
        expected.add(f"after_{case}")
    started = subprocess.run(sandbox, capture_output=True, text=True, timeout=60)
    assert started.returncode and VOID in started.stderr, started
    names = {name for schema, name in tables_of(server(3)) if schema == "lost"}
    assert names == expected, names
    assert min(waited) > 8, f"{waited}: a node that lives must be waited for"
    waited = ", ".join(f"{took:.1f} s" for took in waited)
    print(f"nodes lost within a definition were waited for {waited}, and no longer")


PARTS = {
    "kinds": kinds, "in_the_way": in_the_way, "meanwhile": meanwhile, "storm": storm, "crashes": crashes, "logged": logged,
    "lost": lost, "events": events, "dropped": dropped,
    "phases": functools.partial(phases, expect_same_definitions),
}
PARTS[sys.argv[2]](*sys.argv[3:])
