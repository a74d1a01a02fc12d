"""What was judged, as a table for people and as one JSON object for programs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from batch.evaluation.bootstrap import Interval
from batch.evaluation.judge import Judged
from batch.evaluation.metrics import METRICS
from batch.evaluation.splits import Split

_OF_GROUPS = ("ndcg", "recall", "hit_rate")  # the columns of the table of subgroups

Groups = Mapping[str, npt.NDArray[np.bool_]]


def one_as_json(judged: Judged, split: Split, k: int, groups: Groups) -> dict[str, Any]:
    """Return one model's figures, each group's besides."""
    return {
        **_split(split, k),
        **_model(judged),
        "groups": {
            name: {"n_users": int(groups[name].sum())}
            | {metric: interval._asdict() for metric, interval in row.items()}
            for name, row in judged.groups(groups).items()
        },
    }


def several_as_json(models: Sequence[Judged], split: Split, k: int) -> dict[str, Any]:
    """Return several models' figures; each against the first, over the same users."""
    rows = []
    for judged in models:
        row = _model(judged) | {"metrics": _as_dicts(_of_all(judged))}
        if judged is not models[0]:
            row["minus_first"] = _as_dicts(judged.better_than(models[0]))
        rows.append(row)
    return {**_split(split, k), "models": rows}


def one_as_text(judged: Judged, split: Split, k: int, groups: Groups) -> str:
    """Return one model's figures as Markdown tables."""
    by_group = judged.groups(groups)
    everybody = by_group["all"]
    lines = [_heading(split, k), ""]
    lines += table(
        (f"{judged.model} @{k}", "mean", "95 %"),
        [(metric, f"{i.mean:.4f}", _range(i)) for metric, i in everybody.items()],
    )
    lines += ["", *table(("of all lists", ""), _pairs(judged.of_lists)), ""]
    lines += table(
        ("users", "n", *(f"{metric}@{k}" for metric in _OF_GROUPS)),
        [
            (name, f"{groups[name].sum():,}", *(_with_range(row[m]) for m in _OF_GROUPS))
            for name, row in by_group.items()
        ],
    )
    cost = judged.cost
    lines += ["", *table(
        ("cost", ""),
        [
            ("training, s", f"{cost.train_seconds:.2f}"),
            ("lists of the judged users, s", f"{cost.inference_seconds:.2f}"),
            ("in memory, MiB", f"{cost.memory_bytes / 2**20:.1f}"),
            ("on disk, MiB", f"{cost.disk_bytes / 2**20:.1f}"),
            *_pairs(judged.about),
        ],
    )]  # fmt: skip
    return "\n".join(lines)


def several_as_text(models: Sequence[Judged], split: Split, k: int) -> str:
    """Return several models as one Markdown table, each against the first."""
    first = models[0]
    rows = []
    for judged in models:
        of_all, cost = _of_all(judged), judged.cost
        difference = None if judged is first else judged.better_than(first)["ndcg"]
        rows.append(
            (
                judged.model,
                _with_range(of_all["ndcg"]),
                "" if difference is None else _difference(difference),
                f"{of_all['recall'].mean:.4f}",
                f"{of_all['hit_rate'].mean:.4f}",
                f"{judged.of_lists['coverage']:.3f}",
                f"{judged.of_lists['personalization']:.2f}",
                f"{cost.train_seconds:.2f}",
                f"{cost.inference_seconds:.2f}",
                f"{cost.memory_bytes / 2**20:.1f}",
                f"{cost.disk_bytes / 2**20:.1f}",
            )
        )
    header = (
        "model", f"NDCG@{k} (95 %)", f"minus {first.model}", f"recall@{k}", f"hit rate@{k}",
        "coverage", "personal", "training s", "lists s", "MiB memory", "MiB disk",
    )  # fmt: skip
    return "\n".join([_heading(split, k), "", *table(header, rows)])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table, columns aligned."""
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    return [
        f"| {' | '.join(c.ljust(w) for c, w in zip(row, widths, strict=True))} |" for row in cells
    ]


def _heading(split: Split, k: int) -> str:
    left = f", {split.n_left_out:,} without a past left out" if split.n_left_out else ""
    return (
        f"split {split.name}: {split.train.nnz:,} interactions to learn from, "
        f"{split.test.nnz:,} of {len(split.user_rows):,} users to judge by{left}; lists of {k}"
    )


def _split(split: Split, k: int) -> dict[str, Any]:
    return {
        "split": split.name,
        "k": k,
        "n_train": int(split.train.nnz),
        "n_test": int(split.test.nnz),
        "n_users": len(split.user_rows),
        "n_left_out": split.n_left_out,
    }


def _model(judged: Judged) -> dict[str, Any]:
    cost = judged.cost
    return {
        "model": judged.model,
        "of_lists": dict(judged.of_lists),
        "about": dict(judged.about),
        "train_seconds": cost.train_seconds,
        "inference_seconds": cost.inference_seconds,
        "memory_bytes": cost.memory_bytes,
        "disk_bytes": cost.disk_bytes,
    }


def _of_all(judged: Judged) -> dict[str, Interval]:
    return judged.groups({"all": np.ones(len(judged.figures["ndcg"]), dtype=bool)})["all"]


def _as_dicts(row: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    return {metric: row[metric]._asdict() for metric in METRICS}


def _pairs(figures: Mapping[str, float]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), f"{value:.4g}") for name, value in figures.items()]


def _range(interval: Interval) -> str:
    return f"{interval.low:.4f}–{interval.high:.4f}"


def _with_range(interval: Interval) -> str:
    return f"{interval.mean:.4f} ({_range(interval)})"


def _difference(interval: Interval) -> str:
    sure = "" if interval.is_sure else ", unsure"
    return f"{interval.mean:+.4f} ({interval.low:+.4f} to {interval.high:+.4f}{sure})"
