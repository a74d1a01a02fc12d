"""A network of machines on this one: network namespaces on a bridge, whose cables can be pulled.

    with Network(["a", "b"]) as network:
        network.popen("a", [...])           a process on machine `a`
        network.connect("a", "127.0.0.1", 8080)
        network.cut("a"), network.reconnect("a")

The namespace `hub` holds the bridge, at 10.77.0.1; the machines are 10.77.0.11 and so on.
Needs root and iproute2. Leaving the `with` removes all namespaces, and so all interfaces.
"""

import contextlib
import ctypes
import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import Self

HUB_ADDRESS = "10.77.0.1"
HUB = "hub"
_CLONE_NEWNET = 0x40000000
_TIMEOUT_SECONDS = 5


def ip(*arguments):
    """Run `ip`; raise CalledProcessError with its message if it fails."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=30)


def may_make_namespaces():
    """Return whether this process may make network namespaces and connect them."""
    name = f"mq{os.getpid()}-try"
    try:
        ip("netns", "add", name)
    except (OSError, subprocess.SubprocessError):
        return False
    try:
        ip("-n", name, "link", "add", "left", "type", "veth", "peer", "name", "right")
        ip("-n", name, "link", "add", "bridge", "type", "bridge")
    except subprocess.SubprocessError:
        return False
    finally:
        ip("netns", "del", name)
    return True


class Network:
    """Machines with a hub between them."""

    def __init__(self, names):
        self._names = names

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            for name in (HUB, *self._names):
                ip("netns", "add", self.namespace(name))
                undo.callback(ip, "netns", "del", self.namespace(name))
                self._ip(name, "link", "set", "lo", "up")
            self._ip(HUB, "link", "add", "bridge", "type", "bridge")
            self._ip(HUB, "addr", "add", f"{HUB_ADDRESS}/24", "dev", "bridge")
            self._ip(HUB, "link", "set", "bridge", "up")
            for number, name in enumerate(self._names, 11):
                self._connect_to_hub(name, f"10.77.0.{number}/24")
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_):
        self._undo.close()

    def namespace(self, name):
        return f"mq{os.getpid()}-{name}"

    def _ip(self, name, *arguments):
        ip("-n", self.namespace(name), *arguments)

    def _connect_to_hub(self, name, address):
        peer = ("peer", "name", "eth0", "netns", self.namespace(name))
        self._ip(HUB, "link", "add", f"to-{name}", "type", "veth", *peer)
        self._ip(HUB, "link", "set", f"to-{name}", "master", "bridge", "up")
        self._ip(name, "addr", "add", address, "dev", "eth0")
        self._ip(name, "link", "set", "eth0", "up")

    def cut(self, name):
        """Take the link of a machine down."""
        self._ip(HUB, "link", "set", f"to-{name}", "down")

    def reconnect(self, name):
        """Bring it up again."""
        self._ip(HUB, "link", "set", f"to-{name}", "up")

    def popen(self, name, arguments, **options):
        """Start a process on a machine."""
        prefix = ["ip", "netns", "exec", self.namespace(name)]
        return subprocess.Popen([*prefix, *map(str, arguments)], **options)

    def connect(self, name, host, port):
        """Return a socket of a machine, connected to an address that it reaches."""
        found: list[socket.socket] = []
        thread = threading.Thread(target=self._connect, args=(name, (host, port), found))
        thread.start()  # a namespace is entered by one thread, and left with its end
        thread.join()
        if not found:
            raise ConnectionError(f"{host}:{port} cannot be reached from {name}")
        return found[0]

    def _connect(self, name, address, found):
        with Path("/run/netns", self.namespace(name)).open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        with contextlib.suppress(OSError):
            found.append(socket.create_connection(address, timeout=_TIMEOUT_SECONDS))
