"""The state of a running server, asked over HTTP, and the figures between two answers.

    GET /pages/data/status ─► counts since its start ─┐
    GET /pages/data/status ─► counts since its start ─┴─► requests/s, success, p99, personal share

What the server sends is data of another process: a wrong form is an error, never a crash.
"""

import http.client
import json
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

from store.errors import ServiceError
from store.parse import MAX_COUNT

_PATH: Final = "/pages/data/status"
_TIMEOUT_SECONDS: Final = 2.0
_MAX_BYTES: Final = 1 << 20
_MAX_BUCKETS: Final = 128
_QUANTILE: Final = 0.99
_NS_PER_MS: Final = 1e6
_NO_PAGES_REMEDY: Final = 'set [serve] pages = "on", and serve behind nginx'


class ServiceCounts(NamedTuple):
    """Counts of a server since its start.

    Attributes:
        answers: Number of answers.
        failed: Number of failed ones among them.
        lists: Number of lists among them.
        personal: Number of personalised lists among these.
        below_ns: Number of timed lists by power of two of nanoseconds.
    """

    answers: int
    failed: int
    lists: int
    personal: int
    below_ns: tuple[int, ...]


class ServiceState(NamedTuple):
    """One answer of a server.

    Attributes:
        at: Time of the answer by the monotonic clock, in seconds.
        generation: Generation that is served; None without any.
        age_seconds: Age of the lists; None if unknown.
        n_ready: Workers that answer.
        n_workers: Workers.
        alarms: What is wrong, in words.
        counts: Counts since the start.
    """

    at: float
    generation: int | None
    age_seconds: float | None
    n_ready: int
    n_workers: int
    alarms: tuple[str, ...]
    counts: ServiceCounts

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """Return the state in an answer.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: It has another form.
        """
        workers, age = found["workers"], found["age_seconds"]
        generation = found["generation"]
        return cls(
            time.monotonic(),
            None if generation is None else int(generation),
            None if age is None else float(age),
            sum(bool(worker["ready"]) for worker in workers),
            len(workers),
            tuple(str(alarm) for alarm in found["alarms"]),
            _counts(found["counts"]),
        )


class ServiceFigures(NamedTuple):
    """Figures between two answers, or since the start; each is None if it is not known.

    Attributes:
        requests_per_second: Answers in a second.
        success: Share of the answers that did not fail.
        p99_ms: Upper bound of the time of 99 % of the lists, in milliseconds.
        personal: Share of the lists that are personalised.
    """

    requests_per_second: float | None
    success: float | None
    p99_ms: float | None
    personal: float | None


def ask_service(url: str) -> ServiceState:
    """Return the state of a server.

    Args:
        url: Address of the server: `http://HOST:PORT`.

    Raises:
        ServiceError: It does not answer, or not in the form of a server of Marquee.
    """
    connection = _connection(url)
    try:
        connection.request("GET", _PATH)
        answer = connection.getresponse()
        body = answer.read(_MAX_BYTES)
    except (OSError, http.client.HTTPException) as error:
        what = getattr(error, "strerror", None) or type(error).__name__
        raise ServiceError(url, f"does not answer: {what}") from error
    finally:
        connection.close()
    if answer.status == http.HTTPStatus.NOT_FOUND:
        raise ServiceError(url, "has no pages", _NO_PAGES_REMEDY)
    if answer.status != http.HTTPStatus.OK:
        raise ServiceError(url, f"answers with status {answer.status}")
    try:
        return ServiceState.of(json.loads(body))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ServiceError(url, f"answers in another form: {error!r:.80}") from error


def check_address(url: str) -> None:
    """Check the address of a server.

    Raises:
        ServiceError: It is not one.
    """
    _connection(url).close()


def figures(now: ServiceState, before: ServiceState | None) -> ServiceFigures:
    """Return the figures between two states, or since the start of the server.

    Args:
        now: Later state.
        before: Earlier state; None for the start. One of a server that restarted since is ignored.
    """
    if before and now.counts.answers < before.counts.answers:
        before = None
    old = before.counts if before else ServiceCounts(0, 0, 0, 0, (0,) * len(now.counts.below_ns))
    answers, failed, lists, personal = (
        n - before_n for n, before_n in zip(now.counts[:-1], old[:-1], strict=True)
    )
    seconds = now.at - before.at if before else 0.0
    below = [n - n_old for n, n_old in zip(now.counts.below_ns, old.below_ns, strict=False)]
    return ServiceFigures(
        answers / seconds if seconds > 0 else None,
        1 - failed / answers if answers else None,
        _quantile_ms(below),
        personal / lists if lists else None,
    )


def _counts(found: Mapping[str, Any]) -> ServiceCounts:
    *totals, below = ServiceCounts._fields
    if len(found[below]) > _MAX_BUCKETS:
        raise ValueError(f"{below} has {len(found[below])} values")
    return ServiceCounts(
        **{name: _count(found[name]) for name in totals}, below_ns=tuple(map(_count, found[below]))
    )


def _count(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
        raise ValueError(f"{value!r:.40} is not a valid count")
    return value


def _quantile_ms(below: list[int]) -> float | None:
    """Return the upper end of the bucket in which the quantile is; None without a timed list."""
    total, n = sum(below), 0
    for power, n_here in enumerate(below):
        n += n_here
        if total and n >= _QUANTILE * total:
            return 2.0**power / _NS_PER_MS
    return None


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urllib.parse.urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme not in ("http", "https") or not host:
        raise ServiceError(repr(url), "is not a valid address", "write http://HOST:PORT")
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    return kind(host, port, timeout=_TIMEOUT_SECONDS)
