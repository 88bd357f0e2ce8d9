"""What the clients do, what they were told, and what must therefore be true at the end.

A transaction has committed, has failed, or nobody knows: its session was lost, or its outcome is
undecided, while it was committing.
"""

import json
import random
import threading
from collections import Counter

import pymysql

from cluster import node, run

OK, FAIL, INFO = "ok", "fail", "info"
UNDECIDED = 1180
# What a client may be told before COMMIT, and by COMMIT of a transaction that has changed nothing: deadlock, lock
# wait timeout, no majority or no server, interrupted, duplicate, no such parent.
REFUSALS = {1213, 1205, 1047, 1317, 1062, 1452}
# The server or its node goes down, or is not there: 0 and the numbers from 2000 on are the client's own.
LOST = {0, 1053, 1927, 2003, 2006, 2013}

ACCOUNTS, BALANCE = 10, 100
TOTAL = ACCOUNTS * BALANCE
KEYS = 6
CHILDREN = 3

TABLES = [
    "CREATE TABLE bank (id INT PRIMARY KEY, balance INT)",
    f"INSERT INTO bank VALUES {', '.join(f'({id}, {BALANCE})' for id in range(ACCOUNTS))}",
    "CREATE TABLE counter (id INT, v INT)",
    "INSERT INTO counter VALUES (1, 0), (2, 0)",
    "CREATE TABLE uniq (id BIGINT PRIMARY KEY, u INT, UNIQUE (u))",
    "CREATE TABLE register (id INT PRIMARY KEY, v BIGINT)",
    f"INSERT INTO register VALUES {', '.join(f'({id}, 0)' for id in range(KEYS))}",
    "CREATE TABLE parent (id BIGINT PRIMARY KEY)",
    "CREATE TABLE child (id BIGINT PRIMARY KEY, p BIGINT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
    "CREATE TABLE lists (k INT PRIMARY KEY, v LONGTEXT)",
    "CREATE TABLE locked_lists (k INT PRIMARY KEY, v LONGTEXT)",
]


class History:
    """List-append transactions, as `adya` reads them."""

    def __init__(self):
        self.lock = threading.Lock()
        self.lines = []

    def add(self, process, kind, value, error=None):
        with self.lock:
            line = {"index": len(self.lines), "type": kind, "process": process, "value": value}
            self.lines.append(line if error is None else line | {"error": error})

    def write(self, path):
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines))


class Everything:
    """What all clients were told."""

    def __init__(self):
        self.lock = threading.Lock()
        self.serial = 0
        self.errors = Counter()
        self.outcomes = Counter()
        self.wrong = []
        # (what was done, its outcome), by workload.
        self.done = {name: [] for name in ("counter", "uniq", "register", "born", "dead")}
        self.histories = {"lists": History(), "locked_lists": History()}

    def next(self):
        with self.lock:
            self.serial += 1
            return self.serial


