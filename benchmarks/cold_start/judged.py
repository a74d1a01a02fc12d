"""Lists of several subjects for the same users, judged and compared with the first one."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from batch.evaluation.bootstrap import Interval, intervals
from batch.evaluation.metrics import per_user
from benchmarks.report import print_figure

Lists = npt.NDArray[np.int32]

K: Final = 20
_METRICS: Final = ("ndcg", "recall", "hit_rate")
HEADER: Final = ("data", "users", "subject", "NDCG@20 (95 %)", "minus the first", "recall@20")


def rows_of(
    data: str, subjects: Mapping[str, Lists], test: sp.csr_matrix, **beside: Any
) -> list[Sequence[str]]:
    """Print each subject's figures for programs, and return its row of a table.

    Args:
        data: Its name.
        subjects: (n_users, 20) lists by name; differences are to the first.
        test: (n_users, n_items) what the users had in truth; at least one item each.
        beside: What else belongs to the figures.
    """
    found = {name: per_user(lists, test) for name, lists in subjects.items()}
    first = next(iter(found.values()))
    rows: list[Sequence[str]] = []
    for subject, figures in found.items():
        mean = _interval(figures["ndcg"])
        difference = _interval(figures["ndcg"] - first["ndcg"])
        for metric in _METRICS:
            interval = _interval(figures[metric])
            print_figure(
                *("cold_start", f"{metric}_at_{K}", round(interval.mean, 5), "1"),
                subject=subject,
                data=data,
                low=round(interval.low, 5),
                high=round(interval.high, 5),
                n_users=test.shape[0],
                **beside,
            )
        minus = f"{difference.mean:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
        unsure = "" if difference.is_significant else ", unsure"
        rows.append(
            (
                data,
                f"{test.shape[0]:,}",
                subject,
                f"{mean.mean:.4f} ({mean.low:.4f}–{mean.high:.4f})",
                "" if figures is first else f"{minus}{unsure}",
                f"{figures['recall'].mean():.4f}",
            )
        )
    return rows


def _interval(figures: npt.NDArray[np.float64]) -> Interval:
    everybody = np.ones((len(figures), 1), dtype=bool)
    return intervals(figures[:, None], everybody)[0][0]
