"""Random sequences of statements, as a session would send them. A step is a kind and what belongs to it."""

TABLES = """
CREATE TABLE a (id INT PRIMARY KEY AUTO_INCREMENT, k INT UNIQUE, v VARCHAR(20), n INT NOT NULL DEFAULT 7, KEY (n));
CREATE TABLE b (x INT, y VARCHAR(10), d DECIMAL(12,3), t TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, PRIMARY KEY (x, y));
CREATE TABLE child (id INT PRIMARY KEY, a_id INT, FOREIGN KEY (a_id) REFERENCES a (k) ON DELETE CASCADE ON UPDATE SET NULL);
CREATE TABLE noted (id INT PRIMARY KEY AUTO_INCREMENT, what VARCHAR(60));
CREATE TABLE parts (id INT PRIMARY KEY, v INT) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (5), PARTITION p1 VALUES LESS THAN (20));
CREATE TABLE made (id INT PRIMARY KEY, v INT, double_v INT AS (v * 2) STORED, virtual_v INT AS (v + 1) VIRTUAL, KEY (virtual_v));
CREATE VIEW seen AS SELECT id, k, v FROM a WHERE k > 2 WITH CHECK OPTION;
CREATE TRIGGER note_insert AFTER INSERT ON a FOR EACH ROW INSERT INTO noted (what) VALUES (CONCAT('insert ', NEW.k));
CREATE TRIGGER note_update BEFORE UPDATE ON b FOR EACH ROW SET NEW.y = LOWER(NEW.y), @triggered = COALESCE(@triggered, 0) + OLD.x;
CREATE FUNCTION counted() RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM a);
CREATE FUNCTION writes(i INT) RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO noted (what) VALUES (CONCAT('function ', i)); RETURN i * 2; END;
CREATE PROCEDURE lists() SELECT id, k, v FROM a ORDER BY id;
CREATE PROCEDURE changes(i INT, OUT o INT) BEGIN UPDATE a SET n = n + i; SET o = ROW_COUNT(); SELECT o; INSERT INTO parts VALUES (i, i); END;
CREATE PROCEDURE handles(i INT) BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION SELECT 'handled'; INSERT INTO a (id, k) VALUES (i, i), (i, i); END;
CREATE PROCEDURE raises() SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'signalled', MYSQL_ERRNO = 31000
""".strip().split(";\n")
NAMES = ["a", "b", "child", "noted", "parts", "made"]
KEYS = {"a": "id", "b": "x, y", "child": "id", "noted": "id", "parts": "id", "made": "id"}
# What a client asks after a statement.
AFTER = ["SELECT ROW_COUNT()", "SELECT FOUND_ROWS()", "SELECT LAST_INSERT_ID()", "SELECT @@autocommit", "SELECT @triggered", "SELECT @n, @r", "SELECT @s, @m",
         "SELECT ROW_COUNT(), FOUND_ROWS(), LAST_INSERT_ID()", "SELECT @@last_insert_id, @@identity"]
# And of its warnings. MariaDB keeps them while statements name no tables; a node keeps them for one statement.
CONDITIONS = ["SHOW WARNINGS", "SHOW ERRORS", "SHOW WARNINGS LIMIT 1", "SHOW COUNT(*) WARNINGS", "SELECT @@warning_count, @@error_count",
              "SELECT ROW_COUNT(), @@error_count", "GET DIAGNOSTICS @n = NUMBER, @r = ROW_COUNT", "GET DIAGNOSTICS CONDITION 1 @s = MYSQL_ERRNO, @m = MESSAGE_TEXT"]
# Sequences that a node once answered otherwise than its server.
# In rows of parameters MariaDB runs nothing that ends a transaction, or begins one.
FOUND_IN_BULK = [("query", "SET autocommit = 0"), ("query", "INSERT INTO b (x, y) VALUES (1, 'a')"), *[
    step for text in ("COMMIT", "ROLLBACK", "BEGIN", "SELECT ?", "CREATE TABLE bulky (id INT PRIMARY KEY)") for step in (("prepare", 1, text), ("bulk", 1, [("1",), ("2",)]))],
    ("prepare", 1, "INSERT INTO b (x, y) VALUES (?, ?)"), ("bulk", 1, [("2", "b"), ("3", "c")]), ("query", "ROLLBACK"), ("bulk", 1, [("4", "d"), ("5", "e"), ("4", "d")]), ("query", "SELECT ROW_COUNT()", "COMMIT"), ("query", "SELECT x, y FROM b ORDER BY x")]
