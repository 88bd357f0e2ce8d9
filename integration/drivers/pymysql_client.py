"""PyMySQL through a node: connect, prepare, write, roll back; then 200 sessions at once.

Usage: pymysql_client.py NODE_PORT. Needs the schema `drivers` and the account app@% with the password "secret".
"""
import sys
import threading

import pymysql

SESSIONS = 200
PORT = int(sys.argv[1])


def connect(**options):
    options = {"user": "app", "password": "secret", "database": "drivers", **options}
    return pymysql.connect(host="127.0.0.1", port=PORT, **options)


def value(cursor, sql, *parameters):
    cursor.execute(sql, parameters)
    return cursor.fetchone()[0]


def one_session():
    connection = connect()
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE account (id INT PRIMARY KEY, balance DECIMAL(10,2), note VARCHAR(50))")
    assert cursor.executemany("INSERT INTO account VALUES (%s, %s, %s)", [(1, "10.50", "één"), (2, 0, None)]) == 2
    connection.commit()

    cursor.execute("UPDATE account SET balance = 0")
    connection.rollback()
    assert str(value(cursor, "SELECT SUM(balance) FROM account")) == "10.50"

    cursor.execute("PREPARE s FROM 'SELECT note FROM account WHERE id = ?'")
    cursor.execute("SET @id = 1")
    assert value(cursor, "EXECUTE s USING @id") == "één"

    try:
        cursor.execute("INSERT INTO account VALUES (1, 0, '')")
        raise AssertionError("a duplicate key was accepted")
    except pymysql.err.IntegrityError as error:
        assert error.args[0] == 1062, error
    assert value(cursor, "SELECT COUNT(*) FROM account") == 2
    connection.ping(reconnect=False)
    connection.close()

    with connect(cursorclass=pymysql.cursors.SSCursor).cursor() as cursor:
        cursor.execute("SELECT seq FROM seq_1_to_50000")
        assert sum(row[0] for row in cursor) == 50000 * 50001 // 2

    for options, number in (({"password": "wrong"}, 1045), ({"database": "drivers_nowhere"}, 1049)):
        try:
            connect(**options)
            raise AssertionError(f"{options} was accepted")
        except pymysql.err.OperationalError as error:
            assert error.args[0] == number, error


def many_sessions():
    everyone = threading.Barrier(SESSIONS)
    failures = []

    def work(number):
        try:
            with connect(autocommit=True) as connection:
                everyone.wait(60)
                cursor = connection.cursor()
                cursor.execute("INSERT INTO visit VALUES (%s, CONNECTION_ID())", (number,))
                assert value(cursor, "SELECT CONNECTION_ID() = c FROM visit WHERE id = %s", number) == 1
                everyone.wait(60)
        except Exception as error:  # a thread's failure must reach the verdict
            failures.append(error)
            everyone.abort()

    with connect(autocommit=True).cursor() as cursor:
        cursor.execute("CREATE TABLE visit (id INT PRIMARY KEY, c BIGINT UNIQUE)")
    threads = [threading.Thread(target=work, args=(number,)) for number in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    with connect().cursor() as cursor:
        assert value(cursor, "SELECT COUNT(*) FROM visit") == SESSIONS


one_session()
many_sessions()
print(f"PyMySQL {pymysql.__version__}: one session and {SESSIONS} at once")
