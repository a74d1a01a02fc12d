"""Quality of the models on real data, each tuned on a holdout inside of the training side.

    split ─► train ─► hold out one item of some users ─► best parameters ─► fit ─► judge
         └─► test ──────────────────────────────────────────────────────────────────┘

python -m benchmarks.quality --data shared/data
python -m benchmarks.quality --data shared/data --only ml-100k
"""

import argparse
import dataclasses
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp

from batch.arrays import Times
from batch.evaluation.data import read_split
from batch.evaluation.evaluate import evaluate
from batch.evaluation.report import comparison_as_json, comparison_as_text
from batch.evaluation.splits import Split
from batch.models.als import Als
from batch.models.auto import Auto
from batch.models.bpr import Bpr
from batch.models.holdout import Holdout, entries_of, hold_out
from batch.models.item_knn import ItemKnn
from batch.models.popularity import Popularity
from batch.models.protocol import Recommender
from batch.settings import BatchSettings
from benchmarks.fused import Fused
from benchmarks.report import print_figure

K: Final = 20
_HELD_OUT: Final = 5000
_SAMPLE: Final = 40_000  # users that parameters are tuned on, at most
_SAMPLED_INTERACTIONS: Final = 300_000  # of theirs, at most
_SEED: Final = 42


class DataSet(NamedTuple):
    """Events and how to split them.

    Attributes:
        name: In the table.
        file: Of the folder of data.
        split: As `python -m batch evaluate --split`.
    """

    name: str
    file: str
    split: str


DATA_SETS: Final = (
    DataSet("ml-100k", "ml-100k/u.data", "time"),
    DataSet("ml-latest-small", "ml-latest-small/ratings.csv", "time"),
    DataSet("ml-100k by last", "ml-100k/u.data", "leave-last-out"),
    DataSet("ml-latest-small by last", "ml-latest-small/ratings.csv", "leave-last-out"),
    DataSet("ml-1m", "ml-1m/pairs.parquet", "leave-last-out"),
    DataSet("views-290k", "stream/views-290k-users.tsv.gz", "leave-last-out"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Tune, fit and judge every model on every data set."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("MARQUEE_SHARED_DATA"))
    parser.add_argument("--only", nargs="+", choices=[data.name for data in DATA_SETS])
    parser.add_argument("--models", nargs="+", choices=_candidates(), default=list(_candidates()))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one set of parameters a model")
    given = parser.parse_args(arguments)
    if given.data is None:
        parser.error("say where the data is with --data, or in MARQUEE_SHARED_DATA")
    for data in DATA_SETS:
        if not given.only or data.name in given.only:
            _run(data, Path(given.data), given.models, given.threads, is_quick=given.quick)
    return 0


def _run(
    data: DataSet, folder: Path, models: Sequence[str], n_threads: int, *, is_quick: bool
) -> None:
    with tempfile.TemporaryDirectory() as quarantine:
        settings = BatchSettings(events=(str(folder / data.file),), quarantine=quarantine)
        split, _ = read_split(data.split, settings, None)
    sample, at = _sample(split)
    held = hold_out(sample, at, _HELD_OUT, _SEED)
    judged = []
    for name in models:
        candidates = _candidates()[name]
        tried = list(itertools.islice(candidates(), 1)) if is_quick else list(candidates())
        model = _best(tried, held, n_threads)
        row = evaluate(model, split, K, n_threads=n_threads)
        judged.append(dataclasses.replace(row, model=name))
        print(f"{data.name}: {name} of {len(tried)}: {model}, {row.about}", file=sys.stderr)
    print(f"\n{data.name}, {comparison_as_text(judged, split, K)}\n", file=sys.stderr, flush=True)
    found = comparison_as_json(judged, split, K)
    for row in found["models"]:
        for metric in ("ndcg", "recall", "hit_rate"):
            print_figure(
                "quality", f"{metric}_at_{K}", row["metrics"][metric]["mean"], "1",
                subject=row["model"], data=data.name, split=data.split,
                low=row["metrics"][metric]["low"], high=row["metrics"][metric]["high"],
                n_users=found["n_users"], seed=_SEED, threads=n_threads,
                minus_first=row.get("minus_first", {}).get(metric),
            )  # fmt: skip


def _sample(split: Split) -> tuple[sp.csr_matrix, Times | None]:
    """Return what some users have to learn from, and when: enough to tell parameters apart."""
    n_users = split.train.shape[0]
    random = np.random.default_rng(_SEED)
    rows = random.permutation(n_users)[:_SAMPLE]
    n_before = np.cumsum(np.diff(split.train.indptr)[rows])
    rows = np.sort(rows[n_before <= _SAMPLED_INTERACTIONS])
    at = None if split.at is None else split.at[entries_of(split.train, rows)]
    return split.train[rows], at


def _best(candidates: Sequence[Recommender], held: Holdout, n_threads: int) -> Recommender:
    """Return the candidate whose lists find the most of what was held out."""
    if len(candidates) == 1:
        return candidates[0]
    found = []
    for model in candidates:
        fitted = model.fit(held.weights, n_threads=n_threads)
        lists = fitted.top_k(K, user_rows=held.user_rows, n_threads=n_threads)
        found.append(float(held.ndcg(lists).mean()))
    return candidates[int(np.argmax(found))]


def _candidates() -> dict[str, Callable[[], Iterator[Recommender]]]:
    return {
        "popularity": lambda: iter((Popularity(),)),
        "item_knn": _knns,
        "bpr": _bprs,
        "als": _alss,
        "auto": lambda: (Auto(dataclasses.replace(als, n_held_out=_HELD_OUT)) for als in _alss()),
        "item_knn, popularity by rank": lambda: (
            Fused(knn, Popularity(), weight)
            for weight in (0.3, 1.0, 3.0, 10.0)
            for knn in (ItemKnn(100, "bm25"),)
        ),
        "als, item_knn by rank": lambda: (
            Fused(als, ItemKnn(100, "bm25"), weight)
            for weight in (0.5, 1.0)
            for als in itertools.islice(_alss(), 1, 3)
        ),
    }


def _knns() -> Iterator[ItemKnn]:
    for n_neighbours, similarity in ((100, "bm25"), (20, "tfidf"), (100, "cosine"), (500, "bm25")):
        yield ItemKnn(n_neighbours, similarity)


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
