"""Listening sockets: opened once by the supervisor, inherited by the processes that answer."""

import os
import socket
from pathlib import Path
from typing import Final

from serve.errors import ServeError

_BACKLOG: Final = 4096


def listen(host: str, port: int) -> socket.socket:
    """Open the TCP socket that clients connect to.

    Raises:
        ServeError: The address is taken, foreign or unknown.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError, TypeError, UnicodeError) as error:
        raise ServeError(
            f"{host}:{port}",
            f"cannot listen: {error}",
            "choose another with --host and --port, or stop what listens there",
        ) from error
    listener.setblocking(False)  # several workers wake for one connection; one gets it
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it
    return listener


def listen_behind_nginx(path: Path) -> socket.socket:
    """Open the unix socket that nginx connects to."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    if os.geteuid() == 0:
        path.chmod(0o666)  # nginx's workers run as nobody
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener
