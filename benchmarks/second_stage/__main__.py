"""Lists with and without the second stage, against content-based systems on the same split.

python -m benchmarks.second_stage --data FOLDER
python -m benchmarks.second_stage --quick

FOLDER holds `ml-100k` and `ml-1m`; missing files are skipped. A simulated service is always
included. Needs lightgbm; the peers need xgboost and scikit-learn, and are skipped without.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Doubles, ItemRows
from batch.evaluation.bootstrap import Interval, intervals
from batch.evaluation.metrics import per_user
from batch.evaluation.splits import Split
from batch.models.choose import recommender
from batch.models.popularity import Popularity
from batch.models.protocol import Ranker
from batch.second_stage.metadata import Metadata
from batch.second_stage.past import Past
from batch.second_stage.ranking import Proposer, SecondStage, examples_of
from batch.second_stage.training import train
from batch.settings import MODELS, BatchSettings
from batch.unavailable import Unavailable
from benchmarks.harness.arguments import add_data, make_parser, positive_int
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.second_stage.content import Content, training_examples
from benchmarks.second_stage.peers import PEERS, lists_of, make_classifier
from benchmarks.second_stage.tasks import Task, tasks

_K: Final = 20
_SEED: Final = 42
_METRICS: Final = ("ndcg", "recall")
_HEADER: Final = (
    "data", "users", "lists", "NDCG@20", "ours minus it (95 %)", "recall@20",
    "ours minus it (95 %)", "seconds",
)  # fmt: skip


class Subject(NamedTuple):
    """The lists of one system.

    Attributes:
        name: Name in tables and figures.
        item_rows: (n_evaluated, 20) lists.
        seconds: Time of training and of the lists.
    """

    name: str
    item_rows: ItemRows
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one table of all tasks, and a line for each figure."""
    parser = make_parser("second_stage", __doc__)
    add_data(parser)
    parser.add_argument("--model", choices=MODELS, default="auto", help="model of the lists")
    parser.add_argument("--threads", type=positive_int, default=1, metavar="N")
    parser.add_argument("--quick", action="store_true", help="ML-100k, and a small simulation")
    args = parser.parse_args(arguments)
    rows: list[Sequence[str]] = []
    for task in tasks(args.data, is_quick=args.quick):
        print(f"{task.name}: {task.outer.train.shape}", file=sys.stderr, flush=True)
        subjects = [*_ours(task, args.model, args.threads), *_peers(task, args.threads)]
        rows += _compared(task, subjects)
    print_table(_HEADER, rows)
    return 0


def _ours(task: Task, model: str, n_threads: int) -> Iterator[Subject]:
    """Yield the lists of the second stage, of the model alone, and of popularity."""
    began = time.perf_counter()
    metadata = Metadata.of(task.service.interactions, task.service.items, task.service.profiles)
    fitted, outer = _proposer(task, task.outer, metadata, model, n_threads)
    alone_seconds = time.perf_counter() - began
    alone = Subject(model, _lists(fitted, task.outer, n_threads), alone_seconds)
    _, inner = _proposer(task, task.inner, metadata, model, n_threads)
    booster = train(examples_of(inner, task.inner, n_threads), _SEED)
    item_rows = _lists(SecondStage(outer, booster), task.outer, n_threads)
    yield _timed(Subject(f"{model}, second stage", item_rows, time.perf_counter() - began))
    yield _timed(alone)
    popular = Popularity().fit(task.outer.train)
    yield Subject("popularity", _lists(popular, task.outer, n_threads), 0.0)


def _timed(subject: Subject) -> Subject:
    print(f"  {subject.name:<30} {subject.seconds:>7.1f} s", file=sys.stderr, flush=True)
    return subject


def _proposer(
    task: Task, split: Split, metadata: Metadata, model: str, n_threads: int
) -> tuple[Ranker, Proposer]:
    settings = BatchSettings(model=model, seed=_SEED)
    fitted = recommender(model, settings).fit(split.train, at=split.at, n_threads=n_threads)
    past = Past(split.train, split.at, task.period_seconds)
    return fitted, Proposer.of(fitted, past, metadata, n_threads)


def _lists(ranker: Ranker, split: Split, n_threads: int) -> ItemRows:
    return ranker.top_k(_K, user_rows=split.user_rows, n_threads=n_threads).item_rows


def _peers(task: Task, n_threads: int) -> Iterator[Subject]:
    split, service = task.outer, task.service
    metadata = Metadata.of(service.interactions, service.items, service.profiles)
    content = Content.of(service, metadata, split.train)
    features, has_item = training_examples(service, metadata, split.train, _SEED)
    for name in PEERS:
        classifier = make_classifier(name, n_threads)
        if isinstance(classifier, Unavailable):
            print(f"{task.name}: {name} skipped: {classifier.reason}", file=sys.stderr)
            continue
        began = time.perf_counter()
        classifier.fit(features, has_item)
        item_rows = lists_of(classifier, content, split.train, split.user_rows, _K)
        yield _timed(Subject(name, item_rows, time.perf_counter() - began))


def _compared(task: Task, subjects: Sequence[Subject]) -> Iterator[Sequence[str]]:
    """Print the figures, and yield the rows of the table; the first subject is ours."""
    by_user = [per_user(subject.item_rows, task.outer.test) for subject in subjects]
    for subject, found in zip(subjects, by_user, strict=True):
        differences = {name: by_user[0][name] - found[name] for name in _METRICS}
        means = {name: _interval(found[name]) for name in _METRICS}
        gains = {name: _interval(difference) for name, difference in differences.items()}
        for name in _METRICS:
            print_figure(
                "second_stage", f"{name}_at_{_K}", means[name].mean, "1", subject=subject.name,
                data=task.name, low=means[name].low, high=means[name].high,
                ours_minus_it=gains[name]._asdict(), n_users=len(subject.item_rows), seed=_SEED,
                seconds=round(subject.seconds, 1),
            )  # fmt: skip
        yield _row(task, subject, means, gains, is_ours=subject is subjects[0])


def _row(
    task: Task,
    subject: Subject,
    means: Mapping[str, Interval],
    gains: Mapping[str, Interval],
    *,
    is_ours: bool,
) -> Sequence[str]:
    cells = [task.name, f"{len(subject.item_rows):,}", subject.name]
    for name in _METRICS:
        cells += [f"{means[name].mean:.4f}", "" if is_ours else _gain(gains[name])]
    return [*cells, f"{subject.seconds:.1f}"]


def _gain(gain: Interval) -> str:
    suffix = "" if gain.is_significant else ", n.s."
    return f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}){suffix}"


def _interval(values: Doubles) -> Interval:
    return intervals(values[:, None], np.ones((len(values), 1), dtype=bool), seed=_SEED)[0][0]


if __name__ == "__main__":
    sys.exit(main())
