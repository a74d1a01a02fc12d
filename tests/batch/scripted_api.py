"""An API over real HTTP whose responses a test scripts, and a clock that a test moves."""

import asyncio
import json
from collections.abc import Callable, Sequence

from aiohttp import web

from batch.fetch.answers import ApiAnswer
from batch.fetch.client import ApiClient, open_session
from batch.fetch.pace import Pace
from batch.fetch.settings import FetchSettings

Script = Callable[[Sequence[str]], web.Response]


class VirtualTime:
    """A clock that stands still but for sleeping, which takes no time."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


class ScriptedApi:
    """A server at `/movie/ID,ID,…`, and a client of it in virtual time.

    Attributes:
        requests: Virtual time and ids of each request, in order.
        answers: Answers that the client has kept, by id.
        client: Client, after the first `ask`.
    """

    def __init__(
        self, script: Script, rate: float = 1e6, retries: int = 10, user: str = ""
    ) -> None:
        self.time = VirtualTime()
        self.requests: list[tuple[float, list[str]]] = []
        self.answers: dict[str, ApiAnswer] = {}
        self._script = script
        self._settings = FetchSettings(retries=retries, timeout_seconds=30)
        self._pace = Pace(rate, self.time.clock, self.time.sleep)
        self._user = user

    def ask(self, *batches: Sequence[str]) -> None:
        """Ask about one batch after the other."""
        asyncio.run(self._ask(batches))

    async def _ask(self, batches: Sequence[Sequence[str]]) -> None:
        app = web.Application()
        app.router.add_get("/movie/{ids}", self._respond)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            url = f"http://{self._user}{host}:{port}/movie/"
            async with open_session(self._settings) as session:
                self.client = ApiClient(
                    session, url, "id", self._settings, self._pace, self._keep
                )  # fmt: skip
                for ids in batches:
                    await self.client.ask(ids)
        finally:
            await runner.cleanup()

    async def _respond(self, request: web.Request) -> web.Response:
        ids = request.match_info["ids"].split(",")
        self.requests.append((self.time.now, ids))
        return self._script(ids)

    def _keep(self, answers: Sequence[ApiAnswer]) -> None:
        self.answers |= {answer.id: answer for answer in answers}


def objects(ids: Sequence[str]) -> web.Response:
    """Return the API's own response about ids that exist."""
    entries = [{"id": one} for one in ids]
    return web.json_response(entries if len(entries) > 1 else entries[0])


def failure(status: int, **headers: str) -> web.Response:
    """Return a response without an answer."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return web.json_response({"message": "no"}, status=status, headers=named)


def docs(api: ScriptedApi) -> dict[str, object]:
    """Return the objects that the client has kept, by id."""
    return {one: json.loads(answer.doc) for one, answer in api.answers.items() if answer.doc}
