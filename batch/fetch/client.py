"""The client of an API: one request for many ids, tried again until it has an answer.

    status                          what follows
    200; 404 with a message         answers
    408, 425, 429, 5xx, none        a pause and another try; for all requests after `Retry-After`
    400, 413, 414 for several ids   two requests of half the ids
    404, 400 and the like for one   the id is refused, if the API has answered about others
    anything else                   an error at once

Pauses double from 1 s to 30 s, half of each random: clients that failed together do not come
back together (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
"""

import contextlib
import importlib
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, urlsplit

from batch.errors import FetchError
from batch.fetch.answers import (
    FOUND,
    UNKNOWN,
    ApiAnswer,
    MalformedError,
    is_not_found,
    parse_answers,
)
from batch.fetch.pace import Pace
from batch.fetch.settings import FetchSettings

if TYPE_CHECKING:
    import aiohttp

MAX_IN_FLIGHT: Final = 8  # requests that wait for their answer

_NOT_CONNECTED: Final = 0  # in place of a status
_RETRIED: Final = frozenset((_NOT_CONNECTED, 408, 425, 429, *range(500, 600)))
_TOO_LARGE: Final = frozenset((400, 413, 414))
_OF_ONE_ID: Final = frozenset((400, 404, 405, 406, 409, 410, 413, 414, 422))
_FIRST_PAUSE_SECONDS: Final = 1.0
_MAX_PAUSE_SECONDS: Final = 30.0
_MAX_RETRY_AFTER_SECONDS: Final = 300.0  # an API that asks for more is not available
_MAX_BODY_BYTES: Final = 1 << 26
_CHUNK_BYTES: Final = 1 << 16
_UNESCAPED: Final = "+*"  # in ids of movies; a path may have them
_EXTRA: Final = "install the extra `fetch`: pip install 'aiohttp>=3.12'"


class _Response(NamedTuple):
    """What came back from one try.

    Attributes:
        status: HTTP status, 0 without any.
        body: Body.
        retry_after: Seconds to wait, as the API asks; 0 without such a header.
        problem: Reason why there is no answer, in words.
    """

    status: int
    body: bytes
    retry_after: float
    problem: str


@dataclass(slots=True)
class RequestCounts:
    """What a client has sent and received.

    Attributes:
        n_requests: Number of requests, further tries included.
        n_answered: Number of ids that were answered.
        n_too_large: Number of requests that the API called too large.
        n_unusable: Number of ids to which the API sent something else than an answer.
        failures: Number of failed tries by reason.
    """

    n_requests: int = 0
    n_answered: int = 0
    n_too_large: int = 0
    n_unusable: int = 0
    failures: Counter[str] = field(default_factory=Counter)


