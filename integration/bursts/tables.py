"""The tables that bursts of random writes go to, and the statements that write to them.

Each statement is a function of a random generator. Values come from small sets, so that writes meet.
"""

# How many numbers statements choose from, on all tables and on few.
ROWS, FEW_ROWS = 40, 12


class Numbers:
    """How many there are now."""

    rows = ROWS


def text(random):
    return random.choice(["a", "A", "b", "\u00e9", "E", "stra\u00dfe", "STRASSE", "x ", "x", "", "long" * 9])


def number(random):
    return random.randrange(Numbers.rows)


def maybe(random, value):
    return "NULL" if random.random() < 0.25 else value


def tables(is_mariadb):
    """The statements that make them."""
    no_pad = "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_as_cs"
    functional = [] if is_mariadb else ["CREATE TABLE functional (id INT PRIMARY KEY, v INT, UNIQUE ((v % 30)))"]
    return [
        "CREATE TABLE plain (id INT PRIMARY KEY, v INT, w VARCHAR(60), KEY (v))",
        "CREATE TABLE counted (id BIGINT AUTO_INCREMENT PRIMARY KEY, v INT, UNIQUE (v))",
        f"CREATE TABLE words (a VARCHAR(40) COLLATE utf8mb4_general_ci, b VARCHAR(40) COLLATE {no_pad}, n INT,"
        " PRIMARY KEY (a, b))",
        "CREATE TABLE many (id INT PRIMARY KEY, a INT, b VARCHAR(40) COLLATE utf8mb4_unicode_ci, c TEXT,"
        " UNIQUE two (a, b), UNIQUE prefix (c(3)), KEY (b))",
        "CREATE TABLE nokey (v INT, w VARCHAR(60), KEY (v))",
        "CREATE TABLE nullable (u INT, w INT, UNIQUE (u))",
        "CREATE TABLE made (v INT, k INT AS (v * 2) STORED, h INT AS (v + 1) VIRTUAL,"
        f" {'UNIQUE' if is_mariadb else 'PRIMARY KEY'} (k), UNIQUE (h))",
        "CREATE TABLE hidden (id INT PRIMARY KEY, v INT DEFAULT 7 INVISIBLE, w INT)",
        "CREATE TABLE parts (id INT, v INT, PRIMARY KEY (id)) PARTITION BY HASH (id) PARTITIONS 4",
        "CREATE TABLE kinds (id INT PRIMARY KEY, d DATETIME(6), t TIME(3), y YEAR, n DECIMAL(20,6), f DOUBLE, b BIT(9),"
        " e ENUM('one','two','three'), s SET('x','y','z'), j JSON, l LONGBLOB, ts TIMESTAMP(6) NULL, bin BINARY(4))",
        "CREATE TABLE checked (id INT PRIMARY KEY, v INT, CONSTRAINT small CHECK (v < 30))",
        "CREATE TABLE parent (id INT PRIMARY KEY, a INT, b INT, UNIQUE two (a, b))",
        "CREATE TABLE child (id INT PRIMARY KEY, p INT, KEY (p),"
        " FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE grandchild (id INT PRIMARY KEY, c INT, v INT, KEY (c),"
        " FOREIGN KEY (c) REFERENCES child (id) ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE orphan (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE SET NULL"
        " ON UPDATE SET NULL)",
        "CREATE TABLE strict_child (id INT PRIMARY KEY, a INT, b INT, FOREIGN KEY (a, b) REFERENCES parent (a, b))",
        "CREATE TABLE tree (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES tree (id) ON DELETE CASCADE)",
        "CREATE TABLE noted (id INT PRIMARY KEY, v INT)",
        "CREATE TABLE note (id BIGINT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20), v INT)",
        "CREATE TRIGGER noted_i AFTER INSERT ON noted FOR EACH ROW INSERT INTO note (what, v) VALUES ('i', NEW.v)",
        "CREATE TRIGGER noted_u AFTER UPDATE ON noted FOR EACH ROW UPDATE plain SET v = NEW.v WHERE id = NEW.id",
        "CREATE TRIGGER noted_d BEFORE DELETE ON noted FOR EACH ROW DELETE FROM nokey WHERE v = OLD.id",
        "CREATE PROCEDURE both_of(a INT, b INT) BEGIN"
        " UPDATE plain SET v = v + 1 WHERE id = a; UPDATE plain SET v = v - 1 WHERE id = b; END",
        "CREATE FUNCTION touch(a INT) RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN"
        " UPDATE nullable SET w = w + 1 WHERE u = a; RETURN a; END",
        "CREATE VIEW seen AS SELECT id, v FROM plain WHERE v < 30",
        *functional,
    ]


# (table, column) and the key that it refers to: no row may point nowhere.
REFERENCES = [
    ("child", "p", "parent", "id"),
    ("grandchild", "c", "child", "id"),
    ("orphan", "p", "parent", "id"),
    ("tree", "up", "tree", "id"),
    ("strict_child", "a, b", "parent", "a, b"),
]


