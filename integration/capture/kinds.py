"""Kinds of write: what transactions do to tables, for tests of what is captured of them.

`SETUP` makes the tables, in the schemas `kinds` and `other`. A kind is a transaction: its statements
run one after the other. `writes` says whether it leaves any row changes at its end; an error is
expected where `fails` is set, and the transaction goes on after it. `{file}` stands for a file of the
client's with lines "number,text".
"""

from dataclasses import dataclass, field

ALL, MARIADB, MYSQL = "all", "mariadb", "mysql"


@dataclass
class Kind:
    name: str
    statements: list = field(default_factory=list)
    writes: bool = True
    fails: bool = False
    family: str = ALL
    # What to do with the transaction: "commit", "rollback" or "disconnect".
    end: str = "commit"


SETUP = [
    "CREATE TABLE item (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40) NOT NULL DEFAULT 'x', n INT)",
    "INSERT INTO item (id, name, n) VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3), (4, 'four', 4), (5, 'five', 5)",
    "CREATE TABLE uniq (id INT PRIMARY KEY, u INT UNIQUE, v VARCHAR(20), UNIQUE KEY (v))",
    "INSERT INTO uniq VALUES (1, 1, 'a'), (2, 2, 'b'), (3, NULL, NULL)",
    "CREATE TABLE bare (a INT, b VARCHAR(10))",
    "INSERT INTO bare VALUES (1, 'a'), (1, 'a'), (2, NULL)",
    "CREATE TABLE pair (a INT, b CHAR(3), c INT, PRIMARY KEY (b, a))",
    "CREATE TABLE whole (id INT PRIMARY KEY, t1 TINYINT, t1u TINYINT UNSIGNED, t2 SMALLINT, t2u SMALLINT UNSIGNED,"
    " t3 MEDIUMINT, t3u MEDIUMINT UNSIGNED, t4 INT, t4u INT UNSIGNED, t8 BIGINT, t8u BIGINT UNSIGNED, b BOOL)",
    "CREATE TABLE fraction (id INT PRIMARY KEY, d DECIMAL(65,30), d0 DECIMAL(5,0), f FLOAT, g DOUBLE, b BIT(13), z INT(6) ZEROFILL)",
    "CREATE TABLE moment (id INT PRIMARY KEY, d DATE, t TIME, t6 TIME(6), dt DATETIME, dt3 DATETIME(3), dt6 DATETIME(6),"
    " ts TIMESTAMP NULL, ts6 TIMESTAMP(6) NULL, y YEAR)",
    "CREATE TABLE words (id INT PRIMARY KEY, c CHAR(10), v VARCHAR(300) CHARACTER SET utf8mb4, l VARCHAR(20) CHARACTER SET latin1,"
    " u VARCHAR(20) CHARACTER SET utf16, b BINARY(4), vb VARBINARY(20), e ENUM('red', 'green', 'blue'), s SET('a', 'b', 'c', 'd'))",
    "CREATE TABLE large (id INT PRIMARY KEY, tt TINYTEXT, t TEXT, mt MEDIUMTEXT, lt LONGTEXT, tb TINYBLOB, b BLOB, mb MEDIUMBLOB, lb LONGBLOB)",
    "CREATE TABLE doc (id INT PRIMARY KEY, j JSON)",
    "INSERT INTO doc VALUES (1, '{\"a\": 1, \"b\": [1, 2, {\"c\": null}]}')",
    "CREATE TABLE shape (id INT PRIMARY KEY, g GEOMETRY NOT NULL, p POINT)",
    "CREATE TABLE made (id INT PRIMARY KEY, a INT, v INT AS (a + 1) VIRTUAL, s INT AS (a * 2) STORED, KEY (v))",
    "INSERT INTO made (id, a) VALUES (1, 1)",
    "CREATE TABLE preset (id INT PRIMARY KEY, u CHAR(36) DEFAULT (UUID()), t TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6))",
    "CREATE TABLE audit (id INT PRIMARY KEY AUTO_INCREMENT, what VARCHAR(200))",
    "CREATE TABLE watched (id INT PRIMARY KEY, n INT)",
    "CREATE TRIGGER watched_bi BEFORE INSERT ON watched FOR EACH ROW SET NEW.n = NEW.n * 10",
    "CREATE TRIGGER watched_ai AFTER INSERT ON watched FOR EACH ROW INSERT INTO audit (what) VALUES (CONCAT('insert ', NEW.id, UUID()))",
    "CREATE TRIGGER watched_au AFTER UPDATE ON watched FOR EACH ROW INSERT INTO audit (what) SELECT CONCAT(OLD.n, NEW.n, name) FROM item",
    "CREATE TRIGGER watched_bd BEFORE DELETE ON watched FOR EACH ROW DELETE FROM audit LIMIT 1",
    "CREATE TABLE parent (id INT PRIMARY KEY, n INT)",
    "CREATE TABLE child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)",
    "CREATE TABLE nullable (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE SET NULL)",
    "INSERT INTO parent VALUES (1, 1), (2, 2), (3, 3)",
    "INSERT INTO child VALUES (10, 1), (11, 1), (20, 2)",
    "INSERT INTO nullable VALUES (10, 1), (30, 3)",
    "CREATE TABLE parts (id INT PRIMARY KEY, n INT) PARTITION BY HASH (id) PARTITIONS 4",
    "INSERT INTO parts VALUES (1, 1), (2, 2), (3, 3), (4, 4)",
    "CREATE VIEW small AS SELECT id, n FROM item WHERE n < 100",
    "CREATE TABLE hidden (id INT PRIMARY KEY, a INT INVISIBLE DEFAULT 7)",
    "CREATE TABLE `od``d ``näme` (`sp ace` INT PRIMARY KEY, `se``lect` INT)",
    "CREATE TABLE other.item (id INT PRIMARY KEY, name VARCHAR(40))",
    "CREATE TABLE other.done (kind INT PRIMARY KEY)",
    "CREATE TABLE plain (id INT PRIMARY KEY) ENGINE=MyISAM",
    "CREATE TABLE numbers (n INT PRIMARY KEY)",
    "INSERT INTO numbers WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 900) SELECT n FROM r",
    "CREATE PROCEDURE work (x INT) BEGIN INSERT INTO item (name, n) VALUES ('called', x);"
    " UPDATE item SET n = n + x WHERE id = 1; DELETE FROM item WHERE id > 1000; END",
    "CREATE PROCEDURE loops () BEGIN DECLARE i INT DEFAULT 0; WHILE i < 5 DO INSERT INTO bare VALUES (i, RAND()); SET i = i + 1; END WHILE; END",
    "CREATE FUNCTION noted (x INT) RETURNS INT NOT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO audit (what) VALUES (x); RETURN x + 1; END",
]

