"""Fetching from the APIs: due ids in requests of many, answers into the journal, then the cache."""

import asyncio
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from batch.errors import FetchError
from batch.fetch.answers import ApiAnswer
from batch.fetch.cache import MOVIES, USERS, ApiCache, Due, Merged
from batch.fetch.client import MAX_IN_FLIGHT, ApiClient, RequestCounts, open_session, shown_url
from batch.fetch.ids import NamedIds
from batch.fetch.pace import Pace
from batch.fetch.schema import MOVIE_SCHEMA, USER_SCHEMA, ApiSchema, ViolationCounts
from batch.fetch.settings import FetchSettings
from batch.stages import Stages

if TYPE_CHECKING:
    import aiohttp

_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Api:
    """One of the APIs.

    Attributes:
        name: Plural of what it has: "movies" or "users"; the name of its cache.
        url: URL to which ids are added.
        schema: Fields of its answers.
        ids: Ids that the events name.
    """

    name: str
    url: str
    schema: ApiSchema
    ids: Collection[str]


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What a fetch from one API has done.

    Attributes:
        name: "movies" or "users".
        url: URL of the API.
        path: File of the cache.
        n_ids: Number of ids that the events name.
        due: Ids that were asked for, and counts of those that were not.
        merged: Answers that were added to the cache, those of a killed fetch included.
        counts: Requests and answers of this fetch.
        violations: Violations of the schema in the answers that were added.
        n_cached: Number of ids with an object in the cache.
        newest: Time of the newest answer in the cache, ISO 8601; empty without any.
        error: Why some ids have no answer; None if all have one.
    """

    name: str
    url: str
    path: Path
    n_ids: int
    due: Due
    merged: Merged
    counts: RequestCounts
    violations: ViolationCounts
    n_cached: int
    newest: str
    error: FetchError | None

    def as_dict(self) -> dict[str, Any]:
        """Return the counts for JSON."""
        return {
            "url": self.url,
            "cache": str(self.path),
            "ids": self.n_ids,
            "due": len(self.due.ids),
            "fresh": self.due.n_fresh,
            "resumed": self.due.n_resumed,
            "found": self.merged.n_found,
            "unknown": self.merged.n_unknown,
            "refused": self.merged.n_refused,
            "gone": self.merged.n_gone,
            "unusable": self.counts.n_unusable,
            "requests": self.counts.n_requests,
            "too_large": self.counts.n_too_large,
            "failures": self.counts.failures,
            "violations": self.violations.kinds,
            "wrong_types": self.violations.types,
            "cached": self.n_cached,
            "newest": self.newest,
            "error": str(self.error) if self.error else None,
        }


def apis(settings: FetchSettings, named: NamedIds) -> list[Api]:
    """Return the APIs that the settings name, that of the movies first."""
    both = (
        Api(MOVIES, settings.movie_url, MOVIE_SCHEMA, named.items),
        Api(USERS, settings.user_url, USER_SCHEMA, named.users),
    )
    return [api for api in both if api.url]


async def fetch_all(
    settings: FetchSettings, asked: Sequence[Api], stages: Stages
) -> list[FetchResult]:
    """Ask one API after the other about the ids that are due, at one common pace.

    The answers are merged into the caches at the end: until then the journals hold all of a
    fetch, and one that goes on after a kill counts all violations.

    Args:
        settings: Settings of the fetch.
        asked: APIs to ask.
        stages: Timer of the stages.

    Raises:
        BatchError: The extra is not installed, or a cache is damaged. An API that does not
            answer is not an error here, but in its result.
    """
    pace = Pace(settings.rate)
    async with open_session(settings) as session:
        all_answers = [await _ask(settings, api, session, pace, stages) for api in asked]
    with stages("merge"):
        return [_merge(answers) for answers in all_answers]


class _Asked(NamedTuple):
    """What an API was asked, before its answers are merged."""

    api: Api
    cache: ApiCache
    due: Due
    counts: RequestCounts
    error: FetchError | None


async def _ask(
    settings: FetchSettings, api: Api, session: "aiohttp.ClientSession", pace: Pace, stages: Stages
) -> _Asked:
    cache = ApiCache(Path(settings.path), api.name)
    cache.journal.recover()
    due = cache.due(api.ids, time.time() - settings.max_age_days * _DAY_SECONDS)
    error = None
    with stages(api.name, total=len(due.ids), unit="id") as advance:

        def keep(answers: Sequence[ApiAnswer]) -> None:
            cache.journal.append(answers)
            advance(len(answers))

        client = ApiClient(session, api.url, api.schema.id_field, settings, pace, keep)
        try:
            await _ask_all(client, due.ids, settings.ids_per_request)
        except FetchError as failed:
            error = failed
    return _Asked(api, cache, due, client.counts, error)


def _merge(asked: _Asked) -> FetchResult:
    api, cache = asked.api, asked.cache
    violations = ViolationCounts(api.schema)
    merged = cache.merge(violations.add)
    n_cached, newest = cache.state()
    return FetchResult(
        api.name, shown_url(api.url), cache.path, len(api.ids), asked.due, merged, asked.counts,
        violations, n_cached, newest, asked.error,
    )  # fmt: skip


async def _ask_all(client: ApiClient, ids: Sequence[str], n_at_once: int) -> None:
    """Ask about all ids, some requests at a time.

    Raises:
        FetchError: The API does not answer; the other requests are given up.
    """
    batches = (ids[begin : begin + n_at_once] for begin in range(0, len(ids), n_at_once))
    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(MAX_IN_FLIGHT):
                workers.create_task(_work(client, batches))
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def _work(client: ApiClient, batches: Iterator[Sequence[str]]) -> None:
    for ids in batches:
        await client.ask(ids)
