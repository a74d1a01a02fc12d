"""The trial: new, served and popular lists, evaluated on the last day of the events.

──────────── training ────────────┤ last day: evaluation
new       what makes the lists: the model fitted to the left side alone, or the second stage on it
served    the lists in the parent snapshot, which was not trained on that day either
popular   the left side's most popular items
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Flags, ItemRows, Rows, Times
from batch.errors import BatchError
from batch.evaluation.bootstrap import Interval, intervals
from batch.evaluation.metrics import per_user
from batch.evaluation.splits import Split, split_at
from batch.gate.settings import GateSettings
from batch.models.popularity import Popularity
from batch.models.protocol import Fitted, Ranker
from batch.parent import LAST_DAY
from batch.unavailable import Unavailable
from store.layout import LIST_LENGTH

_DAY_SECONDS: Final = 86_400
_MIN_TRAIN_SHARE: Final = 0.5  # of the interactions; with fewer the model is not comparable
_METRIC: Final = "ndcg"
_MODEL: Final = "model"


@dataclass(frozen=True, slots=True)
class Trial:
    """Quality of the lists on the last day.

    Attributes:
        n_users: Number of evaluated users.
        ndcg: Mean NDCG@20 with its interval, by lists: `new`, `popular`, and `served`
            where the parent's lists could be evaluated.
        change: Mean difference of `new` to each of the others, paired by user.
        missing: Reason for each of the others that could not be evaluated.
        of_groups: Number of users and mean NDCG@20 of `new` by group of users.
        ranker: What made the new lists: "model" alone, or "second stage".
    """

    n_users: int
    ndcg: Mapping[str, Interval]
    change: Mapping[str, Interval]
    missing: Mapping[str, str]
    of_groups: Mapping[str, tuple[int, Interval]] = field(default_factory=dict)
    ranker: str = _MODEL

    def as_json(self) -> dict[str, Any]:
        """Return the figures as the manifest holds them; intervals are mean, low and high."""
        return {
            "n_users": self.n_users,
            "ndcg": {name: _rounded(found) for name, found in self.ndcg.items()},
            "change": {name: _rounded(found) for name, found in self.change.items()},
            "missing": dict(self.missing),
            "groups": [
                {"group": name, "n_users": n_users, "ndcg": _rounded(found)}
                for name, (n_users, found) in self.of_groups.items()
            ],
        }

    def metrics(self) -> dict[str, Any]:
        """Return the figures for the manifest."""
        ndcg = {f"last_day_ndcg_{name}": round(found.mean, 4) for name, found in self.ndcg.items()}
        return {
            "last_day_users": self.n_users,
            "last_day_ranker": self.ranker,
            **ndcg,
            LAST_DAY: self.as_json(),
        }


@dataclass(frozen=True, slots=True)
class LastDay:
    """The split of a trial.

    Attributes:
        split: Split into everything before the last day, and that day.
        is_new_to_served: Whether the parent snapshot was trained without that day.
    """

    split: Split
    is_new_to_served: bool


@dataclass(frozen=True, slots=True)
class TrialModel:
    """The model of a trial, and what it is evaluated on.

    Attributes:
        fitted: Model fitted to the training side of the last day.
        day: Split of the trial.
        user_rows: (n_users,) rows of the split's users among all users.
        served: (n_evaluated, 20) item rows of the served lists; None without a parent.
        groups: (n_evaluated,) members of each group to evaluate apart.
        seed: Random seed of the bootstrap.
        n_threads: Number of threads; 0 means all processors.
    """

    fitted: Fitted
    day: LastDay
    user_rows: Rows
    served: ItemRows | None
    groups: Mapping[str, Flags]
    seed: int
    n_threads: int

    def evaluate(self, ranker: Ranker | None = None, name: str = _MODEL) -> Trial:
        """Evaluate the lists of the model on the last day.

        Args:
            ranker: What makes the lists; None: the model alone.
            name: Name of it for the manifest.
        """
        ranker = ranker or self.fitted
        found = evaluate_last_day(
            ranker,
            self.day,
            self.served,
            groups=self.groups,
            n_threads=self.n_threads,
            seed=self.seed,
        )
        return replace(found, ranker=name)


def last_day(
    weights: sp.csr_matrix,
    at: Times | None,
    seen_until: int | None,
    settings: GateSettings,
    seed: int,
) -> LastDay | Unavailable:
    """Split off the last day, or the part of it that the parent was trained without.

    Args:
        weights: (n_users, n_items) weights of the interactions.
        at: (n_interactions,) seconds since 1970 beside `weights.data`, 0 if unknown;
            None if all are unknown.
        seen_until: Time of the parent's latest event, in the same seconds; None without a
            parent.
        settings: Gate settings with the limits of the number of users.
        seed: Random seed of the sample of users, where there are too many.

    Returns:
        The split, or the reason of its absence.
    """
    if at is None or not (latest := int(at.max(initial=0))):
        return Unavailable("the events have no times")
    day_before = latest - _DAY_SECONDS
    cutoffs = [(day_before, False)] if seen_until is None else [
        (max(day_before, seen_until), True), (day_before, False)
    ]  # fmt: skip
    reason = ""
    for cutoff, is_new in cutoffs:
        try:
            split = split_at(weights, at, cutoff)
        except BatchError:
            reason = "no user has events both on the last day and before it"
            continue
        if split.train.nnz < _MIN_TRAIN_SHARE * len(at):
            return Unavailable("most events are of the last day")
        if len(split.user_rows) >= settings.min_evaluated_users:
            return LastDay(split.limited(settings.max_evaluated_users, seed), is_new)
        reason = f"only {len(split.user_rows):,} users have events on the last day and before it"
    return Unavailable(reason)


def evaluate_last_day(
    ranker: Ranker,
    day: LastDay,
    served: ItemRows | None,
    *,
    groups: Mapping[str, Flags] | None = None,
    n_threads: int = 0,
    seed: int = 0,
) -> Trial:
    """Evaluate the new, the popular and the served lists on the last day.

    Args:
        ranker: What makes the new lists, fitted to the left side of the split.
        day: Split of the trial.
        served: (n_users, 20) item rows of the served lists; None without a parent.
        groups: (n_users,) members of each group to evaluate apart.
        n_threads: Number of threads; 0 means all processors.
        seed: Random seed of the bootstrap.
    """
    split = day.split
    popular = Popularity().fit(split.train)
    lists = {
        name: one.top_k(LIST_LENGTH, user_rows=split.user_rows, n_threads=n_threads).item_rows
        for name, one in (("new", ranker), ("popular", popular))
    }
    missing = {}
    if served is None:
        missing["served"] = "no snapshot is served yet"
    elif not day.is_new_to_served:
        missing["served"] = "the served snapshot was trained on the last day"
    else:
        lists["served"] = served
    figures = {name: per_user(rows, split.test)[_METRIC] for name, rows in lists.items()}
    others = [name for name in figures if name != "new"]
    columns = [*figures.values(), *(figures["new"] - figures[name] for name in others)]
    all_users = np.ones((len(split.user_rows), 1), dtype=bool)
    found = intervals(np.stack(columns, axis=1), all_users, seed=seed)[0]
    of_groups = {}
    if groups:
        members = np.stack(list(groups.values()), axis=1)
        by_group = intervals(figures["new"][:, None], members, seed=seed)
        n_members = members.sum(axis=0).tolist()
        of_groups = {
            name: (n_users, figure)
            for name, n_users, [figure] in zip(groups, n_members, by_group, strict=True)
        }
    return Trial(
        n_users=len(split.user_rows),
        ndcg=dict(zip(figures, found, strict=False)),
        change=dict(zip(others, found[len(figures) :], strict=True)),
        missing=missing,
        of_groups=of_groups,
    )


def _rounded(found: Interval) -> list[float]:
    return [round(value, 5) for value in found]
