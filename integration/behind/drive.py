"""Changes one server of a sandbox alone, or tries to.

    drive.py PORT PART [ARGUMENT…]
"""

import sys

import pymysql
from pymysql.constants import CLIENT, COMMAND

from cluster import NODES, define, expect_equal, node, run

REFUSED = 1235


def refusal(connection, statement, prepare=False):
    try:
        if prepare:
            connection._execute_command(COMMAND.COM_STMT_PREPARE, statement)
            connection._read_packet()
        else:
            run(connection, statement)
    except pymysql.err.MySQLError as error:
        number, message = error.args
        assert number == REFUSED and message.startswith("Trireme: "), (statement, error)
        return message
    sys.exit(f"FAILED: not refused: {statement}")


def refused():
    """What cannot be replicated is refused with a reason, changes no server, and the session goes on."""
    mariadb = "MariaDB" in run(node(1), "SELECT VERSION()")[0][0]
    define(
        "CREATE DATABASE refused",
        "CREATE DATABASE namesakes",
        "USE refused",
        "CREATE TABLE old (a INT PRIMARY KEY, b INT) ENGINE=MyISAM",
        "CREATE TABLE cache (a INT) ENGINE=MEMORY",
        "CREATE TABLE t (a INT PRIMARY KEY, old INT)",
        "CREATE TABLE watched (a INT PRIMARY KEY)",
        "CREATE TABLE namesakes.old (a INT PRIMARY KEY, b INT)",
        "CREATE VIEW seen AS SELECT a FROM old",
        "CREATE TRIGGER w AFTER INSERT ON watched FOR EACH ROW INSERT INTO cache VALUES (NEW.a)",
        "CREATE PROCEDURE keep(n INT) BEGIN INSERT INTO t VALUES (n, n); INSERT INTO old VALUES (n, n); END",
        "CREATE PROCEDURE look() SELECT * FROM old",
        "CREATE FUNCTION kept(n INT) RETURNS INT NO SQL BEGIN DELETE FROM cache; RETURN n; END",
    )
    refuse = [
        "INSERT INTO old VALUES (1, 1)",
        "INSERT INTO refused.old VALUES (1, 1)",
        "REPLACE INTO `old` SELECT 1, 1",
        "UPDATE t JOIN cache ON t.a = cache.a SET cache.a = 1",
        "DELETE FROM old WHERE a = 1",
        "INSERT INTO seen VALUES (1)",
        "INSERT INTO watched VALUES (1)",
        "CALL keep(1)",
        "SELECT kept(1)",
        "SET @a = kept(1)",
        "INSERT INTO t VALUES (kept(1), 1)",
    ]
    if mariadb:
        define(
            "CREATE SEQUENCE refused.s",
            "CREATE TABLE refused.numbered (n INT PRIMARY KEY DEFAULT (NEXTVAL(refused.s)), a INT)",
        )
        refuse += [
            "SELECT NEXTVAL(s)",
            "SELECT NEXT VALUE FOR refused.s",
            "DO SETVAL(s, 7)",
            "INSERT INTO numbered (a) VALUES (1)",
            "UPDATE mysql.db SET Update_priv = 'Y' WHERE Db = 'refused'",
        ]
    accept = [
        "INSERT INTO t VALUES (1, 1) ON DUPLICATE KEY UPDATE old = 2",
        "UPDATE t SET old = 3",
        "INSERT INTO t SELECT a + 10, b FROM old",
        "SELECT * FROM old JOIN cache",
        "CALL look()",
        "INSERT INTO namesakes.old VALUES (1, 1)",
        "CREATE TEMPORARY TABLE mine (a INT) ENGINE=MyISAM",
        "INSERT INTO mine VALUES (1)",
    ]
    with node(1, database="refused", autocommit=True) as connection:
        for statement in refuse:
            said = refusal(connection, statement)
            assert said == refusal(connection, statement, prepare=True), statement
        assert "ALTER TABLE refused.old ENGINE=InnoDB" in refusal(connection, refuse[0])
        assert "refused.keep" in refusal(connection, "CALL keep(1)")
        for statement in accept:
            run(connection, statement)
        run(connection, "USE namesakes", "UPDATE old SET b = 2", "USE refused")
        run(connection, "BEGIN", "INSERT INTO t VALUES (5, 5)")
        refusal(connection, "INSERT INTO old VALUES (5, 5)")
        run(connection, "COMMIT")
        assert run(connection, "SELECT a FROM t WHERE a = 5") == ((5,),)
    with node(2, database="refused", client_flag=CLIENT.MULTI_STATEMENTS, autocommit=True) as connection:
        refusal(connection, "DO 1; DELETE FROM old; DROP TABLE t")
        run(connection, "DO 1")
    expect_equal()
    define("ALTER TABLE refused.old ENGINE=InnoDB", "ALTER TABLE refused.cache ENGINE=InnoDB", number=3)
    for number in NODES:
        with node(number, database="refused", autocommit=True) as connection:
            run(connection, f"CALL keep({number + 100})", f"INSERT INTO watched VALUES ({number})")
    print(f"{expect_equal()} tables equal on all servers")


PARTS = {"refused": refused}
if __name__ == "__main__":
    PARTS[sys.argv[2]](*sys.argv[3:])