class Client:
    def __init__(self, number, at, seed, everything):
        self.number = number
        self.random = random.Random(f"{seed} {at}")
        self.all = everything
        self.process = at
        self.connection = None
        # Of the last transaction, and when it came, if it has failed.
        self.error = None

    def connect(self):
        if self.connection is None:
            self.connection = node(self.number, database="nemesis", autocommit=True, connect_timeout=2, read_timeout=5)

    def transaction(self, body):
        """Runs a transaction; gives its outcome."""
        is_committing = False
        self.error = None
        try:
            self.connect()
            run(self.connection, "BEGIN")
            body(lambda *statements: run(self.connection, *statements))
            is_committing = True
            run(self.connection, "COMMIT")
            outcome = OK
        except (pymysql.err.MySQLError, OSError) as error:
            number = error.args[0] if isinstance(error, pymysql.err.MySQLError) else 0
            self.all.errors[number] += 1
            self.error = f"{'COMMIT' if is_committing else 'before COMMIT'}: {error!r}"
            if number not in REFUSALS | LOST | {UNDECIDED}:
                self.all.wrong.append(f"node {self.number}: {error!r}")
            is_unknown = is_committing and number not in REFUSALS
            outcome = INFO if is_unknown else FAIL
            if number in REFUSALS and self.connection is not None:
                self.roll_back()
            else:
                self.drop()
        self.all.outcomes[outcome] += 1
        return outcome

    def roll_back(self):
        try:
            self.connection.rollback()
        except (pymysql.err.MySQLError, OSError):
            self.drop()

    def drop(self):
        if self.connection is not None:
            self.connection._force_close()
        self.connection = None

    def transfer(self):
        source, target = self.random.sample(range(ACCOUNTS), 2)

        def body(sql):
            for account in sorted((source, target)):
                sql(f"SELECT balance FROM bank WHERE id = {account} FOR UPDATE")
            sql(f"UPDATE bank SET balance = balance - 1 WHERE id = {source}")
            sql(f"UPDATE bank SET balance = balance + 1 WHERE id = {target}")

        self.transaction(body)

    def look(self):
        """What has committed is whole, whenever one looks."""

        def body(sql):
            total = sql("SELECT SUM(balance) FROM bank")[0][0]
            if total != TOTAL:
                self.all.wrong.append(f"node {self.number}: the bank has {total}")
            torn = sql(
                "SELECT parent.id, COUNT(child.id) FROM parent LEFT JOIN child ON child.p = parent.id"
                f" GROUP BY parent.id HAVING COUNT(child.id) <> {CHILDREN}"
            )
            if torn:
                self.all.wrong.append(f"node {self.number}: families that are not whole: {torn}")

        self.transaction(body)

    def count(self):
        id = self.random.choice((1, 2))
        outcome = self.transaction(lambda sql: sql(f"UPDATE counter SET v = v + 1 WHERE id = {id}"))
        self.all.done["counter"].append((id, outcome))

    def insert_unique(self):
        # Several clients want the same value.
        id = self.all.next()
        u = id // 3
        outcome = self.transaction(lambda sql: sql(f"INSERT INTO uniq VALUES ({id}, {u})"))
        self.all.done["uniq"].append((id, outcome))

    def compare_and_set(self):
        id, new = self.random.randrange(KEYS), self.all.next()
        change = []

        def body(sql):
            old = sql(f"SELECT v FROM register WHERE id = {id}")[0][0]
            with self.connection.cursor() as cursor:
                if cursor.execute(f"UPDATE register SET v = {new} WHERE id = {id} AND v = {old}"):
                    change.append((id, old, new))

        outcome = self.transaction(body)
        if change:
            self.all.done["register"].append((change[0], outcome))

    def found(self):
        """A parent with its children appears, or goes with them."""
        if self.random.random() < 0.6:
            id = self.all.next()
            rows = ", ".join(f"({CHILDREN * id + n}, {id})" for n in range(CHILDREN))
            outcome = self.transaction(
                lambda sql: sql(f"INSERT INTO parent VALUES ({id})", f"INSERT INTO child VALUES {rows}")
            )
            self.all.done["born"].append((id, outcome))
            return
        chosen = []

        def body(sql):
            ids = sql("SELECT id FROM parent ORDER BY id DESC LIMIT 20")
            if ids:
                chosen.append(self.random.choice(ids)[0])
                sql(f"DELETE FROM parent WHERE id = {chosen[0]}")

        outcome = self.transaction(body)
        if chosen:
            self.all.done["dead"].append((chosen[0], outcome))

    def append(self):
        """Reads some lists and appends to others; `locked_lists` are read with locks."""
        table = self.random.choice(("lists", "locked_lists"))
        history = self.all.histories[table]
        lock = " FOR UPDATE" if table == "locked_lists" else ""
        level = self.random.choice(("REPEATABLE READ", "READ COMMITTED"))
        keys = [self.random.randrange(KEYS) for _ in range(self.random.randrange(1, 4))]
        intended = [
            ["append", key, self.all.next()] if self.random.random() < 0.5 else ["r", key, None] for key in keys
        ]
        done = []

        def body(sql):
            for kind, key, value in intended:
                if kind == "append":
                    sql(
                        f"INSERT INTO {table} VALUES ({key}, '{value}')"
                        f" ON DUPLICATE KEY UPDATE v = CONCAT(v, ',{value}')"
                    )
                    done.append([kind, key, value])
                else:
                    rows = sql(f"SELECT v FROM {table} WHERE k = {key}{lock}")
                    done.append([kind, key, [int(v) for v in rows[0][0].split(",")] if rows else []])

        try:
            self.connect()
            run(self.connection, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
        except (pymysql.err.MySQLError, OSError):
            return self.drop()
        history.add(self.process, "invoke", intended)
        outcome = self.transaction(body)
        history.add(self.process, outcome, done if outcome == OK else intended, self.error)
        if outcome == INFO:
            # Of a process whose last operation is unknown nothing is known any more.
            self.process += 1000

    def step(self):
        kinds = (self.transfer, self.look, self.count, self.insert_unique, self.compare_and_set, self.found,
                 self.append, self.append)
        self.random.choice(kinds)()
