"""The trial: what would have been served on the last day, by the new model, the old and none.

──────────── learned from ────────────┤ the last day: judged by
new       fitted to the left side alone
served    its lists as they lie in the store; they have not seen that day either
popular   the left side's most popular items
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from batch.arrays import Times
from batch.errors import BatchError
from batch.evaluation.bootstrap import Interval, intervals
from batch.evaluation.metrics import per_user
from batch.evaluation.splits import Split, split_at
from batch.gate.settings import GateSettings
from batch.models.popularity import Popularity
from batch.models.protocol import Fitted
from store.layout import LIST_LENGTH

_DAY_SECONDS: Final = 86_400
_LEAST_TRAIN_SHARE: Final = 0.5  # of the interactions: with fewer, the trial is of another model
_METRIC: Final = "ndcg"


@dataclass(frozen=True, slots=True)
class Trial:
    """What the lists of the last day's users were worth.

    Attributes:
        n_judged: Users.
        ndcg: NDCG@20 of `new`, of `popular`, and of `served` where that can be judged.
        change: By the other's name, `new` less it, user by user.
        why_not_served: Why the served lists are not among them.
    """

    n_judged: int
    ndcg: Mapping[str, Interval]
    change: Mapping[str, Interval]
    why_not_served: str


@dataclass(frozen=True, slots=True)
class LastDay:
    """The split of a trial.

    Attributes:
        split: Everything before, and the last day.
        is_new_to_served: Whether the served snapshot has seen nothing of that day.
    """

    split: Split
    is_new_to_served: bool


def last_day(
    weights: sp.csr_matrix,
    at: Times | None,
    seen_until: int | None,
    settings: GateSettings,
    seed: int,
) -> LastDay | str:
    """Split off the last day, or what of it the served snapshot has not seen; else say why not.

    Args:
        weights: (n_users, n_items).
        at: (n_interactions,) seconds since 1970 beside `weights.data`, 0 if unknown;
            None if all are.
        seen_until: The latest of the served snapshot's events, in the same seconds; None
            if nothing is served.
        settings: How many users are wanted.
        seed: Of the users judged, if there are more.
    """
    if at is None or not (latest := int(at.max(initial=0))):
        return "the events have no times"
    day_before = latest - _DAY_SECONDS
    cuts = [(day_before, False)] if seen_until is None else [
        (max(day_before, seen_until), True), (day_before, False)
    ]  # fmt: skip
    why = ""
    for cut, is_new in cuts:
        try:
            split = split_at(weights, at, cut)
        except BatchError:
            why = "nobody has events both on the last day and before it"
            continue
        if split.train.nnz < _LEAST_TRAIN_SHARE * len(at):
            return "most events are of the last day"
        if len(split.user_rows) >= settings.min_evaluated_users:
            return LastDay(_fewer(split, settings.max_evaluated_users, seed), is_new)
        why = f"only {len(split.user_rows):,} users have events on the last day and before it"
    return why


def judge_last_day(
    fitted: Fitted,
    day: LastDay,
    served: npt.NDArray[np.int32] | None,
    *,
    n_threads: int = 0,
    seed: int = 0,
) -> Trial:
    """Judge three lists of each user by what they had on the last day.

    Args:
        fitted: To the left side of the split.
        day: The split.
        served: (n_judged, 20) item rows as they are served now; None if nothing is.
        n_threads: 0 means all processors.
        seed: Of the bootstrap.
    """
    split = day.split
    popular = Popularity().fit(split.train)
    lists = {"new": split.lists(fitted, LIST_LENGTH, n_threads).item_rows}
    lists["popular"] = split.lists(popular, LIST_LENGTH, n_threads).item_rows
    if served is not None and day.is_new_to_served:
        lists["served"] = served
    figures = {name: per_user(rows, split.test)[_METRIC] for name, rows in lists.items()}
    others = [name for name in figures if name != "new"]
    columns = [*figures.values(), *(figures["new"] - figures[name] for name in others)]
    everybody = np.ones((len(split.user_rows), 1), dtype=bool)
    found = intervals(np.stack(columns, axis=1), everybody, seed=seed)[0]
    return Trial(
        n_judged=len(split.user_rows),
        ndcg=dict(zip(figures, found, strict=False)),
        change=dict(zip(others, found[len(figures) :], strict=True)),
        why_not_served="nothing is served yet" if served is None else "it has seen the last day",
    )


def _fewer(split: Split, most: int, seed: int) -> Split:
    """Return the split with at most so many judged users."""
    n_users = len(split.user_rows)
    if n_users <= most:
        return split
    rows = np.sort(np.random.default_rng(seed).choice(n_users, most, replace=False))
    return replace(
        split, user_rows=split.user_rows[rows], fold_in=split.fold_in[rows], test=split.test[rows]
    )
