"""What trust costs where nobody attacks: accuracy by a split in time, and seconds of the stage.

events ─► split in time ─► fitted with and without `[trust]` ─► NDCG@20, paired by user
"""

import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from batch.evaluation.bootstrap import intervals
from batch.evaluation.metrics import per_user
from batch.evaluation.splits import by_time
from batch.events.parsed import ACCOUNTS
from batch.events.read import read_events
from batch.interactions.build import Interactions, Ratings, build_interactions
from batch.models.protocol import Fitted
from batch.sampling import sample_rows
from batch.settings import BatchSettings
from batch.trust.assess import assess
from benchmarks.attacks.nights import NOT_AFTER, OFF, ON, fit
from benchmarks.attacks.service import Service
from benchmarks.harness.data_sets import ML_100K, ML_LATEST_SMALL, VIEWS_290K
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from store.layout import LIST_LENGTH

_MAX_USERS: Final = 20_000  # evaluated
_SEED: Final = 42
_DAYS: Final = 60
_NO_RATINGS: Final = Ratings(np.arange(0), np.arange(0), np.zeros(0, np.float32), 5.0)


def accuracy(service: Service, data: Path | None, models: tuple[str, ...]) -> None:
    """Print the NDCG@20 of each data set and model, with and without trust."""
    rows = []
    for name, interactions, accounts in _data_sets(service, data):
        for model in models:
            figures = _compare(interactions, accounts, model)
            details: dict[str, Any] = {"subject": f"{name}, {model}", "seed": _SEED}
            for metric, value in figures.items():
                print_figure("attacks", metric, value, "1", **details)
            change, low, high = (figures[f"ndcg_change{part}"] for part in ("", "_low", "_high"))
            cells = (f"{figures[f'ndcg_{side}']:.4f}" for side in ("without", "with"))
            left_out = f"{100 * figures['left_out_share']:.2f} %"
            shown = f"{change:+.4f} [{low:+.4f}, {high:+.4f}]"
            rows.append((name, model, left_out, *cells, shown))
    print(file=sys.stderr)
    print_table(("data", "model", "left out", "NDCG without", "with", "difference"), rows)


def _data_sets(service: Service, data: Path | None) -> Iterator[tuple[str, Interactions, pa.Table]]:
    yield "simulated", service.interactions(), service.accounts()
    for data_set in (ML_100K, ML_LATEST_SMALL, VIEWS_290K):
        if data and data_set.exists(data):
            interactions = _read(data / data_set.events)
            if interactions.began_at is not None:
                yield data_set.name, interactions, ACCOUNTS.empty_table()


def _read(events: Path) -> Interactions:
    """Return the interactions of a file, of all items that two users have."""
    with tempfile.TemporaryDirectory() as quarantine:
        found = read_events(BatchSettings(events=(str(events),), quarantine=quarantine))
    return build_interactions(found.events, None, 0)


def _compare(interactions: Interactions, accounts: pa.Table, model: str) -> dict[str, float]:
    assert interactions.began_at is not None
    split = by_time(interactions.weights, interactions.began_at)
    train = replace(interactions, weights=split.train, began_at=split.at)
    random = np.random.default_rng(_SEED)
    chosen = sample_rows(np.arange(len(split.user_rows)), _MAX_USERS, random)
    rows, test = split.user_rows[chosen], split.test[chosen]

    def ndcg(fitted: Fitted) -> Any:
        lists = fitted.top_k(LIST_LENGTH, user_rows=rows, n_threads=1)
        return per_user(lists.item_rows, test)["ndcg"]

    without, _ = fit(train, accounts, OFF, model)
    guarded, trust = fit(train, accounts, ON, model)
    columns = np.stack([ndcg(without), ndcg(guarded)], axis=1)
    columns = np.column_stack((columns, columns[:, 1] - columns[:, 0]))
    found = intervals(columns, np.ones((len(columns), 1), np.bool_), seed=_SEED)[0]
    return {
        "ndcg_without": found[0].mean,
        "ndcg_with": found[1].mean,
        "ndcg_change": found[2].mean,
        "ndcg_change_low": found[2].low,
        "ndcg_change_high": found[2].high,
        "left_out_share": trust.document["n_left_out"] / train.weights.nnz,
    }


def stage_time(n_users: int, n_items: int) -> None:
    """Print processor time and memory of the stage, with 50 views a user over 60 days."""
    interactions = _random_interactions(n_users, n_items)
    began = time.process_time()
    assess(interactions, ACCOUNTS.empty_table(), ON, not_after=NOT_AFTER, seed=_SEED)
    seconds = time.process_time() - began
    tracemalloc.start()
    assess(interactions, ACCOUNTS.empty_table(), ON, not_after=NOT_AFTER, seed=_SEED)
    mib = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    details: dict[str, Any] = {"n_users": n_users, "n_views": interactions.weights.nnz}
    for metric, value, unit in (("stage_seconds", seconds, "s"), ("stage_memory", mib, "MiB")):
        print_figure("attacks", metric, round(value, 2), unit, subject="marquee", **details)
    n_views = interactions.weights.nnz
    print(
        f"\nstage: {n_users:,} users, {n_views:,} views: {seconds:.2f} s, {mib:,.0f} MiB peak",
        file=sys.stderr,
    )


def _random_interactions(n_users: int, n_items: int) -> Interactions:
    """Return views by popularity; 3 % of the accounts are younger than a week."""
    random = np.random.default_rng(_SEED)
    n_views = 50 * n_users
    items = (n_items * random.random(n_views) ** 2).astype(np.int64)
    cells = np.unique(random.integers(0, n_users, n_views) * n_items + items)
    users, items = np.divmod(cells, n_items)
    joined = np.where(random.random(n_users) < 0.03, _DAYS - 7 * random.random(n_users), 0)
    day = joined[users] + (_DAYS - joined[users]) * random.random(len(cells))
    ones = np.ones(len(cells), np.float32)
    weights = sp.csr_matrix((ones, (users, items)), shape=(n_users, n_items))
    ids, names = (pa.array([f"{row:07}" for row in range(n)]) for n in weights.shape)
    at = (1_790_000_000 + 86_400 * day).astype(np.int64)
    return Interactions(ids, names, weights, _NO_RATINGS, Counter(), 0, at)