SETUP_MARIADB = [
    "CREATE TABLE net (id INT PRIMARY KEY, i6 INET6, i4 INET4, u UUID)",
    "CREATE TABLE squeezed (id INT PRIMARY KEY, t TEXT COMPRESSED, b BLOB COMPRESSED)",
    "CREATE TABLE history (id INT PRIMARY KEY, n INT) WITH SYSTEM VERSIONING",
    "INSERT INTO history VALUES (1, 1)",
]

SETUP_MYSQL = [
    "CREATE TABLE vectors (id INT PRIMARY KEY, v VECTOR(3))",
    "CREATE TABLE many (id INT PRIMARY KEY, j JSON, KEY k ((CAST(j->'$.t' AS UNSIGNED ARRAY))))",
]


def kinds():
    """The kinds, in the order in which they are meant to run."""
    k = Kind
    return [
        # One statement on rows.
        k("insert", ["INSERT INTO item (name, n) VALUES ('six', 6)"]),
        k("insert several rows", ["INSERT INTO item (name, n) VALUES ('a', 7), ('b', NULL), ('', -1)"]),
        k("insert defaults", ["INSERT INTO item () VALUES ()"]),
        k("insert more than an event holds", ["INSERT INTO bare SELECT n, REPEAT('x', 10) FROM numbers"]),
        k("insert from a query", ["INSERT INTO other.item SELECT id, name FROM item WHERE n > 0"]),
        k("insert from a common table expression", ["INSERT INTO bare WITH c AS (SELECT 5 AS a) SELECT a, 'cte' FROM c"]),
        k("insert ignore", ["INSERT IGNORE INTO uniq VALUES (1, 9, 'z'), (4, 4, 'd')"]),
        k("insert ignored whole", ["INSERT IGNORE INTO uniq VALUES (1, 9, 'z')"], writes=False),
        k("insert on duplicate key update", ["INSERT INTO uniq VALUES (2, 9, 'q'), (5, 5, 'e') ON DUPLICATE KEY UPDATE u = u + 100"]),
        k("insert on duplicate key that changes nothing", ["INSERT INTO uniq VALUES (1, 1, 'a') ON DUPLICATE KEY UPDATE id = id"], writes=False),
        k("replace a new row", ["REPLACE INTO uniq VALUES (6, 6, 'f')"]),
        k("replace two rows by one", ["REPLACE INTO uniq VALUES (7, 1, 'f')"]),
        k("load data local", ["LOAD DATA LOCAL INFILE '{file}' INTO TABLE bare FIELDS TERMINATED BY ',' (a, b)"]),
        k("update", ["UPDATE item SET name = 'eins' WHERE id = 1"]),
        k("update all rows", ["UPDATE item SET n = n + 1"]),
        k("update a primary key", ["UPDATE pair SET a = 3", "INSERT INTO pair VALUES (1, 'x', 1), (2, 'y', 2)", "UPDATE pair SET a = a + 10, b = 'z' WHERE a = 1"]),
        k("update keys around", ["UPDATE item SET id = id + 1000 ORDER BY id DESC"]),
        k("update without a match", ["UPDATE item SET n = 1 WHERE id = -1"], writes=False),
        k("update to the same", ["UPDATE item SET n = n"], writes=False),
        k("update several tables", ["UPDATE parent p JOIN child c ON c.parent = p.id SET p.n = p.n + 1, c.id = c.id + 100 WHERE p.id = 2"]),
        k("update with limit", ["UPDATE bare SET b = 'lim' ORDER BY a LIMIT 2"]),
        k("delete", ["DELETE FROM uniq WHERE id = 3"]),
        k("delete with limit", ["DELETE FROM bare WHERE a > 100 ORDER BY a LIMIT 700"]),
        k("delete without a match", ["DELETE FROM item WHERE id = -1"], writes=False),
        k("delete from several tables", ["INSERT INTO bare VALUES (1002, 'j')", "DELETE b, i FROM bare b JOIN item i ON i.id = b.a"]),
        k("table without a key", ["UPDATE bare SET b = 'same' WHERE a = 1", "DELETE FROM bare WHERE a = 1 LIMIT 1"]),
        # Types.
        k("integers", ["INSERT INTO whole VALUES (1, -128, 255, -32768, 65535, -8388608, 16777215, -2147483648, 4294967295, -9223372036854775808, 18446744073709551615, TRUE)",
                       "INSERT INTO whole VALUES (2, 127, 0, 32767, 0, 8388607, 0, 2147483647, 0, 9223372036854775807, 0, FALSE), (3" + ", NULL" * 11 + ")"]),
        k("decimals, floats and bits", ["INSERT INTO fraction VALUES (1, -12345678901234567890123456789012345.123456789012345678901234567890, 99999, -1.5e-30, 1.7976931348623157e308, b'1010101010101', 42), (2, 0, 0, 0, -0.0, 0, 0)",
                                         "UPDATE fraction SET d = d / 3, g = g / 7"]),
        k("dates and times", ["INSERT INTO moment VALUES (1, '9999-12-31', '838:59:59', '-838:59:58.999999', '1000-01-01', '2024-02-29 23:59:59.999', NOW(6), '2038-01-19 03:14:07', NOW(6), 2155)",
                              "INSERT INTO moment (id, y) VALUES (2, 0)"]),
        k("zero dates", ["SET @old = @@sql_mode, SESSION sql_mode = ''", "INSERT INTO moment (id, d, dt6) VALUES (3, '0000-00-00', '2024-00-00')", "SET SESSION sql_mode = @old"]),
        k("timestamps in another time zone", ["SET SESSION time_zone = '+05:30'", "INSERT INTO moment (id, dt, ts, ts6) VALUES (4, '2024-01-01', '2024-01-01', NOW(6))", "SET SESSION time_zone = DEFAULT"]),
        k("strings in several character sets", ["INSERT INTO words VALUES (1, 'abc  ', 'grüße 日本 🚢', 'äöü', 'ÄÖ日', x'00ff', x'00ff00', 'green', 'a,c,d'), (2, '', '', '', '', '', '', NULL, '')"]),
        k("a long string", ["INSERT INTO words (id, v) VALUES (3, REPEAT('ß', 300))", "UPDATE words SET v = CONCAT('x', LEFT(v, 255)) WHERE id = 3"]),
        k("texts and blobs", ["INSERT INTO large VALUES (1, 'a', REPEAT('b', 60000), REPEAT('c', 100000), REPEAT('d', 200000), x'00', REPEAT(x'01', 60000), REPEAT(x'02', 100000), REPEAT(x'ff', 200000))",
                              "UPDATE large SET lt = CONCAT(lt, 'x')"]),
        k("a row of 20 MB", ["INSERT INTO large (id, lb) VALUES (2, REPEAT(x'7f', 20000000))"]),
        k("json", ["INSERT INTO doc VALUES (2, '[]'), (3, NULL), (4, '\"text\"')", "UPDATE doc SET j = JSON_SET(j, '$.a', 5) WHERE id = 1"]),
        k("geometry", ["INSERT INTO shape VALUES (1, ST_GeomFromText('POLYGON((0 0, 0 1, 1 1, 0 0))'), Point(1, 2)), (2, Point(0, 0), NULL)"]),
        k("generated columns", ["INSERT INTO made (id, a) VALUES (2, 5)", "UPDATE made SET a = a + 1"]),
        k("addresses and uuids", ["INSERT INTO net VALUES (1, '::1', '127.0.0.1', UUID())"], family=MARIADB),
        k("compressed columns", ["INSERT INTO squeezed VALUES (1, REPEAT('t', 5000), REPEAT('b', 5000))"], family=MARIADB),
        k("system versioning", ["UPDATE history SET n = 2", "DELETE FROM history"], family=MARIADB),
        k("vectors", ["INSERT INTO vectors VALUES (1, STRING_TO_VECTOR('[1, 2, 3]'))"], family=MYSQL),
        k("multi-valued index", ["INSERT INTO many VALUES (1, '{\"t\": [1, 2, 3]}')", "UPDATE many SET j = '{\"t\": []}'"], family=MYSQL),
        # What the statement's text does not tell.
        k("non-deterministic values", ["INSERT INTO audit (what) VALUES (UUID()), (RAND()), (NOW(6)), (CONNECTION_ID()), (USER())"]),
        k("computed defaults", ["INSERT INTO preset (id) VALUES (1), (2)", "UPDATE preset SET id = 3 WHERE id = 1"]),
        k("user variables", ["SET @v = 41", "INSERT INTO bare VALUES (@v := @v + 1, @v)"]),
        k("insert ids", ["INSERT INTO item (name) VALUES ('parent')", "INSERT INTO bare VALUES (LAST_INSERT_ID(), 'child')"]),
        k("insert trigger", ["INSERT INTO watched VALUES (1, 1), (2, 2)"]),
        k("update trigger", ["UPDATE watched SET n = n + 1 WHERE id = 1"]),
        k("delete trigger", ["DELETE FROM watched"]),
        k("procedure", ["CALL work(5)"]),
        k("procedure with a loop", ["CALL loops()"]),
        k("function that writes, in a query", ["SELECT noted(7), noted(8)"]),
        k("cascading delete", ["DELETE FROM parent WHERE id = 1"]),
        k("cascading update", ["UPDATE parent SET id = 200 WHERE id = 2"]),
        k("set null", ["DELETE FROM parent WHERE id = 3"]),
        k("view", ["UPDATE small SET n = 50 WHERE n = 3", "INSERT INTO small (id, n) VALUES (500, 5)"]),
        k("partitions", ["UPDATE parts SET id = id + 1 WHERE id = 4", "DELETE FROM parts PARTITION (p1)"]),
        k("invisible columns", ["INSERT INTO hidden (id) VALUES (1)", "UPDATE hidden SET a = 8"]),
        k("odd names", ["INSERT INTO `od``d ``näme` VALUES (1, 2)", "UPDATE `od``d ``näme` SET `se``lect` = 3"]),
        k("returning", ["INSERT INTO item (name) VALUES ('r') RETURNING id, name", "DELETE FROM item WHERE name = 'r' RETURNING id"], family=MARIADB),
        k("prepared statements in SQL", ["PREPARE p FROM 'INSERT INTO bare VALUES (?, ?)'", "SET @a = 1, @b = 'prep'", "EXECUTE p USING @a, @b", "EXECUTE p USING @b, @a", "DEALLOCATE PREPARE p"], fails=True),
        # Transactions.
        k("several statements", ["INSERT INTO item (name) VALUES ('t1')", "UPDATE item SET n = 0 WHERE name = 't1'", "DELETE FROM item WHERE name = 't1'", "INSERT INTO other.item VALUES (9000, 'two schemas')"]),
        k("savepoint rolled back", ["INSERT INTO item (name) VALUES ('kept')", "SAVEPOINT s", "INSERT INTO item (name) VALUES ('lost')", "ROLLBACK TO s", "INSERT INTO item (name) VALUES ('kept too')"]),
        k("savepoint that holds everything", ["SAVEPOINT s", "INSERT INTO item (name) VALUES ('lost')", "ROLLBACK TO s"], writes=False),
        k("savepoint released", ["SAVEPOINT s", "INSERT INTO item (name) VALUES ('kept')", "RELEASE SAVEPOINT s"]),
        k("a statement that fails half-way", ["INSERT INTO item (name) VALUES ('before')", "INSERT INTO uniq VALUES (100, 100, 'x'), (101, 100, 'y')", "INSERT INTO item (name) VALUES ('after')"], fails=True),
        k("only a statement that fails", ["INSERT INTO uniq VALUES (100, 100, 'x'), (101, 100, 'y')"], writes=False, fails=True),
        k("insert and delete again", ["INSERT INTO uniq VALUES (300, 300, 'i')", "DELETE FROM uniq WHERE id = 300"]),
        k("temporary table beside another", ["CREATE TEMPORARY TABLE tmp (a INT) ENGINE=InnoDB", "INSERT INTO tmp VALUES (1), (2)", "INSERT INTO bare SELECT a, 'tmp' FROM tmp", "DROP TEMPORARY TABLE tmp"]),
        k("reads", ["SELECT COUNT(*) FROM item", "SELECT * FROM uniq"], writes=False),
        k("locking reads", ["SELECT * FROM uniq FOR UPDATE"], writes=False),
        k("rolled back", ["INSERT INTO item (name) VALUES ('lost')", "UPDATE uniq SET v = CONCAT(v, '+')"], writes=False, end="rollback"),
        k("left mid-way", ["INSERT INTO item (name) VALUES ('lost')", "DELETE FROM bare"], writes=False, end="disconnect"),
    ]
