"""A client outside of the containers' network writes and reads through both ports of HAProxy.

    outside.py PORT SINGLE_PORT
"""

import sys

import pymysql

ports = [int(port) for port in sys.argv[1:]]
on = [
    pymysql.connect(host="127.0.0.1", port=port, user="root", password="trireme", database="app", autocommit=True)
    for port in ports
]
with on[0].cursor() as cursor:
    cursor.execute("CREATE TABLE outside (id INT PRIMARY KEY)")
for number, connection in enumerate(on):
    with connection.cursor() as cursor:
        assert cursor.execute("INSERT INTO outside VALUES (%s)", number) == 1
# Sessions of the second port are all on one node, which has what was committed there.
with on[1].cursor() as cursor:
    cursor.execute("SELECT id FROM outside WHERE id = 1")
    assert cursor.fetchall() == ((1,),)
print(f"   clients write through ports {ports}")