FOUND = [
    # On MySQL a transaction that follows another by BEGIN is read only, or not, as that one was.
    ["SET TRANSACTION READ ONLY", "BEGIN", "BEGIN", "SELECT COUNT(*) FROM a", "COMMIT", "BEGIN", "COMMIT"],
    ["BEGIN", "SET SESSION TRANSACTION READ ONLY", "BEGIN", "SELECT COUNT(*) FROM a", "INSERT INTO a (k) VALUES (1)", "COMMIT", "BEGIN"],
    ["SET SESSION TRANSACTION READ ONLY", "START TRANSACTION READ WRITE", "BEGIN", "INSERT INTO a (k) VALUES (2)", "COMMIT", "BEGIN", "DELETE FROM a"],
    ["SET autocommit = 0", "SET TRANSACTION READ ONLY", "SELECT COUNT(*) FROM a", "BEGIN", "SELECT COUNT(*) FROM a", "COMMIT", "DELETE FROM b", "BEGIN"],
    # A statement that is refused there does not begin the transaction.
    ["SET TRANSACTION READ ONLY", "DELETE FROM a", "DELETE FROM a", "SELECT COUNT(*) FROM a", "DELETE FROM a WHERE id = 9"],
    ["SET autocommit = 0", "START TRANSACTION READ ONLY", "SET autocommit = 1", "DELETE FROM a", "SHOW ERRORS", "DELETE FROM a", "BEGIN", "COMMIT", "DELETE FROM b"],
    ["SET autocommit = 0", "START TRANSACTION READ ONLY", "SET autocommit = 1", "EXECUTE nowhere", "DELETE FROM b"],
    # So does one that ends nothing and chains.
    ["SET TRANSACTION READ ONLY", "COMMIT AND CHAIN", "DELETE FROM a", "ROLLBACK AND CHAIN", "COMMIT", "DELETE FROM b"],
    ["SET autocommit = 0", "START TRANSACTION READ ONLY", "SET autocommit = 1", "COMMIT AND CHAIN", "DELETE FROM b", "COMMIT"],
    # What the node's own statements meet or find does not come to the client.
    ["SET SESSION TRANSACTION READ ONLY", "UPDATE a SET n = 1", "SELECT counted() FROM b; GET DIAGNOSTICS CONDITION 1 @s = MYSQL_ERRNO, @m = MESSAGE_TEXT", "SELECT @s, @m"],
    ["REPLACE INTO b (x, y) VALUES (1, 1), (2, 2), (3, 3)", "SELECT * FROM b; START TRANSACTION WITH CONSISTENT SNAPSHOT; SELECT FOUND_ROWS(), ROW_COUNT()", "COMMIT"],
]


