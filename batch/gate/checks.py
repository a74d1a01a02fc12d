"""The gate's rules, each a figure held against one threshold of the configuration."""

from collections.abc import Collection, Mapping
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import ItemRows
from batch.gate.settings import GateSettings
from batch.gate.trial import Trial
from batch.topk import NO_ITEM
from store.gate_result import GateCheck
from store.layout import LIST_LENGTH

_CHUNK: Final = 50_000  # users looked at at a time


def check_lists(
    item_rows: ItemRows, seen: sp.csr_matrix, hidden: Collection[int], settings: GateSettings
) -> list[GateCheck]:
    """Return what is wrong with the lists themselves.

    Args:
        item_rows: (n_users, 20 or more); NO_ITEM where a list has ended.
        seen: (n_users, n_items).
        hidden: Item rows that nobody is offered.
        settings: With the thresholds.
    """
    lists = item_rows[:, :LIST_LENGTH]
    n_kept = (lists != NO_ITEM).sum(axis=1)
    n_left = seen.shape[1] - len(hidden) - np.diff(seen.indptr)
    is_short = (n_kept > 0) & (n_kept < np.minimum(n_left, LIST_LENGTH))
    n_lists = max(int((n_kept > 0).sum()), 1)
    return [
        _at_most("short", is_short.sum() / n_lists, settings.max_short_share, "are too short"),
        _at_most(
            "repeats", _n_repeating(lists) / n_lists, settings.max_repeat_share, "repeat an item"
        ),
    ]


def check_coverage(
    n_users: int, n_items: int, served: Mapping[str, int] | None, settings: GateSettings
) -> list[GateCheck]:
    """Return whether users or items have gone missing.

    Args:
        n_users: With a list of their own.
        n_items: That can be recommended.
        served: Entries of the served snapshot's tables; None if nothing is served.
        settings: With the thresholds.
    """
    return [
        _of_served("users", n_users, served, "recs.mdb/users", settings.min_users_share),
        _of_served("items", n_items, served, "recs.mdb/rows", settings.min_items_share),
    ]


def check_quality(trial: Trial | str, settings: GateSettings) -> list[GateCheck]:
    """Return whether the lists would have been surely worse on the last day.

    Args:
        trial: What the trial found, or why there was none.
        settings: With the threshold.
    """
    return [
        _loss("served", trial, settings.max_loss_to_served),
        _loss("popular", trial, settings.max_loss_to_popular),
    ]


def _loss(name: str, trial: Trial | str, most: float) -> GateCheck:
    rule = f"loss to {name}"
    if isinstance(trial, str) or name not in trial.ndcg:
        why = trial if isinstance(trial, str) else trial.why_not_served
        return GateCheck(rule, None, most, is_ok=True, note=f"not judged: {why}")
    base, change = trial.ndcg[name].mean, trial.change[name]
    loss = -change.mean / base if base else 0.0
    best = change.high / base if base else 0.0
    note = (
        f"NDCG@20 of {trial.n_judged:,} users on the last day {trial.ndcg['new'].mean:.4f} against "
        f"{base:.4f} {name}, {best:+.1%} at best, at least {-most:+.1%} wanted"
    )
    return GateCheck(rule, round(loss, 4), most, is_ok=best >= -most, note=note)


def _of_served(
    what: str, n: int, served: Mapping[str, int] | None, table: str, least: float
) -> GateCheck:
    if served is None:
        return GateCheck(what, None, least, is_ok=True, note="not judged: nothing is served yet")
    before = served.get(table, 0)
    share = n / before if before else 1.0
    note = f"{n:,} after {before:,} are {share:.3f} of the served, at least {least:g} wanted"
    return GateCheck(what, round(share, 4), least, is_ok=share >= least, note=note)


def _at_most(rule: str, share: float, most: float, what: str) -> GateCheck:
    note = f"{share:.4f} of the lists {what}, at most {most:g} wanted"
    return GateCheck(rule, round(float(share), 4), most, is_ok=bool(share <= most), note=note)


def _n_repeating(lists: ItemRows) -> int:
    """Return how many lists hold an item twice."""
    n_found = 0
    for begin in range(0, len(lists), _CHUNK):
        ordered = np.sort(lists[begin : begin + _CHUNK], axis=1)
        is_twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NO_ITEM)
        n_found += int(is_twice.any(axis=1).sum())
    return n_found