def statements(is_mariadb):
    """A list of functions; each gives a statement."""
    of = []

    def add(make):
        of.append(make)

    n, t = number, text
    add(lambda r: f"INSERT INTO plain VALUES ({n(r)}, {n(r)}, '{t(r)}')")
    add(lambda r: f"INSERT IGNORE INTO plain VALUES ({n(r)}, {n(r)}, '{t(r)}'), ({n(r)}, {n(r)}, NULL)")
    add(lambda r: f"REPLACE INTO plain VALUES ({n(r)}, {n(r)}, '{t(r)}')")
    add(lambda r: f"INSERT INTO plain VALUES ({n(r)}, 0, 'k') ON DUPLICATE KEY UPDATE v = v + 1, w = '{t(r)}'")
    add(lambda r: f"UPDATE plain SET v = {n(r)} WHERE id BETWEEN {n(r)} AND {n(r)}")
    add(lambda r: f"UPDATE plain SET id = {n(r)} WHERE id = {n(r)}")
    add(lambda r: f"UPDATE plain SET w = UUID() WHERE v = {n(r)} ORDER BY id LIMIT 2")
    add(lambda r: f"DELETE FROM plain WHERE id > {n(r)} ORDER BY id LIMIT 2")
    add(lambda r: f"UPDATE seen SET v = {n(r)} WHERE id = {n(r)}")
    add(lambda r: f"CALL both_of({n(r)}, {n(r)})")
    add(lambda r: f"INSERT INTO counted (v) VALUES ({n(r)}), ({maybe(r, n(r))})")
    add(lambda r: f"INSERT INTO counted (v) SELECT v + {n(r)} FROM plain WHERE id < 3")
    add(lambda r: f"REPLACE INTO counted (v) VALUES ({n(r)})")
    add(lambda r: f"DELETE FROM counted WHERE v = {n(r)} OR v IS NULL")
    add(lambda r: f"INSERT INTO words VALUES ('{t(r)}', '{t(r)}', {n(r)}) ON DUPLICATE KEY UPDATE n = n + 1")
    add(lambda r: f"UPDATE words SET a = '{t(r)}' WHERE b = '{t(r)}' LIMIT 1")
    add(lambda r: f"DELETE FROM words WHERE a = '{t(r)}' AND n > {n(r)}")
    add(lambda r: f"INSERT INTO many VALUES ({n(r)}, {maybe(r, n(r) % 9)}, '{t(r)}', {maybe(r, repr(t(r)))})")
    add(lambda r: f"REPLACE INTO many VALUES ({n(r)}, {maybe(r, n(r) % 9)}, '{t(r)}', {maybe(r, repr(t(r)))})")
    add(lambda r: f"UPDATE many SET b = '{t(r)}', a = {maybe(r, n(r) % 9)} WHERE id = {n(r)}")
    add(lambda r: f"UPDATE IGNORE many SET c = CONCAT(b, c) WHERE id < {n(r)}")
    add(lambda r: f"INSERT INTO nokey VALUES ({n(r)}, '{t(r)}'), ({n(r)}, NULL)")
    add(lambda r: f"UPDATE nokey SET w = '{t(r)}' WHERE v = {n(r)}")
    add(lambda r: f"UPDATE nokey SET v = {n(r)} WHERE v = {n(r)} LIMIT 1")
    add(lambda r: f"DELETE FROM nokey WHERE v = {n(r)} LIMIT 1")
    add(lambda r: f"DELETE FROM nokey WHERE v < {n(r) // 2}")
    add(lambda r: f"INSERT INTO nullable VALUES ({maybe(r, n(r))}, {n(r)})")
    add(lambda r: f"UPDATE nullable SET u = {maybe(r, n(r))} WHERE w = {n(r)} LIMIT 1")
    add(lambda r: f"DELETE FROM nullable WHERE u IS NULL OR u = {n(r)}")
    add(lambda r: f"SELECT touch({n(r)})")
    add(lambda r: f"INSERT INTO made (v) VALUES ({n(r)})")
    add(lambda r: f"UPDATE made SET v = {n(r)} WHERE v = {n(r)}")
    add(lambda r: f"REPLACE INTO made (v) VALUES ({n(r)})")
    add(lambda r: f"DELETE FROM made WHERE h = {n(r)}")
    add(lambda r: f"INSERT INTO hidden VALUES ({n(r)}, {n(r)})")
    add(lambda r: f"INSERT INTO hidden (id, v, w) VALUES ({n(r)}, {n(r)}, 1) ON DUPLICATE KEY UPDATE v = v + 1")
    add(lambda r: f"DELETE FROM hidden WHERE v = {n(r)} OR id = {n(r)}")
    add(lambda r: f"INSERT INTO parts VALUES ({n(r)}, {n(r)})")
    add(lambda r: f"UPDATE parts SET id = {n(r)} WHERE id = {n(r)}")
    add(lambda r: f"DELETE FROM parts WHERE v > {n(r)} LIMIT 3")
    add(
        lambda r: "REPLACE INTO kinds VALUES ("
        f"{n(r)}, NOW(6), '{n(r) % 24}:0:0.{n(r)}', {2000 + n(r)}, {n(r)}.{n(r)}, RAND(), {n(r)}, {1 + n(r) % 3}, {n(r) % 8},"
        f" '{{\"a\": [{n(r)}, \"{t(r)}\"]}}', REPEAT('{t(r)}', {r.choice([0, 1, 1000])}), {maybe(r, 'NOW(6)')}, 'b')"
    )
    add(lambda r: f"UPDATE kinds SET j = JSON_SET(j, '$.a', {n(r)}), e = 'two', f = f / 3 WHERE id = {n(r)}")
    add(lambda r: f"UPDATE kinds SET l = CONCAT(l, 'x'), d = d + INTERVAL {n(r)} DAY WHERE id < {n(r)} LIMIT 2")
    add(lambda r: f"DELETE FROM kinds WHERE id = {n(r)}")
    add(lambda r: f"INSERT INTO checked VALUES ({n(r)}, {n(r)})")
    add(lambda r: f"UPDATE checked SET v = v + {n(r) // 4} WHERE id = {n(r)}")
    add(lambda r: f"DELETE FROM checked WHERE id = {n(r)}")
    add(lambda r: f"INSERT INTO parent VALUES ({n(r)}, {n(r) % 9}, {n(r) % 9})")
    add(lambda r: f"INSERT IGNORE INTO parent VALUES ({n(r)}, {maybe(r, n(r) % 9)}, {n(r) % 9}), ({n(r)}, NULL, 1)")
    add(lambda r: f"UPDATE parent SET id = {n(r)} WHERE id = {n(r)}")
    add(lambda r: f"UPDATE parent SET a = {n(r) % 9} WHERE id = {n(r)}")
    add(lambda r: f"DELETE FROM parent WHERE id = {n(r)}")
    add(lambda r: f"INSERT INTO child VALUES ({n(r)}, {maybe(r, n(r))})")
    add(lambda r: f"INSERT IGNORE INTO child SELECT id, id FROM parent WHERE id > {n(r)} LIMIT 3")
    add(lambda r: f"UPDATE child SET p = {maybe(r, n(r))} WHERE id = {n(r)}")
    add(lambda r: f"UPDATE child SET id = {n(r)} WHERE id = {n(r)}")
    add(lambda r: f"DELETE FROM child WHERE p = {n(r)} OR p IS NULL")
    add(lambda r: f"INSERT INTO grandchild VALUES ({n(r)}, {maybe(r, n(r))}, {n(r)})")
    add(lambda r: f"UPDATE grandchild SET v = v + 1 WHERE c = {n(r)}")
    add(lambda r: f"DELETE FROM grandchild WHERE c = {n(r)} OR c IS NULL")
    add(lambda r: f"INSERT INTO orphan VALUES ({n(r)}, {n(r)})")
    add(lambda r: f"DELETE FROM orphan WHERE p IS NULL OR id = {n(r)}")
    add(lambda r: f"INSERT INTO strict_child VALUES ({n(r)}, {n(r) % 9}, {n(r) % 9})")
    add(lambda r: f"DELETE FROM strict_child WHERE id = {n(r)} OR a = {n(r) % 9}")
    add(lambda r: f"INSERT INTO tree VALUES ({n(r)}, {maybe(r, n(r))})")
    add(lambda r: f"UPDATE tree SET up = {maybe(r, n(r))} WHERE id >= {n(r)} ORDER BY id LIMIT 2")
    add(lambda r: f"DELETE FROM tree WHERE id = {n(r)}")
    add(lambda r: f"INSERT INTO noted VALUES ({n(r)}, {n(r)})")
    add(lambda r: f"UPDATE noted SET v = {n(r)} WHERE id = {n(r)}")
    add(lambda r: f"DELETE FROM noted WHERE id = {n(r)}")
    add(lambda r: f"DELETE FROM note WHERE v = {n(r)} LIMIT 5")
    add(lambda r: f"UPDATE plain, hidden SET plain.v = hidden.w, hidden.v = 3 WHERE plain.id = hidden.id AND hidden.w = {n(r)}")
    add(lambda r: f"DELETE plain, checked FROM plain JOIN checked USING (id) WHERE plain.id = {n(r)}")
    if not is_mariadb:
        add(lambda r: f"INSERT INTO functional VALUES ({n(r)}, {maybe(r, n(r))})")
        add(lambda r: f"UPDATE functional SET v = {n(r)} WHERE id = {n(r)}")
        add(lambda r: f"DELETE FROM functional WHERE id = {n(r)} OR v % 30 = {n(r)}")
    return of
