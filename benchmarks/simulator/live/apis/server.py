"""The APIs' own process: HTTP by aiohttp, and outages as they are set from outside."""

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

from benchmarks.simulator.editions import EDITIONS, Edition
from benchmarks.simulator.live.apis.answers import Answers, ItemAnswers, UserAnswers, is_newest
from benchmarks.simulator.live.apis.limit import RateLimit
from benchmarks.simulator.live.apis.outages import OUTAGES
from benchmarks.simulator.world import World

_WORKS, _UNAVAILABLE, _HANGS, _REFUSES = range(len(OUTAGES))
_LOOK_SECONDS: Final = 0.02  # between two looks at what outage is set
_MOST_IDS: Final = 200
_LONGEST_TARGET: Final = 1 << 17  # of a request; 200 ids of 109 bytes, escaped
_BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """How the APIs are served.

    Attributes:
        host: Address to listen at.
        port: 0 for any free one.
        per_second: Requests that each client may send a second in the long run.
        burst: Requests that it may send at once.
        odd_share: Of the fields in answers that are missing, null, `{}` or of a wrong type.
        edition: The newest takes 200 ids at once, others one.
    """

    host: str = "127.0.0.1"
    port: int = 0
    per_second: float = 50.0
    burst: int = 100
    odd_share: float = 0.0
    edition: Edition = EDITIONS["2026"]


class Told(NamedTuple):
    """Memory that the live loop writes and the APIs read.

    Attributes:
        now: The second after the history's beginning, and the outage's place in OUTAGES.
        joined: (n_users,) as in the world's users.
    """

    now: "ctypes.Array[ctypes.c_int64]"
    joined: "ctypes.Array[ctypes.c_int32]"


def run(world: World, options: ApiOptions, told: Told, parent: Connection) -> None:
    """Serve until the parent goes; it is told the port, or what went wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    users = dataclasses.replace(world.users, joined=np.ctypeslib.as_array(told.joined))
    answers = (
        UserAnswers(users, world.seed, options.edition, options.odd_share),
        ItemAnswers(world.items, world.seed, options.edition, options.odd_share),
    )
    try:
        asyncio.run(_Server(answers, options, told).serve(parent))
    except OSError as error:
        parent.send(f"{error.strerror or error}")


class _Server:
    def __init__(self, answers: Sequence[Answers], options: ApiOptions, told: Told) -> None:
        self._options = options
        self._now = told.now
        self._limit = RateLimit(options.per_second, options.burst)
        self._most_ids = _MOST_IDS if is_newest(options.edition) else 1
        self._app = web.Application(middlewares=[self._admit])
        for kind in answers:
            self._app.router.add_get(f"/{kind.kind}/{{ids}}", self._handler(kind))

    async def serve(self, parent: Connection) -> None:
        """Listen, and look after outages, until the parent's end of the connection closes."""
        runner = web.AppRunner(
            self._app, access_log=None, max_line_size=_LONGEST_TARGET, handler_cancellation=True
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
                    await asyncio.wait_for(is_over.wait(), _LOOK_SECONDS)
        await runner.cleanup()

    @property
    def _outage(self) -> int:
        return self._now[1]

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request pass if the APIs work and its sender has not sent too many."""
        while (outage := self._outage) == _HANGS:
            await asyncio.sleep(_LOOK_SECONDS)
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

    def _handler(self, answers: Answers) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            ids = request.match_info["ids"].split(",")
            if len(ids) > self._most_ids:
                what = f"at most {self._most_ids} at once, not {len(ids)}"
                return _message(400, f"too many ids: {what}")
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
    """Return a socket that keeps the port ours while nobody listens at it."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if options.port:
        # Two sockets may share a port, but nobody else's: somebody who listens there is told of.
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
