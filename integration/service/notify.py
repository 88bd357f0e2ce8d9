"""A service manager in a few lines: it starts a node, hears that it is ready, stops it, and hears that it stops.

    notify.py TRIREME DIR PORT
"""

import json
import os
import signal
import socket
import subprocess
import sys

trireme, directory, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
configuration = f"{directory}/node.toml"
with open(configuration, "w") as file:
    file.write(f'client.listen = "127.0.0.1:{port}"\nhttp.listen = "127.0.0.1:{port + 1}"\n')
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
    manager.bind(f"{directory}/notify")
    manager.settimeout(10)
    node = subprocess.Popen(
        [trireme, "run", "--config", configuration, "--log-format", "json"],
        env={**os.environ, "NOTIFY_SOCKET": f"{directory}/notify"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert manager.recv(1024).strip() == b"READY=1"
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        node.send_signal(signal.SIGTERM)
        assert manager.recv(1024).strip() == b"STOPPING=1"
        _, log = node.communicate(timeout=10)
    finally:
        node.kill()
assert node.returncode == 0, node.returncode
messages = [json.loads(line)["fields"]["message"] for line in log.splitlines()]
assert "node started" in messages and "node stopped" in messages, messages
print(f"   READY=1, STOPPING=1, and {len(messages)} lines of JSON")