class ApiClient:
    """Client of one API.

    Attributes:
        url: URL for messages, without user name and password.
        counts: What it has sent and received.
    """

    def __init__(
        self,
        session: "aiohttp.ClientSession",
        url: str,
        id_field: str,
        settings: FetchSettings,
        pace: Pace,
        keep: Callable[[Sequence[ApiAnswer]], object],
    ) -> None:  # fmt: skip
        """Make a client, without connecting.

        Args:
            session: Session that sends the requests.
            url: URL to which ids are added.
            id_field: Field of an answer with the id.
            settings: Retries and the time of a try.
            pace: Pace of the requests, shared by all clients of the same service.
            keep: Function that is called with the answers of each request.
        """
        self.url = shown_url(url)
        self.counts = RequestCounts()
        self._session = session
        self._base = url.rstrip("/")
        self._id_field = id_field
        self._settings = settings
        self._pace = pace
        self._keep = keep

    async def ask(self, ids: Sequence[str]) -> None:
        """Ask about some ids, until each has an answer.

        Raises:
            FetchError: The API does not answer in any try, or in a way that no other try changes.
        """
        problem = ""
        for attempt in range(self._settings.retries + 1):
            response = await self._send(ids)
            if response.status in _TOO_LARGE and len(ids) > 1:
                self.counts.n_too_large += 1
                half = len(ids) // 2
                await self.ask(ids[:half])
                await self.ask(ids[half:])
                return
            if not (problem := self._use(response, ids)):
                return
            self.counts.failures[problem] += 1
            if attempt < self._settings.retries:
                await self._wait(attempt, response.retry_after)
        raise FetchError(self.url, f"{problem}, the last of {self._settings.retries + 1} tries")

    def _use(self, response: _Response, ids: Sequence[str]) -> str:
        """Keep the answers of a response, or return why another try is needed.

        Raises:
            FetchError: Another try cannot help.
        """
        if response.status in _RETRIED:
            return response.problem
        if response.status == FOUND:
            try:
                answers = parse_answers(response.body, ids, self._id_field)
            except MalformedError as error:
                return str(error)
        elif response.status == UNKNOWN and is_not_found(response.body):
            answers = [ApiAnswer(name, UNKNOWN, "") for name in ids]
        elif response.status in _OF_ONE_ID and len(ids) == 1 and self.counts.n_answered:
            answers = [ApiAnswer(ids[0], response.status, "")]
        else:
            remedy = "check the URL in [fetch], and that the API lets this machine in"
            raise FetchError(self.url, response.problem, remedy)
        self.counts.n_unusable += len(ids) - len(answers)
        self._keep(answers)
        self.counts.n_answered += len(answers)
        return ""

    async def _wait(self, attempt: int, retry_after: float) -> None:
        """Wait before another try; no request is sent while the API asks for a pause."""
        longest = min(_FIRST_PAUSE_SECONDS * 2**attempt, _MAX_PAUSE_SECONDS)
        seconds = longest / 2 + random.uniform(0, longest / 2)
        if retry_after > _MAX_RETRY_AFTER_SECONDS:
            raise FetchError(self.url, f"asks for a pause of {retry_after:,.0f} s")
        if retry_after:
            self._pace.pause(retry_after)
            seconds = retry_after + random.uniform(0, _FIRST_PAUSE_SECONDS)
        await self._pace.sleep(seconds)

    async def _send(self, ids: Sequence[str]) -> _Response:
        import aiohttp
        from yarl import URL

        target = ",".join(quote(name, safe=_UNESCAPED) for name in ids)
        await self._pace.turn()
        self.counts.n_requests += 1
        try:
            async with self._session.get(
                URL(f"{self._base}/{target}", encoded=True), allow_redirects=False
            ) as response:
                body = await _body(response)
                problem = f"HTTP status {response.status}"
                return _Response(response.status, body, _retry_after(response.headers), problem)
        except TimeoutError:
            problem = f"no answer within {self._settings.timeout_seconds:g} s"
        except _OversizeError:
            problem = f"an answer of more than {_MAX_BODY_BYTES:,} bytes"
        except aiohttp.ClientError as error:
            number = getattr(error, "errno", None) or 0  # of an error of the system
            problem = os.strerror(number).lower() if number > 0 else type(error).__name__
        return _Response(_NOT_CONNECTED, b"", 0.0, problem)


class _OversizeError(Exception):
    """The body of a response is larger than it may be."""


async def _body(response: "aiohttp.ClientResponse") -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise _OversizeError
    return bytes(body)


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of `Retry-After`, a number or a date (RFC 9110, 10.2.3); 0 without it."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max((at - datetime.now(UTC)).total_seconds(), 0.0)


@contextlib.asynccontextmanager
async def open_session(settings: FetchSettings) -> "AsyncIterator[aiohttp.ClientSession]":
    """Open the session of the clients.

    Raises:
        FetchError: The extra is not installed.
    """
    try:
        aiohttp = importlib.import_module("aiohttp")
    except ImportError as error:
        raise FetchError("aiohttp", "is not installed", _EXTRA) from error
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=settings.timeout_seconds),
        connector=aiohttp.TCPConnector(limit=MAX_IN_FLIGHT),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "application/json", "User-Agent": "marquee"},
    ) as session:
        yield session


def shown_url(url: str) -> str:
    """Return a URL as it may be shown: without user name and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
