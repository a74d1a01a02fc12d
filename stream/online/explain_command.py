"""What `python -m stream explain USER --at TIME` prints: the origin of an answer."""

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from store.config import StoreSettings, load_section
from stream.online.provenance import Provenance, provenance
from stream.online.settings import OnlineSettings
from stream.settings import StreamSettings

_SHOWN_HASH: Final = 12  # characters


def explain_answer(options: argparse.Namespace) -> int:
    """Explain the answer to `options.user` at `options.at`."""
    config = options.config
    store = options.store or Path(load_section("store", StoreSettings, config).path)
    events = options.events or Path(load_section("stream", StreamSettings, config).events)
    offset = load_section("online", OnlineSettings, config).utc_offset_minutes
    found = provenance(store, events, options.user, options.at, offset)
    print(json.dumps(found.as_json()) if options.json else "\n".join(_lines(found)))  # noqa: T201
    return 1 if found.is_confirmed is False else 0


def _lines(found: Provenance) -> Iterator[str]:
    about, answer, flip = found.manifest, found.answer, found.expected.flip
    verdict = {True: "as the snapshot has it", False: "not confirmed", None: "not compared"}
    yield f"user          {found.user_id}"
    if answer:
        result = answer.result or f"{len(found.items)} items"
        where = f"by {answer.host}, status {answer.status}, {answer.milliseconds} ms: {result}"
        yield f"answer        {answer.at} {where}"
    yield f"answer id     {found.answer_id}"
    yield f"list          {found.source or 'none'}, {verdict[found.is_confirmed]}"
    if found.note:
        yield f"note          {found.note}"
    since = f", current since {flip.at} ({flip.what}: {flip.why})" if flip else ""
    yield f"generation    {found.generation}, arm {found.arm or 'none'}{since}"
    shares = ", ".join(f"{name} {share:g}" for name, share in found.model_shares.items())
    yield f"model         {about.parameters.get('model', 'unknown')}{shares and f': {shares}'}"
    yield f"code          {about.code_version}"
    yield f"built         {about.began_at} to {about.finished_at}"
    for one in about.inputs:
        fields = (one.get("kind"), one.get("name"), str(one.get("sha256", ""))[:_SHOWN_HASH])
        yield f"input         {' '.join(str(field) for field in fields)}"
    for place in found.items:
        score = "" if place.score is None else f"score {place.score:.6g}"
        rank = "" if place.model_rank is None else f"model's rank {place.model_rank}"
        cells = (f"{place.rank:2}", place.item_id, score, rank, place.placed_by or "unknown")
        yield f"item          {'  '.join(cell for cell in cells if cell)}"


def time_of(text: str) -> datetime:
    """Return the time of the option `--at`, UTC without a time zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be as 2026-11-14T12:23:12, not {text!r}") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
