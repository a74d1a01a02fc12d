"""Provenance of one answer of the past: which model gave it, from which code and which data.

    user, time ─► line of the answer ─► generation and arm that gave it, by its items
                                         ├─► manifest: code, partitions with hashes, parameters
                                         └─► snapshot: rank, score and origin of each item

`python -m store explain` says what the generation of the moment gives a user; here the
answer that was logged is compared with it. Its id is `GENERATION:ARM:CRC-32 of the body`.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

import numpy as np
import pyarrow.compute as pc

from store.explain import Explanation, explain
from store.fresh import FreshList, decode, open_fresh
from store.manifest import Manifest, kept_manifest
from stream.online.events import DAY_SECONDS, DayFiles
from stream.online.placement import Placement, placements
from stream.online.served_lists import (
    NO_ANSWER,
    OTHER,
    PRUNED,
    Origin,
    ServedLists,
    generations_beside,
)

_NO_ARM: Final = "-"
_FRESH: Final = "fresh"
_SHARE: Final = "share_"  # of a metric of the manifest: share of a model in the blend
_NOTES: Final = {
    NO_ANSWER: "the request failed: nothing was shown",
    OTHER: "no snapshot of that time gave this list: a fresh list since replaced, one by recent "
    "views or by a history in the request, or not an answer of this store",
    PRUNED: "the snapshot was pruned, its manifest is kept: the list cannot be compared",
}


class AnswerLine(NamedTuple):
    """A line of the stream on an answered request.

    Attributes:
        at: Time by the clock of the events, ISO 8601.
        host: Host that answered.
        status: HTTP status by the grader.
        milliseconds: Time of the answer.
        items: Item ids joined by commas; None for a failed request.
        result: Text of a failure; None for a list.
    """

    at: str
    host: str
    status: int
    milliseconds: int
    items: str | None
    result: str | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """The provenance of an answer.

    Attributes:
        user_id: User of the request.
        answer: Line of the answer; None where no line was kept, and the current generation of
            that time is explained instead.
        answer_id: Id of the answer: generation, arm, and CRC-32 of the body.
        generation: Generation that gave it.
        arm: Arm of that generation; None without one.
        source: Source of the list.
        is_confirmed: Whether the snapshot has the very list; None without a line to compare.
        note: Reason why the list is not confirmed; empty if it is.
        items: Place of each item.
        expected: Answer of the current generation of that time, as `store explain` gives it.
        manifest: Manifest of the generation: code, inputs, parameters, gate.
    """

    user_id: str
    answer: AnswerLine | None
    answer_id: str
    generation: int
    arm: str | None
    source: str
    is_confirmed: bool | None
    note: str
    items: Sequence[Placement]
    expected: Explanation
    manifest: Manifest

    @property
    def model_shares(self) -> dict[str, float]:
        """Share of each model in the blend that made the lists; empty for a single model."""
        metrics = self.manifest.metrics.items()
        return {
            name.removeprefix(_SHARE): share
            for name, share in metrics
            if name.startswith(_SHARE) and share
        }

    def as_json(self) -> dict[str, Any]:
        """Return the provenance as plain data."""
        flip, about = self.expected.flip, self.manifest.as_json()
        names = ("began_at", "finished_at", "code_version", "inputs", "parameters", "gate")
        return {
            "user_id": self.user_id,
            "answer_id": self.answer_id,
            "answer": self.answer and self.answer._asdict(),
            "generation": self.generation,
            "arm": self.arm,
            "source": self.source,
            "is_confirmed": self.is_confirmed,
            "note": self.note,
            "items": [one._asdict() for one in self.items],
            "history": self.expected.history,
            "flip": flip and flip._asdict(),
            "model": self.manifest.parameters.get("model"),
            "model_shares": self.model_shares,
            **{name: about[name] for name in names},
        }


def provenance(
    store: Path, events: Path, user_id: str, at: datetime, utc_offset_minutes: int = 0
) -> Provenance:
    """Return the provenance of the latest answer to a user at a time or before, on that day.

    Args:
        store: Directory of the store.
        events: Directory of the day partitions.
        user_id: User of the request.
        at: Time of the request, with a time zone.
        utc_offset_minutes: Minutes by which the clock of the events is ahead of UTC.

    Raises:
        StoreError: The user id is not valid, or nothing was served at that time.
        InputError: A file of events is damaged.
    """
    expected = explain(store, user_id, at)
    moment = int((at + timedelta(minutes=utc_offset_minutes)).timestamp())
    line = _answer_line(events, user_id, moment)
    if line is None:
        items = expected.items or []
        origin = Origin(expected.generation, expected.source or PRUNED, "")
    else:
        items = line.items.split(",") if line.items else []
        origin = _origin(store, user_id, line, 60 * utc_offset_minutes)
    manifest, places = _read(store, origin, user_id, items)
    arm = manifest.arm
    body = ",".join(items).encode()
    confirmed = None if line is None or origin.source == PRUNED else origin.source not in _NOTES
    return Provenance(
        user_id,
        line,
        f"{origin.generation}:{arm or _NO_ARM}:{crc32(body):08x}",
        origin.generation,
        arm,
        origin.source,
        confirmed,
        _NOTES.get(origin.source, "") if line else "no line of an answer to this user was kept",
        places,
        expected,
        manifest,
    )


def _answer_line(events: Path, user_id: str, moment: int) -> AnswerLine | None:
    """Return the user's latest answer of the day at a time or before."""
    found = None
    with DayFiles(events) as files:
        for answers in files.pieces("answers", [moment // DAY_SECONDS]):
            is_his = pc.equal(answers["user_id"].cast("string"), user_id)
            rows = answers.filter(pc.and_(is_his, pc.less_equal(answers["at"], moment)))
            for row in rows.to_pylist():
                if found is None or row["at"] >= found["at"]:
                    found = row
    if found is None:
        return None
    at = str(np.datetime64(found["at"], "s"))
    return AnswerLine(at, *(found[name] for name in AnswerLine._fields[1:]))


def _origin(store: Path, user_id: str, line: AnswerLine, offset: int) -> Origin:
    at = int(np.datetime64(line.at, "s").astype(np.int64))
    with ServedLists(store, offset, generations_beside(store)) as served:
        body = line.items.encode() if line.items else None
        origin = served.origins([user_id.encode()], np.array([at]), [body])[0]
    fresh = _fresh_list(store, user_id.encode()) if origin.source == OTHER else None
    if fresh and fresh.body == body:
        return Origin(fresh.generation, _FRESH, origin.segment)
    return origin


def _fresh_list(store: Path, user_id: bytes) -> FreshList | None:
    """Return the fresh list that the speed layer has for a user now; None without one."""
    lists = open_fresh(store)
    if lists is None:
        return None
    with contextlib.closing(lists):
        value = lists.get(user_id)
        return decode(user_id, value) if value else None


def _read(
    store: Path, origin: Origin, user_id: str, items: Sequence[str]
) -> tuple[Manifest, list[Placement]]:
    """Return the manifest of a generation, and the place of each item by its snapshot."""
    with ServedLists(store) as served:
        lists = served.lists(origin.generation)
        if lists is None:
            places = [Placement(rank, name, None, None, None) for rank, name in enumerate(items, 1)]
            return kept_manifest(store, origin.generation), places
        snapshot = lists.snapshot
        return snapshot.manifest, placements(snapshot, user_id, items, origin.source)