class Writer:
    """Writes statements at random."""

    def __init__(self, random, is_mariadb):
        self.random, self.is_mariadb = random, is_mariadb
        self.kinds = [(self.insert, 10), (self.update, 9), (self.delete, 5), (self.select, 8), (self.plain, 2), (self.transaction, 16), (self.setting, 4),
                      (self.routine, 4), (self.temporary, 3), (self.several, 4), (self.definition, 1), (self.wrong, 2), (self.after, 10),
                      (self.in_sql, 3), (self.lock, 2)]

    def begin(self):
        """Begins a sequence. One that has programs does not turn autocommit off: a program that comes to no table starts no transaction
        then, which a node cannot know."""
        self.has_programs = self.random.random() < 0.5
        self.unwanted = [] if self.has_programs else [self.routine, self.in_sql]
        # On MySQL a transaction that follows another at once takes no warning of its temporary tables with it, nor does one that a temporary
        # table has begun, with autocommit off.
        self.chains = self.is_mariadb or self.random.random() < 0.5
        if not self.is_mariadb and (self.chains or not self.has_programs):
            self.unwanted.append(self.temporary)
        # After a CALL a node knows no more what the session's statements prepared in SQL are, and lets none define or commit anything.
        self.calls = self.random.random() < 0.5
        # Of an error a node counts what the session keeps.
        self.keeps_few = self.random.random() < 0.5
        self.with_cursor = {}
        # Servers give up what a session has left a moment after its end.
        self.locks = [f"lock {self.random.randint(0, 1 << 30)}" for _ in range(2)]

    def opening(self):
        """How a sequence begins: half of those that may turn autocommit off do so."""
        if self.has_programs or self.random.random() < 0.5:
            return []
        return [("query", "SET autocommit = 0"), *([("query", "SAVEPOINT s1")] if self.random.random() < 0.3 else [])]

    def of(self, *choices):
        if self.has_programs:
            choices = [choice for choice in choices if choice not in ("SET autocommit = 0", "SET autocommit = ?")]
        if not self.chains:
            choices = [choice for choice in choices if not str(choice).endswith(" CHAIN") or choice.endswith("NO CHAIN")]
        return self.random.choice(choices)

    def on_mariadb(self, *statements):
        return statements if self.is_mariadb else ()

    def number(self):
        return self.of("NULL", "0", "-1", "'7'", "99999999999", "'x'", *map(str, range(1, 19)))

    def small(self):
        return str(self.random.randint(1, 18))

    def text(self):
        return self.of("NULL", "''", "'a'", "'B'", "'été'", "'a long text that does not fit'", "7", "x'00ff'")

    def where(self, column="id", order=""):
        """In an order, if the outcome depends on it: it must not depend on the server's plan."""
        condition, limit = self.of(("", ""), (f" WHERE {column} = {self.small()}", ""), (f" WHERE {column} > {self.small()}", ""), (f" WHERE {column} IS NULL" if self.is_mariadb else "", ""),
                                   (f" WHERE {column} IN ({self.small()}, {self.small()})", ""), (f" WHERE {column} = {self.small()}", " LIMIT 1"))
        return condition + (f" ORDER BY {order}" if order else "") + limit

    def insert(self):
        s, n, t = self.small, self.number, self.text
        how = self.of("INSERT", "INSERT", "INSERT IGNORE", "REPLACE")
        if self.random.random() < 0.15 and self.is_mariadb:
            return f"{self.of('INSERT', 'REPLACE')} INTO a (k, v) VALUES ({n()}, {t()}), ({n()}, {t()}) RETURNING id, k, v"
        return self.of(
            f"{how} INTO a (k, v) VALUES ({n()}, {t()})", f"{how} INTO a (k, v) VALUES ({n()}, {t()}), ({n()}, {t()}), ({n()}, {t()})",
            f"{how} INTO a (id, k, n) VALUES ({n()}, {n()}, {n()})", f"{how} INTO b (x, y, d) VALUES ({n()}, {t()}, {n()})",
            f"{how} INTO b SET x = {n()}, y = {t()}, d = 10 / {n()}", f"{how} INTO child VALUES ({s()}, {n()})", f"{how} INTO parts VALUES ({n()}, {s()})",
            f"{how} INTO made (id, v) VALUES ({s()}, {n()})", f"{how} INTO seen (k, v) VALUES ({s()}, {t()})",
            f"INSERT INTO a (k, v) VALUES ({n()}, {t()}) ON DUPLICATE KEY UPDATE v = 'again', n = n + 1",
            f"INSERT INTO a (id, k) VALUES ({s()}, {s()}), ({s()}, {s()}) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)",
            f"{how} INTO a (k, v) SELECT k + {s()}, v FROM a ORDER BY id", f"{how} INTO b (x, y) SELECT id, COALESCE(v, 'none') FROM a ORDER BY id",
            f"INSERT INTO parts SELECT id, writes(id) FROM a ORDER BY id LIMIT 2")

    def update(self):
        s, n, t = self.small, self.number, self.text

        def w(column="id", order="id"):
            return self.where(column, order)

        how = self.of("UPDATE", "UPDATE", "UPDATE IGNORE")
        return self.of(
            f"{how} a SET n = n + 1{w()}", f"{how} a SET k = {n()}{w()}", f"{how} a SET v = {t()}, k = k + 1{w('k')}", f"{how} a SET id = {n()}{w('k')}",
            f"{how} b SET d = d / {n()}{w('x', 'x, y')}", f"{how} b SET x = x + 1, y = {t().replace('NULL', '7')}{w('x', 'x, y')}", f"{how} child SET a_id = {n()}{w()}",
            f"{how} parts SET id = {n()}{w()}", f"{how} made SET v = {n()}{w()}", f"{how} seen SET k = {s()}{w()}",
            f"UPDATE a JOIN b ON a.k = b.x SET a.n = 1, b.d = 2 WHERE a.id > {s()}", f"UPDATE a SET k = k + 1 ORDER BY k DESC LIMIT {s()}",
            f"UPDATE a SET n = (SELECT COUNT(*) FROM b) WHERE k = {s()}")

    def delete(self):
        w = self.where
        return self.of(f"DELETE FROM a{w()}", f"DELETE FROM a{w('k')}", f"DELETE FROM b{w('x')}", f"DELETE FROM child{w()}", f"DELETE FROM parts{w()}",
                       f"DELETE FROM made{w()}", f"DELETE FROM noted WHERE id > {self.small()}", f"DELETE FROM seen{w()}",
                       f"DELETE b FROM b JOIN made ON b.x = made.id", f"DELETE FROM a ORDER BY id LIMIT {self.small()}", "DELETE FROM parts")

    def select(self):
        name = self.of(*NAMES)
        ending = self.of("", "", f" LIMIT {self.small()}", " FOR UPDATE", " LOCK IN SHARE MODE")
        return self.of(f"SELECT * FROM {name} ORDER BY {KEYS[name]}{ending}", f"SELECT COUNT(*) FROM {name}", "SELECT counted() FROM b", f"SELECT writes(x) FROM b ORDER BY x, y LIMIT 1",
                       "SELECT * FROM seen ORDER BY id", f"SELECT id, 1 / (k - {self.small()}) FROM a ORDER BY id", "SELECT SQL_CALC_FOUND_ROWS id FROM a ORDER BY id LIMIT 1",
                       f"SELECT k INTO @k FROM a WHERE id = {self.small()}", "TABLE a ORDER BY id" if not self.is_mariadb else "SELECT COUNT(*) FROM b",
                       f"(SELECT id FROM a) UNION (SELECT x FROM b) ORDER BY 1", "SHOW TABLES", "CHECK TABLE a",
                       "SELECT id, @i := COALESCE(@i, 0) + 1 FROM a ORDER BY id", "ANALYZE TABLE b", *self.on_mariadb("SHOW CREATE TABLE a"))

    def plain(self):
        return self.of("SELECT @k, @o", "SELECT 1", "DO 1", "DO writes(3)", "SELECT counted()", f"SELECT writes({self.small()})", "SELECT DATABASE(), @@sql_mode")

    def transaction(self):
        # On MySQL it may come with a warning.
        snapshot = self.on_mariadb("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        return self.of(*snapshot, "START TRANSACTION READ ONLY", "BEGIN", "START TRANSACTION", "BEGIN", "COMMIT", "COMMIT", "ROLLBACK", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "COMMIT WORK",
                       "START TRANSACTION READ WRITE", "SAVEPOINT s1",
                       "SAVEPOINT s2", "ROLLBACK TO s1", "ROLLBACK TO SAVEPOINT s2", "RELEASE SAVEPOINT s1", "SET autocommit = 0", "SET autocommit = 1",
                       "SET @@autocommit = 1", "COMMIT AND NO CHAIN NO RELEASE")

    def setting(self):
        # The transaction after a SET autocommit = 1 is still as the one that it has committed, on MariaDB after AND CHAIN.
        read_only = ["SET SESSION TRANSACTION READ ONLY"] if self.has_programs else []
        few = ["SET max_error_count = 1"] if self.keeps_few else []
        return self.of(*read_only, *few, "SET sql_mode = ''", "SET sql_mode = DEFAULT", "SET sql_mode = 'ANSI_QUOTES'", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
                       "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET SESSION TRANSACTION READ WRITE", "SET completion_type = CHAIN",
                       "SET completion_type = DEFAULT", "SET foreign_key_checks = 0", "SET foreign_key_checks = 1",
                       "SET @o = 5", "SET time_zone = '+05:00'", "SET NAMES latin1", "SET NAMES utf8mb4", "SET unique_checks = 0",
                       "SET sql_warnings = 1", "SET insert_id = 9", "SET last_insert_id = 4", "SET sql_auto_is_null = 1",
                       "SET sql_select_limit = 2", "SET sql_select_limit = DEFAULT", "SET TRANSACTION READ WRITE",
                       "SET innodb_lock_wait_timeout = 2", "SET nonsense = 1", "SET autocommit = 'maybe'")

    def routine(self):
        calls = ["CALL lists()", f"CALL changes({self.small()}, @o)", f"CALL handles({self.small()})", "CALL raises()"] if self.calls else []
        return self.of(*calls, f"SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {self.small()}000", "SIGNAL SQLSTATE '01000'")

    def temporary(self):
        return self.of("CREATE TEMPORARY TABLE IF NOT EXISTS temp (id INT PRIMARY KEY, v INT)", f"INSERT INTO temp VALUES ({self.small()}, {self.small()})",
                       "INSERT INTO parts SELECT * FROM temp ORDER BY id", "UPDATE a JOIN temp ON a.id = temp.id SET a.n = temp.v", "SELECT * FROM temp ORDER BY id",
                       "DROP TEMPORARY TABLE IF EXISTS temp", "DROP TABLE temp", "CREATE TEMPORARY TABLE temp SELECT id, k AS v FROM a",
                       "INSERT IGNORE INTO temp SELECT id, k FROM a ORDER BY id", "DELETE FROM temp", "TRUNCATE temp", "ALTER TABLE temp ADD w INT")

    def definition(self):
        return self.of("CREATE TABLE IF NOT EXISTS more (id INT PRIMARY KEY)", "DROP TABLE IF EXISTS more", "ALTER TABLE a ADD extra INT", "ALTER TABLE a DROP extra",
                       "TRUNCATE parts", "CREATE TABLE a (id INT)", "CREATE OR REPLACE VIEW seen2 AS SELECT id FROM a", "DROP VIEW IF EXISTS seen2",
                       "CREATE INDEX i ON b (d)", "DROP INDEX i ON b", "ALTER TABLE parts TRUNCATE PARTITION p1", "RENAME TABLE made TO made2", "RENAME TABLE made2 TO made",
                       "CREATE TABLE copy AS SELECT * FROM a", "DROP TABLE copy", "CREATE TABLE likeit LIKE a", "DROP TABLE likeit", "DROP TABLE child, nowhere",
                       "CREATE DATABASE IF NOT EXISTS other", "DROP DATABASE IF EXISTS other", "ALTER TABLE noted COMMENT = 'c'")

    def wrong(self):
        return self.of("SELEC 1", "SELECT * FROM nowhere", *self.on_mariadb("INSERT INTO a (nothing) VALUES (1)", "INSERT INTO a VALUES (1, 2)"), "UPDATE nowhere SET a = 1", "", "/* nothing */", "SELECT (SELECT id FROM a)",
                       "COMMIT NOW", "ROLLBACK TO nowhere", "RELEASE SAVEPOINT nowhere", "USE nowhere", "SELECT 1 FROM a a, a a", ";")

    def after(self, text=""):
        # MySQL's FOUND_ROWS() tells of statements that find nothing too, and a node reads what is in a variable that has a text.
        is_kept = self.is_mariadb and "@text" not in text
        return self.of(*(question for question in AFTER if is_kept or "FOUND_ROWS" not in question))

    def in_sql(self):
        """A statement that is prepared in text."""
        ending = [] if self.calls else ["SET @text = 'TRUNCATE parts'", "PREPARE q FROM 'COMMIT'", "PREPARE p FROM 'CREATE TABLE likeit LIKE a'"]
        return self.of("PREPARE p FROM 'UPDATE a SET n = n + ? WHERE id > ?'", "SET @p = 1, @q = 2", "EXECUTE p USING @p, @q", "DEALLOCATE PREPARE p",
                       "PREPARE q FROM 'SELECT id, k FROM a ORDER BY id'", "EXECUTE q", "PREPARE r FROM 'INSERT INTO a (k, v) VALUES (?, NULL)'", "EXECUTE r USING @p",
                       *self.on_mariadb("EXECUTE IMMEDIATE 'DELETE FROM b WHERE x = 3'", "EXECUTE IMMEDIATE @text"),
                       "SET @text = 'REPLACE INTO b (x, y) VALUES (5, 5)'", "PREPARE p FROM @text", "PREPARE q FROM @text", "EXECUTE p",
                       *ending, "PREPARE p FROM 'SELEC'")

    def lock(self):
        one, other = self.of(*self.locks), self.of(*self.locks)
        return self.of(f"SELECT GET_LOCK('{one}', 0)", f"SELECT GET_LOCK('{one}', 0) = 1, RELEASE_LOCK('{other}')", f"SELECT IS_FREE_LOCK('{one}'), IS_USED_LOCK('{other}') IS NULL",
                       f"DO RELEASE_LOCK('{one}')", "SELECT RELEASE_ALL_LOCKS()", f"SET @n = GET_LOCK(CONCAT('{one}', 'é'), 0.2), @r = IS_FREE_LOCK('{other}')",
                       f"UPDATE a SET n = GET_LOCK('{one}', 0) WHERE id = {self.small()}", "SELECT GET_LOCK(1)", "SELECT IS_USED_LOCK(NULL)", f"SELECT GET_LOCK('{one}', NULL)")

    def one(self, *but):
        kinds = [kind for kind in self.kinds if kind[0] not in (*but, *self.unwanted)]
        return self.random.choices(*zip(*kinds))[0]()

    def asked(self):
        """A statement that names tables, and what is asked of its warnings."""
        return [self.of(self.insert, self.insert, self.update, self.delete, self.select)(), self.of(*(question for question in CONDITIONS if not (self.keeps_few and "@@error_count" in question)))]

    def several(self):
        """A text of several statements."""
        parts = []
        for _ in range(self.random.randint(2, 4)):
            parts += self.asked() if self.random.random() < 0.3 else [self.one(self.several, self.wrong)]
        # The error that tells of bad syntax quotes what follows, which a node sends by itself.
        parts += [self.wrong()] * (self.random.random() < 0.1)
        if any("@text" in part for part in parts):
            parts = [part for part in parts if "FOUND_ROWS" not in part]
        return "; ".join(part for part in parts if part.strip("; ")) + self.of("", ";", " ; ")

    def step(self):
        roll = self.random.random()
        if roll < 0.15:
            return "query", *self.asked()
        if roll < 0.8:
            text = self.one()
            return "query", text, *([self.after(text)] if self.random.random() < 0.3 else [])
        if roll < 0.86:
            number = self.random.randint(1, 3)
            self.with_cursor[number] = self.random.random() < 0.2
            return "prepare", number, self.of(
                "INSERT INTO a (k, v) VALUES (?, ?)", "UPDATE a SET n = n + ? WHERE v <> ?", "SELECT id, k, ?, ? FROM a ORDER BY id", "DELETE FROM b WHERE x = ? OR y = ?",
                "REPLACE INTO b (x, y) VALUES (?, ?)", *(["CALL changes(?, @o)"] if self.calls and not self.unwanted else []), "SELEC ?", "SELECT writes(?)", "COMMIT", "BEGIN", "ROLLBACK", "SET autocommit = ?")
        parameters = (self.small(), self.small()), ("a", None), (None, self.small()), ("0", "été")
        if roll < 0.88 and self.is_mariadb:
            return "bulk", self.random.randint(1, 3), [self.of(*parameters) for _ in range(self.random.randint(1, 5))]
        if roll < 0.95:
            # MySQL gives no rows, and no end of them, without a cursor to who has had one.
            number = self.random.randint(1, 3)
            with_cursor = self.random.random() < 0.2 if self.is_mariadb else self.with_cursor.get(number, False)
            return "execute", number, with_cursor, self.of(*parameters)
        return self.of(("close", self.random.randint(1, 3)), ("reset statement", self.random.randint(1, 3)), ("reset connection",), ("ping",), ("schema", "sequences"),
                       ("schema", "nowhere"), ("long data", self.random.randint(1, 3)), ("fetch", self.random.randint(1, 3)))
