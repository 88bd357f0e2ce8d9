"""A client that sees bytes: it sends packets and keeps every byte the server answers."""
import re
import socket
import struct

FULL = 0xFFFFFF
PROTOCOL_41, LOCAL_FILES, TRANSACTIONS = 1 << 9, 1 << 7, 1 << 13
SECURE, MULTI_STATEMENTS, MULTI_RESULTS, PS_MULTI_RESULTS = 1 << 15, 1 << 16, 1 << 17, 1 << 18
PLUGIN_AUTH, SESSION_TRACK, DEPRECATE_EOF = 1 << 19, 1 << 23, 1 << 24
TLS, COMPRESS, ZSTD, QUERY_ATTRIBUTES = 1 << 11, 1 << 5, 1 << 26, 1 << 27
# MariaDB's extended ones come from those who say that they are no client of MySQL's.
BULK = 1 << 34
COMMON = (PROTOCOL_41 | LOCAL_FILES | TRANSACTIONS | SECURE | MULTI_STATEMENTS | MULTI_RESULTS
          | PS_MULTI_RESULTS | PLUGIN_AUTH)


def packet(payload, sequence=0):
    """The frames of one packet."""
    frames = b""
    while True:
        part, payload = payload[:FULL], payload[FULL:]
        frames += struct.pack("<I", len(part))[:3] + bytes([sequence % 256]) + part
        sequence += 1
        if len(part) < FULL:
            return frames


PREPARED = re.compile(rb"^(\x0c\0\0\x01\0)(.{4})", re.DOTALL)
STATE = re.compile(rb"\x14\0\0(.)([\0\xfe])(..)(.)@(..)\0\x0b\x05\t\x08.{8}", re.DOTALL)
SWITCHED = re.compile(rb"(\xfe[a-z0-9_]+_password\0).{20}\0", re.DOTALL)


def comparable(answer):
    """The answer without what differs between a server and the node in front of it: the number of a prepared statement, which MariaDB
    counts up over all sessions, the scramble in a request to authenticate again, and the transaction's state in session tracking."""
    answer = SWITCHED.sub(rb"\1", PREPARED.sub(rb"\1", answer))
    return STATE.sub(lambda ok: b"\7\0\0%b%b%b%b\0%b" % ok.groups(), answer)


class Connection:
    """A session of root, who has no password here."""

    def __init__(self, port, capabilities, collation=45):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.input = self.socket.makefile("rb")
        self.count = 0
        self.greeting = self.frame()
        answer = struct.pack("<IIB19xI", capabilities & 0xFFFFFFFF, 1 << 30, collation, capabilities >> 32) + b"root\0\0" + self.plugin() + b"\0"
        self.socket.sendall(packet(answer, 1))
        self.verdict = self.frame()

    def plugin(self):
        """How the server would have its clients authenticate: the greeting's last word."""
        return self.greeting.rstrip(b"\0").rsplit(b"\0", 1)[-1]

    def frame(self):
        header = self.input.read(4)
        if len(header) < 4:
            raise EOFError("the connection was closed")
        length = int.from_bytes(header[:3], "little")
        return header + self.input.read(length)

    def exchange(self, *packets):
        """Sends packets and a last query, all at once; what was answered before that query's answer
        and with it."""
        self.count += 1
        marker = b"end of answer %d" % self.count
        self.socket.sendall(b"".join(packets) + query(b"SELECT '%s'" % marker))
        answer = []
        while not answer or answer[-1][4:] != bytes([len(marker)]) + marker:
            answer.append(self.frame())
        answer.append(self.frame())
        return b"".join(answer)

    def last_words(self, *packets):
        """Sends packets after which the server closes; everything it says before that."""
        said = bytearray()
        try:
            self.socket.sendall(b"".join(packets))
        except ConnectionError:
            pass
        try:
            while part := self.input.read1():
                said += part
        except ConnectionResetError:
            pass
        return bytes(said)


def query(sql):
    return packet(b"\x03" + (sql.encode() if isinstance(sql, str) else sql))


def prepare(sql):
    return packet(b"\x16" + sql.encode())


LAST = 0xFFFFFFFF  # MariaDB: the statement prepared last
NO_STATEMENT = 4000000000
LONG = object()  # a parameter whose value was sent before


def execute(statement, strings=(), cursor=False):
    """Parameters are strings, None for NULL, or LONG."""
    body = struct.pack("<BIBI", 0x17, statement, 1 if cursor else 0, 1)
    if strings:
        nulls = sum(1 << i for i, s in enumerate(strings) if s is None)
        body += nulls.to_bytes((len(strings) + 7) // 8, "little") + b"\x01" + b"\xfd\0" * len(strings)
        body += b"".join(bytes([len(s.encode())]) + s.encode() for s in strings if isinstance(s, str))
    return packet(body)


def bulk(statement, rows):
    """MariaDB's: one execution for each row of strings, None for NULL."""
    body = struct.pack("<BIH", 0xFA, statement, 128) + b"\xfd\0" * len(rows[0])
    values = (b"\1" if s is None else b"\0" + bytes([len(s.encode())]) + s.encode() for row in rows for s in row)
    return packet(body + b"".join(values))


def fetch(statement, rows):
    return packet(struct.pack("<BII", 0x1C, statement, rows))


def long_data(statement, parameter, data):
    return packet(struct.pack("<BIH", 0x18, statement, parameter) + data)


def reset(statement):
    return packet(struct.pack("<BI", 0x1A, statement))


def close(statement):
    return packet(struct.pack("<BI", 0x19, statement))


def change_user(user):
    """With an empty password, which the server asks for again."""
    return packet(b"\x11" + user.encode() + b"\0\0fidelity\0\x2d\0mysql_native_password\0") + packet(b"", 2)


def file(*parts, after=1):
    """The packets of a file for LOAD DATA LOCAL, after the server's request with that number."""
    frames = b""
    for part in (*parts, b""):
        frames += packet(part, after + 1)
        after += 1 + len(part) // FULL
    return frames
