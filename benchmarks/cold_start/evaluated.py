"""Lists of several subjects for the same users, evaluated and compared with the first subject."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, ItemRows
from batch.evaluation.bootstrap import Interval, intervals
from batch.evaluation.metrics import per_user
from benchmarks.harness.report import print_figure

K: Final = 20
_METRICS: Final = ("ndcg", "recall", "hit_rate")
HEADER: Final = ("data", "users", "subject", "NDCG@20 (95 %)", "minus the first", "recall@20")


def evaluate_lists(
    data: str, subjects: Mapping[str, ItemRows], test: sp.csr_matrix, **details: Any
) -> list[Sequence[str]]:
    """Print each subject's figures as JSON, and return its row of a table.

    Args:
        data: Name of the data set.
        subjects: (n_users, 20) lists by name; differences are to the first.
        test: (n_users, n_items) hidden interactions, at least one per user.
        details: Further inputs of the figures.
    """
    found = {name: per_user(lists, test) for name, lists in subjects.items()}
    first = next(iter(found.values()))
    rows: list[Sequence[str]] = []
    for subject, figures in found.items():
        for metric in _METRICS:
            interval = _interval(figures[metric])
            print_figure(
                *("cold_start", f"{metric}_at_{K}", round(interval.mean, 5), "1"),
                subject=subject,
                data=data,
                low=round(interval.low, 5),
                high=round(interval.high, 5),
                n_users=test.shape[0],
                **details,
            )
        ndcg = _interval(figures["ndcg"])
        rows.append(
            (
                data,
                f"{test.shape[0]:,}",
                subject,
                f"{ndcg.mean:.4f} ({ndcg.low:.4f}–{ndcg.high:.4f})",
                "" if figures is first else _difference(figures["ndcg"] - first["ndcg"]),
                f"{figures['recall'].mean():.4f}",
            )
        )
    return rows


def _difference(figures: Doubles) -> str:
    change = _interval(figures)
    text = f"{change.mean:+.4f} ({change.low:+.4f} to {change.high:+.4f})"
    is_significant = change.low > 0 or change.high < 0
    return text if is_significant else f"{text}, n.s."


def _interval(figures: Doubles) -> Interval:
    all_users = np.ones((len(figures), 1), dtype=bool)
    return intervals(figures[:, None], all_users)[0][0]
