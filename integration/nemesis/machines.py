"""Three machines in network namespaces, each with a server and its node, and what can happen to them.

The namespaces are those of this process's own network namespace: they go with it.
"""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import cluster
from cluster import NODES, PORT

NET = "10.77.0"
NOWHERE = "02:00:00:00:00:ff"
PROCESSES = ("server", "trireme")


def ip(*arguments, inside=None):
    enter = ["nsenter", "-t", str(inside), "-n"] if inside else []
    subprocess.run([*enter, "ip", *arguments], check=True)


class Machine:
    """A network namespace with a node of the sandbox that was made in `box`."""

    def __init__(self, box, number, trireme):
        self.number = number
        self.directory = Path(box) / f"node{number}"
        self.slow = self.directory / "slow"
        server = (self.directory / "server.command").read_text()
        self.commands = {
            "server": [*server.split("\0")[:-1], "--bind-address=0.0.0.0"],
            "trireme": [trireme, "run", "--config", str(self.directory / "trireme.toml")],
        }
        self.running = {}
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        ip("link", "add", f"m{number}", "master", "net", "up", "type", "veth",
           "peer", "name", "eth", "netns", str(self.holder.pid))
        inside = self.holder.pid
        ip("link", "set", "lo", "up", inside=inside)
        ip("address", "add", f"{NET}.{number}/24", "dev", "eth", inside=inside)
        ip("link", "set", "eth", "up", inside=inside)
        self.configure()

    def configure(self):
        """Makes of the sandbox's configuration, whose nodes share one machine, that of a machine of its own."""
        path = self.directory / "trireme.toml"
        text = re.sub(r'(?m)^listen = "127\.0\.0\.1:', 'listen = "0.0.0.0:', path.read_text())
        for number in NODES:
            text = text.replace(f"127.0.0.1:{PORT + 200 + number}", f"{NET}.{number}:{PORT + 200 + number}")
        # Each has the certificate of its own machine.
        text = text.replace("certificates/127.0.0.1.", f"certificates/{NET}.{self.number}.")
        path.write_text(text)

    def start(self, process, preload):
        """Starts a process if it does not run."""
        if self.is_up(process):
            return
        environment = dict(os.environ, TRIREME_LOG="info,openraft=error")
        if process == "trireme":
            environment.update(LD_PRELOAD=preload, SLOW=str(self.slow))
        with open(self.directory / f"{process}.log", "ab") as log:
            self.running[process] = subprocess.Popen(
                ["nsenter", "-t", str(self.holder.pid), "-n", *self.commands[process]],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment,
            )

    def is_up(self, process):
        return process in self.running and self.running[process].poll() is None

    def kill(self, processes):
        for process in processes:
            self.running[process].kill()
        for process in processes:
            self.running.pop(process).wait()

    def pause(self, process, is_paused):
        if process in self.running:
            self.running[process].send_signal(signal.SIGSTOP if is_paused else signal.SIGCONT)

    def lose(self, other, is_lost):
        """What this machine sends to another arrives, or goes to an address that nobody has."""
        ip("neighbour", "replace", f"{NET}.{other}", "lladdr", NOWHERE if is_lost else mac(other), "dev", "eth",
           "nud", "permanent", inside=self.holder.pid)

    def log(self, process, lines=8):
        text = (self.directory / f"{process}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def mac(number):
    return f"02:00:00:00:00:{number:02x}"


def machines(box, trireme):
    """Makes them, beside a bridge on which this process has an address of its own."""
    ip("link", "set", "lo", "up")
    ip("link", "add", "net", "up", "type", "bridge")
    ip("address", "add", f"{NET}.254/24", "dev", "net")
    made = []
    for number in NODES:
        cluster.HOSTS[number] = f"{NET}.{number}"
        made.append(Machine(box, number, trireme))
        ip("link", "set", "eth", "address", mac(number), inside=made[-1].holder.pid)
    return made
