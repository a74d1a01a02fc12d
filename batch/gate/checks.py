"""The gate's checks, each a figure compared with one threshold of the configuration."""

from collections.abc import Collection, Mapping
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import ItemRows
from batch.gate.settings import GateSettings
from batch.gate.trial import Trial
from batch.models.choice import MIN_GAIN, Choice
from batch.second_stage.choice import StageComparison
from batch.topk import NO_ITEM
from batch.unavailable import Unavailable
from store.gate_result import GateCheck
from store.layout import LIST_LENGTH

_CHUNK: Final = 50_000  # users checked at a time


def check_lists(
    item_rows: ItemRows, seen: sp.csr_matrix, hidden: Collection[int], settings: GateSettings
) -> list[GateCheck]:
    """Return the checks of the lists themselves: short ones, and repeated items.

    Args:
        item_rows: (n_users, 20 or more) lists; NO_ITEM behind the end of each.
        seen: (n_users, n_items) matrix with a stored entry where the user has the item.
        hidden: Item rows that are in no list.
        settings: Gate settings with the thresholds.
    """
    lists = item_rows[:, :LIST_LENGTH]
    n_kept = (lists != NO_ITEM).sum(axis=1)
    n_left = seen.shape[1] - len(hidden) - np.diff(seen.indptr)
    is_short = (n_kept > 0) & (n_kept < np.minimum(n_left, LIST_LENGTH))
    n_lists = max(int((n_kept > 0).sum()), 1)
    short, repeating = is_short.sum() / n_lists, _n_repeating(lists) / n_lists
    return [
        _share_of_lists("short", short, settings.max_short_share, "are too short"),
        _share_of_lists("repeats", repeating, settings.max_repeat_share, "repeat an item"),
    ]


def check_coverage(
    n_users: int, n_items: int, served: Mapping[str, int] | None, settings: GateSettings
) -> list[GateCheck]:
    """Return the checks of the number of users and items, compared with the served snapshot.

    Args:
        n_users: Number of users with a list of their own.
        n_items: Number of items that can be recommended.
        served: Numbers of records in the served snapshot's tables; None without one.
        settings: Gate settings with the thresholds.
    """
    return [
        _share_of_served("users", n_users, served, "recs.mdb/users", settings.min_users_share),
        _share_of_served("items", n_items, served, "recs.mdb/rows", settings.min_items_share),
    ]


def check_quality(trial: Trial | Unavailable, settings: GateSettings) -> list[GateCheck]:
    """Return the checks for lists that are significantly worse on the last day.

    Args:
        trial: Result of the trial.
        settings: Gate settings with the thresholds.
    """
    return [
        _loss("served", trial, settings.max_loss_to_served),
        _loss("popular", trial, settings.max_loss_to_popular),
    ]


def name_margins(choice: Choice | None, stage: StageComparison | None) -> list[GateCheck]:
    """Return lines that name the margin of each choice by evidence; none of them refuses.

    Args:
        choice: Choice of `auto`; None for other models.
        stage: Comparison of the second stage with the model alone; None if there was none.
    """
    lines = []
    if choice:
        lines.append(_choice_margin(choice))
    if stage:
        other = "the model alone" if stage.is_served else "the second stage"
        lines.append(_information("second stage", other, stage.gain_of_other, stage.margin))
    return lines


def _choice_margin(choice: Choice) -> GateCheck:
    found = choice.challenge
    if found is None or found.ndcg is None or found.gain is None:
        return _information("choice", f"{choice} is kept; another", None, MIN_GAIN * choice.ndcg)
    margin = MIN_GAIN * (found.ndcg.mean - found.gain.mean)
    return _information("choice", found.name, found.gain.mean, margin)


def _information(rule: str, other: str, gain: float | None, margin: float) -> GateCheck:
    """Return a line that refuses nothing: the gain in NDCG@20 of another choice, and the margin."""
    found = "" if gain is None else f"gains {gain:+.4f} of NDCG@20, "
    note = f"{other} {found}must gain {margin:.4f} significantly to change the choice"
    figure = None if gain is None else round(gain, 5)
    return GateCheck(rule, figure, round(margin, 5), is_ok=True, note=note)


def _loss(name: str, trial: Trial | Unavailable, max_loss: float) -> GateCheck:
    rule = f"loss to {name}"
    if isinstance(trial, Unavailable):
        return _not_evaluated(rule, max_loss, trial.reason)
    if name in trial.missing:
        return _not_evaluated(rule, max_loss, trial.missing[name])
    base, change = trial.ndcg[name].mean, trial.change[name]
    loss = -change.mean / base if base else 0.0
    upper = change.high / base if base else 0.0
    note = (
        f"NDCG@20 of {trial.n_users:,} users on the last day, {trial.ranker} "
        f"{trial.ndcg['new'].mean:.4f} against {base:.4f} {name}, "
        f"upper bound of the 95 % interval {100 * upper:+.1f} %, limit {-100 * max_loss:+g} %"
    )
    return GateCheck(rule, round(loss, 4), max_loss, is_ok=upper >= -max_loss, note=note)


def _share_of_served(
    what: str, n: int, served: Mapping[str, int] | None, table: str, min_share: float
) -> GateCheck:
    if served is None:
        return _not_evaluated(what, min_share, "no snapshot is served yet")
    before = served.get(table, 0)
    share = n / before if before else 1.0
    note = f"{n:,} after {before:,}, a share of {share:.3f}, limit {min_share:g}"
    return GateCheck(what, round(share, 4), min_share, is_ok=share >= min_share, note=note)


def _share_of_lists(rule: str, share: float, max_share: float, what: str) -> GateCheck:
    note = f"{share:.4f} of the lists {what}, limit {max_share:g}"
    return GateCheck(
        rule, round(float(share), 4), max_share, is_ok=bool(share <= max_share), note=note
    )


def _not_evaluated(rule: str, threshold: float, reason: str) -> GateCheck:
    return GateCheck(rule, None, threshold, is_ok=True, note=f"not evaluated: {reason}")


def _n_repeating(lists: ItemRows) -> int:
    """Return the number of lists with the same item twice."""
    n_found = 0
    for begin in range(0, len(lists), _CHUNK):
        ordered = np.sort(lists[begin : begin + _CHUNK], axis=1)
        is_twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NO_ITEM)
        n_found += int(is_twice.any(axis=1).sum())
    return n_found
