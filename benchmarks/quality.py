"""Quality of the models on real data, each tuned on a holdout inside the training set.

    split ─► train ─► hold out one item of some users ─► best parameters ─► fit ─► evaluate
         └─► test ─────────────────────────────────────────────────────────────────────┘

python -m benchmarks.quality --data FOLDER
python -m benchmarks.quality --data FOLDER --only ml-100k
"""

import dataclasses
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import scipy.sparse as sp

from batch.arrays import Times
from batch.evaluation.data import read_split
from batch.evaluation.evaluate import evaluate
from batch.evaluation.report import comparison_as_json, comparison_as_text
from batch.evaluation.splits import Split
from batch.models.als import Als
from batch.models.bpr import Bpr
from batch.models.choose import recommender
from batch.models.dense_topk import entries_of
from batch.models.families import FAMILIES, Extent, Family, Size
from batch.models.holdout import Holdout, hold_out
from batch.models.protocol import Recommender
from batch.settings import BatchSettings
from benchmarks.harness.arguments import add_data, make_parser, positive_int
from benchmarks.harness.data_sets import (
    ML_1M,
    ML_100K,
    ML_LATEST_SMALL,
    VIEWS_290K,
    DataSet,
)
from benchmarks.harness.report import print_figure

K: Final = 20
_MODELS: Final = ("auto", *(family.model for family in FAMILIES), "bpr", "als")
_N_HELD_OUT: Final = 5000
_MAX_TUNING_USERS: Final = 40_000
_MAX_TUNING_INTERACTIONS: Final = 300_000
_SEED: Final = 42


class Task(NamedTuple):
    """A data set and how to split it.

    Attributes:
        name: Name in tables and figures.
        data_set: Files of the data set.
        split: Value of `python -m batch evaluate --split`.
    """

    name: str
    data_set: DataSet
    split: str


TASKS: Final = (
    Task("ml-100k", ML_100K, "time"),
    Task("ml-latest-small", ML_LATEST_SMALL, "time"),
    Task("ml-100k by last", ML_100K, "leave-last-out"),
    Task("ml-latest-small by last", ML_LATEST_SMALL, "leave-last-out"),
    Task("ml-1m", ML_1M, "leave-last-out"),
    Task("views-290k", VIEWS_290K, "leave-last-out"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Tune, fit and evaluate every model on every data set."""
    parser = make_parser("quality", __doc__)
    add_data(parser)
    parser.add_argument("--only", nargs="+", choices=[task.name for task in TASKS])
    parser.add_argument("--models", nargs="+", choices=_MODELS, default=_MODELS)
    parser.add_argument("--threads", type=positive_int, default=1, metavar="N")
    parser.add_argument("--quick", action="store_true", help="one set of parameters a model")
    args = parser.parse_args(arguments)
    if args.data is None:
        parser.error("--data: no folder of real data sets; name one, or set MARQUEE_SHARED_DATA")
    for task in TASKS:
        if not args.only or task.name in args.only:
            _run(task, args.data, args.models, args.threads, is_quick=args.quick)
    return 0


def _run(
    task: Task, folder: Path, models: Sequence[str], n_threads: int, *, is_quick: bool
) -> None:
    with tempfile.TemporaryDirectory() as quarantine:
        events = (str(folder / task.data_set.events),)
        settings = BatchSettings(events=events, quarantine=quarantine)
        split, _ = read_split(task.split, settings, None)
    sample, at = _sample(split)
    held = hold_out(sample, at, _N_HELD_OUT, _SEED)
    evaluated = []
    for name in models:
        candidates = _candidates(
            Size.of(split.train, Extent(*split.train.shape[:1], split.train.nnz))
        )[name]
        tried = list(itertools.islice(candidates(), 1)) if is_quick else list(candidates())
        model = _best(tried, held, n_threads)
        row = evaluate(model, split, K, n_threads=n_threads)
        evaluated.append(dataclasses.replace(row, model=name))
        print(f"{task.name}: {name} of {len(tried)}: {model}, {row.about}", file=sys.stderr)
    print(
        f"\n{task.name}, {comparison_as_text(evaluated, split, K)}\n", file=sys.stderr, flush=True
    )
    found = comparison_as_json(evaluated, split, K)
    for row in found["models"]:
        for metric in ("ndcg", "recall", "hit_rate"):
            print_figure(
                "quality", f"{metric}_at_{K}", row["metrics"][metric]["mean"], "1",
                subject=row["model"], data=task.name, split=task.split,
                low=row["metrics"][metric]["low"], high=row["metrics"][metric]["high"],
                n_users=found["n_users"], seed=_SEED, threads=n_threads,
                minus_first=row.get("minus_first", {}).get(metric),
            )  # fmt: skip


def _sample(split: Split) -> tuple[sp.csr_matrix, Times | None]:
    """Return the interactions of random users and their times: enough to compare parameters."""
    n_users = split.train.shape[0]
    random = np.random.default_rng(_SEED)
    rows = random.permutation(n_users)[:_MAX_TUNING_USERS]
    n_before = np.cumsum(np.diff(split.train.indptr)[rows])
    rows = np.sort(rows[n_before <= _MAX_TUNING_INTERACTIONS])
    at = None if split.at is None else split.at[entries_of(split.train, rows)]
    return split.train[rows], at


def _best(candidates: Sequence[Recommender], held: Holdout, n_threads: int) -> Recommender:
    """Return the candidate with the highest NDCG on the held-out interactions."""
    if len(candidates) == 1:
        return candidates[0]
    found = []
    for model in candidates:
        fitted = model.fit(held.weights, n_threads=n_threads)
        lists = fitted.top_k(K, user_rows=held.user_rows, n_threads=n_threads)
        found.append(float(held.ndcg(lists).mean()))
    return candidates[int(np.argmax(found))]


def _candidates(size: Size) -> dict[str, Callable[[], Iterator[Recommender]]]:
    families = {family.model: partial(_of_family, family, size) for family in FAMILIES}
    return {**families, "bpr": _bprs, "als": _alss, "auto": lambda: iter((_made("auto"),))}


def _of_family(family: Family, size: Size) -> Iterator[Recommender]:
    for candidate in family.candidates(size):
        yield _made(candidate.model, **candidate.parameters)


def _made(name: str, **parameters: Any) -> Recommender:
    return recommender(name, BatchSettings(seed=_SEED, **parameters))


def _alss() -> Iterator[Als]:
    for n_factors, regularization, alpha in (
        (64, 1.0, 2.0), (16, 0.5, 0.5), (32, 1.0, 1.0), (64, 1.5, 5.0), (128, 1.0, 0.5),
        (8, 40.0, 2.0),
    ):  # fmt: skip
        yield Als(n_factors, regularization, alpha, iterations=15, seed=_SEED)


def _bprs() -> Iterator[Bpr]:
    for rate, iterations in ((0.05, 40), (0.02, 60)):
        yield Bpr(64, rate, 0.01, iterations, _SEED)


if __name__ == "__main__":
    sys.exit(main())
