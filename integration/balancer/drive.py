"""Clients behind HAProxy.

    drive.py PORT accounts
    drive.py PORT ways HAPROXY
"""

import socket
import sys
import time

import pymysql

from cluster import HOSTS, PORT, connect, node, run

# Where the client is, as HAProxy sees it; HAProxy itself comes from 127.0.0.1.
CLIENT = "127.0.0.9"
ATTRIBUTES = (
    "SELECT attr_name, attr_value FROM performance_schema.session_connect_attrs"
    " WHERE processlist_id = CONNECTION_ID()"
)


def accounts():
    with node(1) as connection:
        run(connection, "CREATE USER checker")


def behind(port):
    """A connection through HAProxy, as soon as that gives its clients to the node."""
    deadline = time.time() + 10
    while True:
        try:
            return connect("127.0.0.1", port, bind_address=CLIENT)
        except pymysql.err.OperationalError:
            if time.time() > deadline:
                raise
            time.sleep(0.05)


def packet(of):
    """The payload of the next packet."""
    length = int.from_bytes(of.read(4)[:3], "little")
    return of.read(length)


def check_of_newer_haproxys():
    """`option mysql-check user checker post-80`: the login and COM_QUIT at once, and no answer may be an error."""
    login = bytes.fromhex("00820800 00800001 21") + bytes(23) + b"checker\0\0mysql_native_password\0"
    with socket.create_connection((HOSTS[1], PORT + 1), timeout=10) as connection, connection.makefile("rb") as answers:
        assert packet(answers)[0] == 10, "no greeting"
        connection.sendall(len(login).to_bytes(3, "little") + b"\1" + login + b"\1\0\0\0\1")
        answer = packet(answers)
        assert answer[0] != 0xFF, answer
    print("   the check of newer HAProxys is answered")


def ways(haproxy):
    check_of_newer_haproxys()
    for number, name in enumerate(("PROXY header of version 1", "PROXY header of version 2", "no PROXY header")):
        with behind(haproxy + number) as connection:
            own_port = connection._sock.getsockname()[1]
            attributes = dict(run(connection, ATTRIBUTES))
        told = attributes["trireme_client"]
        if number < 2:
            assert told == f"{CLIENT}:{own_port}", f"{name}: the server was told {told} of {CLIENT}:{own_port}"
        else:
            assert told.startswith("127.0.0.1:"), f"{name}: the server was told {told}"
        assert attributes["_client_name"] == "pymysql", f"{name}: the client's own attributes are {attributes}"
        print(f"   {name}: the server has trireme_client = {told}")


if sys.argv[2] == "accounts":
    accounts()
else:
    ways(int(sys.argv[3]))
