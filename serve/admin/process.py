"""The admin processes: a Falcon app of its own, on a socket for each of two processes.

admin.sock      ─► takedown, train
verifying.sock  ─► rollback, pin, unpin
"""

import os
import signal
import socket
from pathlib import Path

import bjoern
import falcon

from serve.admin.actions import ACTIONS, Action, TokenCheck
from serve.resources.errors import write_error, write_unexpected


def admin_app(store: Path, token: str) -> falcon.App[falcon.Request, falcon.Response]:
    """Return the app: `/admin/<action>`, and `/train` as a short form."""
    app = falcon.App(media_type=falcon.MEDIA_JSON, middleware=[TokenCheck(token)])
    app.set_error_serializer(write_error)
    app.add_error_handler(Exception, write_unexpected)
    for name, act in ACTIONS.items():
        app.add_route(f"/admin/{name}", Action(store, act))
    app.add_route("/train", Action(store, ACTIONS["train"]))
    return app


def run_admin(listener: socket.socket, store: Path, token: str) -> None:
    """Answer until SIGTERM, which ends it at once: an action is safe at any point."""
    os.setpgid(0, 0)  # Ctrl-C is for the supervisor
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    bjoern.server_run(listener, admin_app(store, token))
