"""The process of the APIs: an aiohttp server with outages set by the simulation."""

import asyncio
import contextlib
import ctypes
import dataclasses
import json
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final, NamedTuple

import numpy as np
from aiohttp import web
from aiohttp.typedefs import Handler

from benchmarks.simulator.live.apis.limit import RateLimit
from benchmarks.simulator.live.apis.lookup import ItemLookup, Lookup, UserLookup, is_newest
from benchmarks.simulator.live.apis.outages import OUTAGES
from benchmarks.simulator.log_formats import LOG_FORMATS, LogFormat
from benchmarks.simulator.world.world import World

_WORKS, _UNAVAILABLE, _HANGS, _REFUSES = range(len(OUTAGES))
_POLL_SECONDS: Final = 0.02  # between two checks of the outage
_MAX_IDS: Final = 200
_MAX_TARGET_BYTES: Final = 1 << 17  # of a request; 200 ids of 109 bytes, escaped
_BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """Options of the APIs.

    Attributes:
        host: Address to listen on.
        port: Port to listen on, 0 for any free one.
        per_second: Requests that each client may send a second in the long run.
        burst: Requests that it may send at once.
        defect_share: Share of the fields that are missing, null, `{}` or of a wrong type.
        log_format: Log format; with the newest one the APIs accept 200 ids at once, else one.
    """

    host: str = "127.0.0.1"
    port: int = 0
    per_second: float = 50.0
    burst: int = 100
    defect_share: float = 0.0
    log_format: LogFormat = LOG_FORMATS["2026"]


class SharedState(NamedTuple):
    """Memory that the simulation writes and the APIs read.

    Attributes:
        now: Second after the history's beginning, and index of the outage in OUTAGES.
        joined: (n_users,) time at which each user joins, like `Users.joined`.
    """

    now: "ctypes.Array[ctypes.c_int64]"
    joined: "ctypes.Array[ctypes.c_int32]"


def run(world: World, options: ApiOptions, shared: SharedState, parent: Connection) -> None:
    """Serve until the parent ends; send it the port, or an error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    users = dataclasses.replace(world.users, joined=np.ctypeslib.as_array(shared.joined))
    answers = (
        UserLookup(users, world.seed, options.log_format, options.defect_share),
        ItemLookup(world.items, world.seed, options.log_format, options.defect_share),
    )
    try:
        asyncio.run(_Server(answers, options, shared).serve(parent))
    except OSError as error:
        parent.send(f"{error.strerror or error}")


class _Server:
    def __init__(self, answers: Sequence[Lookup], options: ApiOptions, shared: SharedState) -> None:
        self._options = options
        self._now = shared.now
        self._limit = RateLimit(options.per_second, options.burst)
        self._max_ids = _MAX_IDS if is_newest(options.log_format) else 1
        self._app = web.Application(middlewares=[self._admit])
        for kind in answers:
            self._app.router.add_get(f"/{kind.kind}/{{ids}}", self._handler(kind))

    async def serve(self, parent: Connection) -> None:
        """Serve and apply outages until the parent's end of the connection closes."""
        runner = web.AppRunner(
            self._app, access_log=None, max_line_size=_MAX_TARGET_BYTES, handler_cancellation=True
        )
        await runner.setup()
        with contextlib.closing(_reserved(self._options)) as reserved:
            site: web.BaseSite | None = await _listen(runner, reserved)
            parent.send(reserved.getsockname()[1])
            is_over = asyncio.Event()
            asyncio.get_running_loop().add_reader(parent.fileno(), is_over.set)
            while not is_over.is_set():
                refuses = self._outage == _REFUSES
                if refuses and site:
                    await site.stop()
                    site = None
                elif not refuses and not site:
                    site = await _listen(runner, reserved)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(is_over.wait(), _POLL_SECONDS)
        await runner.cleanup()

    @property
    def _outage(self) -> int:
        return self._now[1]

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Pass a request on if the APIs work and its client is within the rate limit."""
        while (outage := self._outage) == _HANGS:
            await asyncio.sleep(_POLL_SECONDS)
        if outage == _REFUSES and request.transport:
            request.transport.abort()  # a connection from before the outage
        if outage:
            return _message(503, "the service is unavailable")
        wait = self._limit.seconds_to_wait(request.remote or "", time.monotonic())
        if wait:
            response = _message(429, f"too many requests, come back in {wait} s")
            response.headers["Retry-After"] = str(wait)
            return response
        return await handler(request)

    def _handler(self, answers: Lookup) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            ids = request.match_info["ids"].split(",")
            if len(ids) > self._max_ids:
                problem = f"at most {self._max_ids} at once, not {len(ids)}"
                return _message(400, f"too many ids: {problem}")
            found = answers.find(ids, self._now[0])
            missing = [f"{answers.kind} {one} not found" for one in ids]
            if not any(found):
                return _message(404, ", ".join(missing))
            texts = [
                text or json.dumps({"message": message}).encode()
                for text, message in zip(found, missing, strict=True)
            ]
            body = texts[0] if len(texts) == 1 else b"[" + b",".join(texts) + b"]"
            return web.Response(body=body, content_type="application/json", charset="utf-8")

        return answer


def _message(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


def _reserved(options: ApiOptions) -> socket.socket:
    """Return a socket that reserves the port while no socket listens on it."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if options.port:
        # Sockets of this process share the port; a socket of another process is an error.
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((options.host, options.port))
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind((options.host, options.port))
    return reserved


async def _listen(runner: web.AppRunner, reserved: socket.socket) -> web.BaseSite:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(reserved.getsockname())
    site = web.SockSite(runner, listening, backlog=_BACKLOG)
    await site.start()
    return site
