"""A ring of nodes on this machine, controlled with `coterie ring`.

The ring lives in a folder; its ports are free ones, so that it meets no other ring, and are kept in
`ring.conf`, which `coterie ring up` writes. The nodes are 127.0.0.1, 127.0.0.2 and so on.
"""

import os
import random
import socket
import subprocess


# A program that takes more seconds hangs.
HANGING = 600

# A single node waits for nobody but itself: only a slow disk or processor can make a request of it late.
PATIENT = [f"{name}=60s" for name in (
    "read_request_timeout", "range_request_timeout", "write_request_timeout", "truncate_request_timeout",
    "cas_contention_timeout")]


class RingError(Exception):
    """A command about the ring failed."""


class Ring:
    """A ring by its folder."""

    def __init__(self, binary, folder):
        self.binary = binary
        self.folder = folder
        self.addresses = []
        self.port = None
        self.admin_port = None
        path = os.path.join(folder, "ring.conf")
        if os.path.exists(path):
            with open(path) as lines:
                for line in lines:
                    words = line.split()
                    if words and words[0] == "node":
                        self.addresses.append(words[1])
                        # All nodes have the first one's ports, unless they share its address.
                        self.port = self.port or int(words[2])
                        self.admin_port = self.admin_port or (int(words[4]) if len(words) > 4 else None)

    @staticmethod
    def up(binary, folder, nodes, shards=None, settings=(), is_patient=True):
        """Starts a new ring, or the one that is in the folder. A new one of a single node has patience with itself."""
        ring = Ring(binary, folder)
        if not ring.addresses:
            arguments = ["--nodes", str(nodes), *free_ports(nodes)]
            if nodes == 1 and is_patient:
                settings = [*PATIENT, *settings]
        else:
            arguments = []
        if shards:
            arguments += ["--shards", str(shards)]
        for setting in settings:
            arguments += ["--set", setting]
        ring.command("up", *arguments)
        return Ring(binary, folder)

    def command(self, verb, *arguments):
        """Runs `coterie ring VERB` for this ring and returns what it printed."""
        result = subprocess.run(
            [self.binary, "ring", verb, *arguments, "--data", self.folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=HANGING)
        if result.returncode != 0:
            raise RingError(
                f"coterie ring {verb} {' '.join(arguments)} ended with {result.returncode}: "
                f"{result.stdout.strip()}")
        return result.stdout

    def admin(self, *words, node=1):
        """Runs `coterie admin` against a node, by its number; returns code, output and errors."""
        result = subprocess.run(
            [self.binary, "admin", "-h", self.addresses[node - 1], "-p", str(self.admin_port),
             *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=HANGING)
        return result.returncode, result.stdout, result.stderr

    def heal(self):
        """Starts the nodes that are down."""
        return self.command("up")

    def kill(self, node):
        """SIGKILL for one node, by its number from 1."""
        return self.command("kill", str(node))

    def start(self, node):
        """Starts a node that is down and waits until it answers."""
        return self.command("start", str(node))

    def pause(self, node):
        return self.command("pause", str(node))

    def resume(self, node):
        return self.command("resume", str(node))

    def down(self):
        return self.command("down")

    def status(self):
        return self.command("status")


def free_ports(addresses, width=1):
    """The options for the ports of a ring, each the first of `width` that are free on so many addresses; they are below
    the range of outgoing ports."""
    for _ in range(200):
        ports = [width * n for n in random.SystemRandom().sample(range(20_000 // width, 32_000 // width), 3)]
        if all(is_free(f"127.0.0.{n + 1}", port + offset)
               for n in range(addresses) for port in ports for offset in range(width)):
            return ["--port", str(ports[0]), "--peer-port", str(ports[1]), "--admin-port", str(ports[2])]
    raise RingError("no ports are free on all addresses of the ring")


def is_free(address, port):
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
