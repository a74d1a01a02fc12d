"""Evaluations as tables for people and as one JSON object for programs."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from batch.arrays import Flags
from batch.evaluation.bootstrap import Interval
from batch.evaluation.evaluate import Evaluation
from batch.evaluation.metrics import METRICS
from batch.evaluation.splits import Split

_GROUP_METRICS: Final = ("ndcg", "recall", "hit_rate")  # columns of the table of subgroups

Groups = Mapping[str, Flags]


def evaluation_as_json(
    evaluation: Evaluation, split: Split, k: int, groups: Groups
) -> dict[str, Any]:
    """Return one model's metrics, of all users and of each group."""
    return {
        **_split(split, k),
        **_model(evaluation),
        "groups": {
            name: {"n_users": int(groups[name].sum())}
            | {metric: interval._asdict() for metric, interval in row.items()}
            for name, row in evaluation.groups(groups).items()
        },
    }


def comparison_as_json(evaluations: Sequence[Evaluation], split: Split, k: int) -> dict[str, Any]:
    """Return the metrics of several models, and their differences from the first."""
    rows = []
    for evaluation in evaluations:
        row = _model(evaluation) | {"metrics": _as_dicts(_of_all(evaluation))}
        if evaluation is not evaluations[0]:
            row["minus_first"] = _as_dicts(evaluation.minus(evaluations[0]))
        rows.append(row)
    return {**_split(split, k), "models": rows}


def evaluation_as_text(evaluation: Evaluation, split: Split, k: int, groups: Groups) -> str:
    """Return one model's metrics as Markdown tables."""
    by_group = evaluation.groups(groups)
    all_users = by_group["all"]
    lines = [_heading(split, k), ""]
    lines += table(
        (f"{evaluation.model} @{k}", "mean", "95 %"),
        [(metric, f"{i.mean:.4f}", _range(i)) for metric, i in all_users.items()],
    )
    lines += ["", *table(("of all lists", ""), _pairs(evaluation.of_lists)), ""]
    lines += table(
        ("users", "n", *(f"{metric}@{k}" for metric in _GROUP_METRICS)),
        [
            (name, f"{groups[name].sum():,}", *(_with_range(row[m]) for m in _GROUP_METRICS))
            for name, row in by_group.items()
        ],
    )
    cost = evaluation.cost
    lines += ["", *table(
        ("cost", ""),
        [
            ("training, s", f"{cost.train_seconds:.2f}"),
            ("lists of the evaluated users, s", f"{cost.inference_seconds:.2f}"),
            ("in memory, MiB", f"{cost.memory_bytes / 2**20:.1f}"),
            ("on disk, MiB", f"{cost.disk_bytes / 2**20:.1f}"),
            *_pairs(evaluation.about),
        ],
    )]  # fmt: skip
    return "\n".join(lines)


def comparison_as_text(evaluations: Sequence[Evaluation], split: Split, k: int) -> str:
    """Return several models as one Markdown table, with the differences from the first."""
    first = evaluations[0]
    rows = []
    for evaluation in evaluations:
        of_all, cost = _of_all(evaluation), evaluation.cost
        difference = None if evaluation is first else evaluation.minus(first)["ndcg"]
        rows.append(
            (
                evaluation.model,
                _with_range(of_all["ndcg"]),
                "" if difference is None else _difference(difference),
                f"{of_all['recall'].mean:.4f}",
                f"{of_all['hit_rate'].mean:.4f}",
                f"{evaluation.of_lists['coverage']:.3f}",
                f"{evaluation.of_lists['personalization']:.2f}",
                f"{cost.train_seconds:.2f}",
                f"{cost.inference_seconds:.2f}",
                f"{cost.memory_bytes / 2**20:.1f}",
                f"{cost.disk_bytes / 2**20:.1f}",
            )
        )
    header = (
        "model", f"NDCG@{k} (95 %)", f"minus {first.model}", f"recall@{k}", f"hit rate@{k}",
        "coverage", "personalization", "training s", "lists s", "MiB memory", "MiB disk",
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
    n = split.n_left_out
    left_out = f"; {n:,} users without training interactions left out" if n else ""
    return (
        f"split {split.name}: {split.train.nnz:,} training interactions, "
        f"{split.test.nnz:,} test interactions of {len(split.user_rows):,} users{left_out}; "
        f"lists of {k}"
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


def _model(evaluation: Evaluation) -> dict[str, Any]:
    cost = evaluation.cost
    return {
        "model": evaluation.model,
        "of_lists": dict(evaluation.of_lists),
        "about": dict(evaluation.about),
        "train_seconds": cost.train_seconds,
        "inference_seconds": cost.inference_seconds,
        "memory_bytes": cost.memory_bytes,
        "disk_bytes": cost.disk_bytes,
    }


def _of_all(evaluation: Evaluation) -> dict[str, Interval]:
    return evaluation.groups({"all": np.ones(len(evaluation.by_user["ndcg"]), dtype=bool)})["all"]


def _as_dicts(row: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    return {metric: row[metric]._asdict() for metric in METRICS}


def _pairs(figures: Mapping[str, float]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), f"{value:.4g}") for name, value in figures.items()]


def _range(interval: Interval) -> str:
    return f"{interval.low:.4f}–{interval.high:.4f}"


def _with_range(interval: Interval) -> str:
    return f"{interval.mean:.4f} ({_range(interval)})"


def _difference(interval: Interval) -> str:
    significance = "" if interval.is_significant else ", n.s."
    return f"{interval.mean:+.4f} ({interval.low:+.4f} to {interval.high:+.4f}{significance})"
