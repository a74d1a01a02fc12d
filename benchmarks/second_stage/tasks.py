"""Data sets, each split twice in the same way: to train the second stage, and to judge.

────────── inner training side ──────────┤ inner test side │ test side
sources of training                 trees           judged
────────── training side ──────────────────────────────────┤
model, sources of the lists, peers
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from batch.evaluation.splits import Split, make_split, split_at
from batch.sampling import sample_rows
from batch.second_stage.past import DAY_SECONDS
from benchmarks.cold_start.data import simulated_data
from benchmarks.harness.data_sets import ML_1M, ML_100K, DataSet, Service, read_service

LAST_DAY: Final = "last day"
_MAX_USERS: Final = 1_000  # judged: peers score every item for each of them
_SEED: Final = 42


@dataclass(frozen=True, slots=True)
class Task:
    """One data set and its splits.

    Attributes:
        name: Name in tables and figures.
        service: Interactions, catalogue and profiles.
        outer: Split to judge on.
        inner: Split of its training side, to train the second stage on.
        period_seconds: Length of the period of a trend.
    """

    name: str
    service: Service
    outer: Split
    inner: Split
    period_seconds: int


def tasks(folder: Path | None, *, is_quick: bool) -> Iterator[Task]:
    """Yield every task that there is data for."""
    real: tuple[tuple[DataSet, str], ...] = (
        (ML_100K, "time"), (ML_100K, "leave-last-out"), (ML_1M, "leave-last-out"),
    )  # fmt: skip
    for data_set, split in real[: 2 if is_quick else None]:
        if folder and data_set.exists(folder):
            yield _task(read_service(data_set, folder), split)
    size = (5_000, 800, 12.0) if is_quick else (20_000, 2_000, 12.0)
    yield _task(simulated_data(*size, seed=_SEED), LAST_DAY)


def _task(service: Service, name: str) -> Task:
    weights, at = service.interactions.weights, service.interactions.began_at
    if name == LAST_DAY:
        assert at is not None
        cutoff = int(at.max()) - DAY_SECONDS
        outer = split_at(weights, at, cutoff)
        assert outer.at is not None
        inner = split_at(outer.train, outer.at, cutoff - DAY_SECONDS)
    else:
        outer = make_split(name, weights, at, _SEED)
        inner = make_split(name, outer.train, outer.at, _SEED + 1)
    days = 1 if name == LAST_DAY else 7
    return Task(f"{service.name}, {name}", service, _limited(outer), inner, days * DAY_SECONDS)


def _limited(split: Split) -> Split:
    n_users = len(split.user_rows)
    rows = sample_rows(np.arange(n_users), _MAX_USERS, np.random.default_rng(_SEED))
    return replace(
        split, user_rows=split.user_rows[rows], fold_in=split.fold_in[rows], test=split.test[rows]
    )
