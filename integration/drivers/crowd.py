"""200 sessions of PyMySQL through a node at once.

Usage: crowd.py NODE_PORT. Needs the schema `drivers` and the account plain@% with the password "secret".
"""
import sys
import threading

import pymysql

SESSIONS = 200
PORT = int(sys.argv[1])


def connect(**options):
    options = {"user": "plain", "password": "secret", "database": "drivers", **options}
    return pymysql.connect(host="127.0.0.1", port=PORT, **options)


def value(cursor, sql, *parameters):
    cursor.execute(sql, parameters)
    return cursor.fetchone()[0]


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


def many_rows():
    """More than fit into any buffer, as they come."""
    with connect(cursorclass=pymysql.cursors.SSCursor).cursor() as cursor:
        cursor.execute("SELECT a.id FROM information_schema.collations a, information_schema.collations b LIMIT 50000")
        assert sum(1 for _ in cursor) == 50000


many_rows()
many_sessions()
print(f"{SESSIONS} sessions at once")
