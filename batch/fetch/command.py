"""The command `python -m batch fetch`."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

from batch.errors import FetchError
from batch.fetch.cache import locked_folder
from batch.fetch.client import RequestCounts
from batch.fetch.fetch import FetchResult, apis, fetch_all
from batch.fetch.ids import named_ids
from batch.fetch.schema import ViolationCounts
from batch.fetch.settings import FetchSettings
from batch.settings import BatchSettings
from batch.stages import Stages
from store.config import load_section

_KINDS: Final = {  # in words, in the order in which they are printed
    "missing": "missing",
    "null": "null",
    "empty": "{}",
    "type": "of a wrong type",
    "range": "out of range",
    "unexpected": "unexpected",
}

_EXAMPLE = """example:
  export MARQUEE_FETCH_MOVIE_URL=http://api-host:8080/movie
  export MARQUEE_FETCH_USER_URL=http://api-host:8080/user
  python -m batch fetch --events var/events
  python -m batch refresh --events var/events \\
      --catalogue var/api/movies.parquet --profiles var/api/users.parquet

Only ids without an answer, or with one older than [fetch] max_age_days, are asked for. A fetch
that was killed goes on where it was. Exit status: 0 done, 1 an API did not answer (the copies of
earlier answers stay in use, and hold all that came in), 2 wrong usage."""


def add_fetch(verbs: Any) -> None:
    """Add the verb to the parser of `python -m batch`."""
    verb = verbs.add_parser(
        "fetch",
        help="ask the user and movie APIs for the ids that the events name",
        description="Copy what the user and movie APIs answer about the ids of the events.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "--events", nargs="+", action="extend", metavar="PATH",
        help="event files or directories; default: [batch] events",
    )  # fmt: skip
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=_fetch)


def _fetch(arguments: argparse.Namespace, settings: BatchSettings) -> str:
    fetch = load_section("fetch", FetchSettings, arguments.config)
    if not (fetch.user_url or fetch.movie_url):
        remedy = 'set movie_url = "http://HOST:8080/movie", or user_url, or both'
        raise FetchError("[fetch]", "no API is named", remedy)
    stages = Stages()
    with locked_folder(Path(fetch.path)):
        with stages("events", unit="line") as advance:
            named = named_ids(settings, advance)
        results = asyncio.run(fetch_all(fetch, apis(fetch, named), stages))
    text = _as_json(results) if arguments.json else "\n".join(map(_as_text, results))
    if failed := [result for result in results if result.error]:
        sys.stdout.write(text + "\n")
        raise _error(failed)
    return text


def _error(failed: list[FetchResult]) -> FetchError:
    """Return one error for all APIs that did not answer, with what stays in use."""
    problems = [
        f"{result.error.problem}; {_n_left(result):,} of {result.n_ids:,} {result.name} are "
        f"as they were, and {_in_use(result)}"
        for result in failed
        if result.error
    ]
    first = failed[0].error
    advice = first.advice if first else None
    return FetchError(" and ".join(one.url for one in failed), "; ".join(problems), advice)


def _n_left(result: FetchResult) -> int:
    return len(result.due.ids) - result.counts.n_answered


def _in_use(result: FetchResult) -> str:
    if not result.newest:
        return f"there is no earlier copy in {result.path}"
    return (
        f"{result.path} stays in use: {result.n_cached:,} {result.name}, "
        f"the newest answer of {result.newest}"
    )


def _as_json(results: list[FetchResult]) -> str:
    return json.dumps({result.name: result.as_dict() for result in results})


def _as_text(result: FetchResult) -> str:
    due, merged = result.due, result.merged
    resumed = f", {due.n_resumed:,} of them by a fetch that was stopped" if due.n_resumed else ""
    counts = {
        "found": merged.n_found,
        "unknown to the API": merged.n_unknown,
        "refused by it": merged.n_refused,
        "with an answer before and none now": merged.n_gone,
        "without a usable answer": result.counts.n_unusable,
    }
    lines = [
        f"{result.name:<9}{result.n_ids:,} in the events: {due.n_fresh:,} answered recently"
        f"{resumed}, {len(due.ids):,} asked for",
        "answers: " + (_listed(counts) or "none"),
        _requests(result.counts),
        *_violations(result.violations),
        f"{result.path}: {result.n_cached:,} {result.name}"
        + (f", the newest answer of {result.newest}" if result.newest else ""),
    ]
    return "\n         ".join(lines)


def _requests(counts: RequestCounts) -> str:
    too_large = f", {counts.n_too_large:,} too large: lower [fetch] ids_per_request"
    failures = f", of which failed: {_listed(dict(counts.failures.most_common()))}"
    return (
        f"requests: {counts.n_requests:,}"
        + (failures if counts.failures else "")
        + (too_large if counts.n_too_large else "")
    )


def _violations(counts: ViolationCounts) -> list[str]:
    """Return a line for each field with violations, the most violated first."""
    by_total = sorted(counts.kinds.items(), key=lambda entry: (-entry[1].total(), entry[0]))
    return [
        f"{name}, {kinds.total():,} of {counts.n_docs:,}: "
        + _listed({words: kinds[kind] for kind, words in _KINDS.items()})
        + (f" ({_listed(counts.types[name])})" if name in counts.types else "")
        for name, kinds in by_total
    ]


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in counts.items() if n)
