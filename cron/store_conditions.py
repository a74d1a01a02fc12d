"""What may be wrong with what is served, by the store: an experiment stopped, items pushed."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cron.alarms import URGENT, Condition
from store.arms import stopped_by_guardrail
from store.errors import StoreError
from store.layout import snapshot_folder
from store.manifest import read_manifest
from store.parse import parse_time
from store.pointer import current_or_none

NAMES: Final = frozenset({"store", "experiment", "attack"})
_DAY: Final = timedelta(days=1)
_MAX_NAMED: Final = 5
_MANY: Final = 10


def store_conditions(store: Path, now: datetime) -> Iterator[Condition]:
    """Yield the conditions of what is served, or that of a store that cannot be read."""
    try:
        found = [_experiment(store, now), *_suspects(store)]
    except StoreError as error:
        yield Condition("store", 1, str(error))
        return
    yield Condition("store", 0)
    yield from found


def _experiment(store: Path, now: datetime) -> Condition:
    """Return the condition of the experiments: wrong for a day, or until another one starts."""
    line = stopped_by_guardrail(store)
    is_new = line is not None and now - parse_time(line.at) < _DAY
    text = f"{line.why}; all users get the lists of the control" if line else ""
    return Condition("experiment", int(is_new), text)


def _suspects(store: Path) -> Iterator[Condition]:
    """Yield the condition of the served lists: whether somebody seems to push items."""
    generation = current_or_none(store)
    if generation is None:
        return
    trust = read_manifest(snapshot_folder(store, generation)).parameters.get("trust", {})
    names = [str(one["item"]) for one in trust.get("suspects", [])]
    n_more = len(names) - _MAX_NAMED
    shown = ", ".join(names[:_MAX_NAMED]) + (f" and {n_more:,} more" if n_more > 0 else "")
    text = f"items seem to be pushed: {shown}; `python -m batch trust list` says why"
    level = URGENT if len(names) > _MANY else int(bool(names))
    yield Condition("attack", level, text)
