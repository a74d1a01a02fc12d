"""Listening sockets: opened once by the supervisor, inherited by the processes that answer."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from serve.errors import ServeError

_BACKLOG: Final = 4096


def bind(host: str, port: int) -> socket.socket:
    """Take the TCP address that clients connect to; they are refused until `listen`.

    Raises:
        ServeError: The address is taken, foreign or unknown.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    with _explained(host, port):
        listener.bind((host, port))
    listener.setblocking(False)  # several workers wake for one connection; one gets it
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it
    return listener


def listen(listener: socket.socket, host: str, port: int) -> None:
    """Open a bound socket to clients.

    Raises:
        ServeError: Another server has just opened the same address.
    """
    with _explained(host, port):
        listener.listen(_BACKLOG)


@contextlib.contextmanager
def _explained(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except (OSError, OverflowError, TypeError, UnicodeError) as error:
        raise ServeError(
            f"{host}:{port}",
            f"cannot listen: {error}",
            "choose another with --host and --port, or stop what listens there",
        ) from error


def listen_behind_nginx(path: Path) -> socket.socket:
    """Open the unix socket that nginx connects to."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o660 if os.geteuid() == 0 else 0o600)  # nginx's workers, of the folder's group
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener
