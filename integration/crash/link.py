"""A link between a node and its server, which can be as silent as one to a machine that has lost its power."""

import contextlib
import socket
import struct
import threading


class Link:
    """Relays connections to a port of this machine."""

    def __init__(self, to):
        self.to = to
        self.open, self.stale = [], []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                near.close()
                continue
            with self.lock:
                self.open.append(near)
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(near, source, target), daemon=True).start()

    def pump(self, near, source, target):
        while True:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            with self.lock:
                if near in self.stale:
                    # Nobody tells a node that its server has gone; only what it sends is answered, by a machine
                    # that knows nothing of the connection.
                    if source is near:
                        reset(near)
                    return
            try:
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
            except OSError:
                return

    def lose(self):
        """From now on the other end knows nothing of the connections that there are, and says nothing by itself."""
        with self.lock:
            self.stale, self.open = self.stale + self.open, []

    def tell(self):
        """The other end says so."""
        with self.lock:
            for near in self.stale:
                with contextlib.suppress(OSError):
                    near.shutdown(socket.SHUT_RDWR)


def reset(near):
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    near.close()
