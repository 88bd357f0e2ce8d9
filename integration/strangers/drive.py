"""What nobody who belongs here would send, to every port of a node: see run.sh.

    drive.py PORT BOX
"""

import os
import random
import socket
import struct
import sys
import time

from cluster import PORT, define, expect_equal, node, run

CLIENTS, HTTP, PEERS = PORT + 1, PORT + 101, PORT + 201
HALF_OPEN = 5000
# What connections may cost a node at most: the server and the node let in far fewer than come.
MEMORY_BYTES = 100 << 20
# A server ends clients that do not log in after 10 s.
SOON = 20


def memory(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def packet(sequence, payload):
    return struct.pack("<I", len(payload))[:3] + bytes([sequence]) + payload


def answer(chance):
    """A client's answer to the greeting, more or less."""
    whole = struct.pack("<IIB23x", 0x000FA685, 1 << 24, 45) + b"root\0" + bytes([0]) + b"mysql_native_password\0"
    return whole[: chance.randrange(len(whole) + 1)]


def wrong(chance):
    """Bytes that belong on no port."""
    length = chance.choice((1, 3, 4, 5, 40, 4096))
    kinds = [
        chance.randbytes(length),
        # A frame that is longer than anybody will send, and its beginning.
        struct.pack(">I", chance.choice((0xFFFFFFFF, 0x7FFFFFFF, 2048))) + chance.randbytes(length),
        b"\xff\xff\xff\x01" + chance.randbytes(length),
        packet(1, answer(chance)),
        packet(1, answer(chance) + chance.randbytes(length)),
        packet(chance.randrange(256), b""),
        b"GET / HTTP/1.1\r\nX: " + b"x" * length,
        b"trireme1" * 40,
    ]
    return chance.choice(kinds)


def garbage(seed):
    """Each connection sends something wrong, and ends in some way."""
    chance = random.Random(seed)
    for _ in range(900):
        port = chance.choice((CLIENTS, HTTP, PEERS))
        with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
            try:
                if port == CLIENTS and chance.random() < 0.8:
                    stranger.recv(1024)
                stranger.sendall(wrong(chance))
                if chance.random() < 0.3:
                    stranger.shutdown(socket.SHUT_WR)
                if chance.random() < 0.3:
                    stranger.settimeout(0.1)
                    stranger.recv(4096)
            except OSError:
                pass
    # A login of many frames: more than anybody's, and never held as a whole.
    with socket.create_connection(("127.0.0.1", CLIENTS), timeout=20) as stranger:
        stranger.recv(1024)
        try:
            for sequence in range(1, 9):
                stranger.sendall(packet(sequence, b"\x85\xa6\x0f\x00" * 0x3FFFFF + b"abc"))
        except OSError:
            pass


def half_open(port):
    """As many connections as a port takes, all silent."""
    held = []
    for _ in range(HALF_OPEN):
        one = socket.socket()
        one.settimeout(10)
        one.connect(("127.0.0.1", port))
        held.append(one)
    return held


def write(connection, n):
    run(connection, f"INSERT INTO strangers.t VALUES ({n})")


def pid_of_node(box):
    with open(f"{box}/node1/trireme.pid") as file:
        return int(file.read())


def main(box, seed):
    pid = pid_of_node(box)
    define("CREATE DATABASE strangers", "CREATE TABLE strangers.t (id INT PRIMARY KEY)")
    inside = node(1, autocommit=True)
    before = memory(pid)

    garbage(seed)
    write(inside, 1)
    print(f"900 connections with garbage on three ports (seed {seed}): the session beside them goes on")

    for at, (name, port) in enumerate((("peers", PEERS), ("clients", CLIENTS), ("HTTP", HTTP)), 2):
        held = half_open(port)
        write(inside, at)
        during = memory(pid)
        for one in held:
            one.close()
        deadline = time.time() + SOON
        while True:
            try:
                with node(1, autocommit=True) as connection:
                    write(connection, at + 10)
                break
            except Exception as error:  # noqa: BLE001
                if time.time() > deadline:
                    sys.exit(f"FAILED: nobody is let in after {HALF_OPEN} half-open connections of {name}: {error}")
                time.sleep(0.1)
        growth = during - before
        print(f"{HALF_OPEN} half-open connections to the port of {name}: {growth / 2**20:.1f} MiB more")
        if growth > MEMORY_BYTES:
            sys.exit("FAILED: that is too much")
    expect_equal()
    assert pid_of_node(box) == pid and os.path.exists(f"/proc/{pid}"), "the node was restarted"


main(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(2**32))
