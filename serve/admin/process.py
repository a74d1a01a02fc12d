"""The admin processes: a Falcon app of its own, on a socket for each of four processes.

admin.sock      ─► takedown, train
verifying.sock  ─► rollback, pin, unpin
events.sock     ─► posted events, which no takedown waits for
pages.sock      ─► pages for people, which read the store and change nothing
"""

import contextlib
import os
import signal
import socket
from pathlib import Path
from typing import Final

import bjoern
import falcon

from serve.admin.actions import ACTIONS, Action, TokenCheck
from serve.admin.events import PostedEvents, TokenIsValid
from serve.pages.app import pages_app
from serve.resources.errors import write_error, write_unexpected
from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.status_paths import StatusPaths
from store.spool import Spool, SpoolLimits, make_spool, spool_folder

App = falcon.App[falcon.Request, falcon.Response]

_KIB: Final = 1 << 10


def admin_app(store: Path, token: str) -> App:
    """Return the app of actions: `/admin/<action>`, and `/train` as a short form."""
    app = _guarded_app(token)
    for name, act in ACTIONS.items():
        app.add_route(f"/admin/{name}", Action(store, act))
    app.add_route("/train", Action(store, ACTIONS["train"]))
    return app


def events_app(store: Path, token: str, settings: ServeSettings) -> App:
    """Return the app of posted events: `/events`, and `/token` for nginx."""
    app = _guarded_app(token)
    limits = SpoolLimits(settings.spool_mib, settings.spool_min_free_mib)
    spool = Spool(spool_folder(store), limits)
    app.add_route("/events", PostedEvents(spool, settings.events_kib * _KIB))
    app.add_route("/token", TokenIsValid())
    return app


def run_admin(listener: socket.socket, store: Path, token: str) -> None:
    """Answer until SIGTERM, which ends it at once: an action is safe at any point."""
    _run(listener, admin_app(store, token))


def run_events(listener: socket.socket, store: Path, token: str, settings: ServeSettings) -> None:
    """Answer until SIGTERM, which ends it at once: what was not confirmed is sent again."""
    with contextlib.suppress(OSError):  # each request says so
        make_spool(spool_folder(store))  # the collector looks for it
    _run(listener, events_app(store, token, settings))


def run_pages(
    listener: socket.socket,
    store: Path,
    token: str,
    settings: ServeSettings,
    scoreboard: Scoreboard,
    paths: StatusPaths,
) -> None:
    """Answer until SIGTERM, which ends it at once: nothing is written."""
    _run(listener, pages_app(store, token, settings, scoreboard, paths))


def _guarded_app(token: str) -> App:
    app = falcon.App(media_type=falcon.MEDIA_JSON, middleware=[TokenCheck(token)])
    app.set_error_serializer(write_error)
    app.add_error_handler(Exception, write_unexpected)
    return app


def _run(listener: socket.socket, app: App) -> None:
    os.setpgid(0, 0)  # Ctrl-C is for the supervisor
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    bjoern.server_run(listener, app)
