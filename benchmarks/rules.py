"""The effect of each rule on accuracy, variety, cost, safety and time.

    events ─► split ─► fit ─► lists of all users under one rule after another ─► evaluate

python -m benchmarks.rules --data FOLDER
python -m benchmarks.rules --quick

FOLDER holds MovieLens `ml-100k` and `ml-1m`; without it only a simulated service is
evaluated. It alone has costs and adult titles; 1 of 20 items is marked as adult for
this. Times come from random factors.
"""

import contextlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from batch.arrays import Doubles, Floats, ItemRows
from batch.evaluation.bootstrap import Interval, intervals
from batch.evaluation.metrics import of_all_lists, per_user
from batch.evaluation.splits import Split, by_time, leave_last_out
from batch.interactions.build import Interactions, Ratings
from batch.models.choose import recommender
from batch.models.factors import FittedFactors
from batch.records.catalogue import Item
from batch.records.profiles import Profile, is_minor
from batch.rules.diversity import genre_vectors
from batch.rules.rules import Rules
from batch.rules.settings import RuleSettings
from batch.settings import BatchSettings
from batch.topk import NO_ITEM
from benchmarks.harness.arguments import add_data, make_parser, positive_int
from benchmarks.harness.data_sets import ML_1M, ML_100K, DataSet, read_service, simulated
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.simulator.__main__ import main as simulate

_K: Final = 20
_N_LISTED: Final = 30  # a list and its spares
_N_LISTED_DEEP: Final = 100  # and where exploration draws from 80 spares
_SEED: Final = 42
_AT: Final = datetime(2026, 11, 21, tzinfo=UTC)
_MAX_EVALUATED_USERS: Final = 100_000
_GENRE: Final = "Drama"  # genre of the boosts: the most frequent one of every data set
_N_DENIED: Final = 10  # most listed items
_UNAVAILABLE_EVERY: Final = 10  # one item in so many is not available
_ADULT_EVERY: Final = 20  # one simulated item in so many is marked as adult
_NO_RATINGS: Final = Ratings(np.arange(0), np.arange(0), np.zeros(0, np.float32), 5.0)

# Each rule at its usual strengths; rules without data in a data set are left out there.
_RULES: Final[Mapping[str, Mapping[str, Any]]] = {
    "none": {"adult_filter": False},
    "deny the 10 most listed": {"deny": ()},
    "1 of 10 not available": {},
    "no adult titles to minors": {},
    "boost Drama = 0.5": {"boosts": (f"genre:{_GENRE}=0.5",)},
    "boost Drama = 2": {"boosts": (f"genre:{_GENRE}=2",)},
    "boost Drama = -1": {"boosts": (f"genre:{_GENRE}=-1",)},
    "cost 0.1": {"cost_weight": 0.1},
    "cost 0.3": {"cost_weight": 0.3},
    "cost 1": {"cost_weight": 1.0},
    "diversity 0.1": {"diversity": 0.1},
    "diversity 0.3": {"diversity": 0.3},
    "diversity 0.6": {"diversity": 0.6},
    "diversity 0.1 by factors": {"diversity": 0.1, "diversity_by": "factors"},
    "diversity 0.3 by factors": {"diversity": 0.3, "diversity_by": "factors"},
    "explore 1": {"explore": 1},
    "explore 3": {"explore": 3},
    "explore 1, 80 spares": {"explore": 1, "explore_temperature": 50.0},
    "explore 3, 80 spares": {"explore": 3, "explore_temperature": 50.0},
    "cap 0.2": {"cap": 0.2},
    "cap 0.1": {"cap": 0.1},
    "cap 0.05": {"cap": 0.05},
    "diversity 0.1, explore 1, cap 0.2": {"diversity": 0.1, "explore": 1, "cap": 0.2},
}
_QUICK: Final = ("none", "no adult titles to minors", "cost 0.3", "diversity 0.3",
                 "explore 3, 80 spares", "cap 0.1")  # fmt: skip
_TIMED: Final = ("none", "boost Drama = 2", "cost 0.3", "diversity 0.3",
                 "diversity 0.3 by factors", "explore 3, 80 spares", "cap 0.1",
                 "diversity 0.1, explore 1, cap 0.2")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Case:
    """One data set with a fitted model.

    Attributes:
        name: Name in tables and figures.
        fitted: Model of the training set.
        item_factors: (n_items, n_factors) for similarity.
        train: Interactions of the training set.
        split: Training set and test set.
        items: Items by item_id.
        profiles: Profiles by user_id.
    """

    name: str
    fitted: FittedFactors
    item_factors: Floats
    train: Interactions
    split: Split
    items: Mapping[str, Item]
    profiles: Mapping[str, Profile]

    @property
    def items_by_row(self) -> list[Item]:
        unknown = Item(None, None, (), None, None)
        return [self.items.get(name, unknown) for name in self.train.item_ids.to_pylist()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate every rule on every data set, then time them."""
    parser = make_parser("rules", __doc__)
    add_data(parser)
    parser.add_argument("--quick", action="store_true", help="fewer rules, less data")
    parser.add_argument("--only", choices=("lists", "times"), help="only this half")
    parser.add_argument("--threads", type=positive_int, default=1, metavar="N")
    args = parser.parse_args(arguments)
    names = _QUICK if args.quick else tuple(_RULES)
    if args.only != "times":
        with tempfile.TemporaryDirectory() as folder:
            for case in _cases(args.data, Path(folder), args.threads, is_quick=args.quick):
                _evaluate(case, names, args.threads)
    if args.only != "lists":
        sizes = (10_000, 2_000) if args.quick else (100_000, 20_000)
        _time(*sizes, [name for name in _TIMED if name in names], args.threads)
    return 0


def _cases(data: Path | None, folder: Path, n_threads: int, *, is_quick: bool) -> Iterator[_Case]:
    if data:
        yield _case("ml-100k by time", ML_100K, data, n_threads, is_by_time=True)
    if data and not is_quick:
        yield _case("ml-1m by last", ML_1M, data, n_threads, is_by_time=False)
    n_users, n_items = (1_000, 300) if is_quick else (10_000, 1_500)
    history = folder / "history"
    size = ["--users", str(n_users), "--items", str(n_items), "--views-per-user", "15"]
    with contextlib.redirect_stdout(sys.stderr):
        simulate(["history", *size, "--days", "14", "--parquet", "--out", str(history)])
    case = _case("simulated by time", simulated(), history, n_threads, is_by_time=True)
    yield replace(case, items=_with_more_adult_titles(case.items))


def _case(name: str, data_set: DataSet, folder: Path, n_threads: int, *, is_by_time: bool) -> _Case:
    settings = BatchSettings(seed=_SEED)
    service = read_service(data_set, folder)
    whole = service.interactions
    at = whole.began_at
    if is_by_time and at is not None:
        split = by_time(whole.weights, at)
    else:
        split = leave_last_out(whole.weights, at, _MAX_EVALUATED_USERS, _SEED)
    fitted = recommender("ials", settings).fit(split.train, at=split.at, n_threads=n_threads)
    assert isinstance(fitted, FittedFactors)
    item_factors = fitted.item_factors[:, : settings.n_factors]
    train = replace(whole, weights=split.train)
    return _Case(name, fitted, item_factors, train, split, service.items, service.profiles)


def _with_more_adult_titles(items: Mapping[str, Item]) -> dict[str, Item]:
    """Return the items with some marked as adult: the simulation has too few for a figure."""
    marked = sorted(items)[::_ADULT_EVERY]
    return {**items, **{item_id: replace(items[item_id], adult=True) for item_id in marked}}


@dataclass(frozen=True, slots=True)
class _Evaluated:
    """The lists of all users under one rule, evaluated.

    Attributes:
        item_rows: (n_users, 20) lists of all users.
        ndcg: (n_evaluated,) NDCG@20 of each evaluated user.
        recall: (n_evaluated,) recall@20 of each evaluated user.
        aggregates: Figures of all lists together, by metric.
    """

    item_rows: ItemRows
    ndcg: Doubles
    recall: Doubles
    aggregates: Mapping[str, float]


def _evaluate(case: _Case, names: Sequence[str], n_threads: int) -> None:
    has_data = {"cost": any(item.cost is not None for item in case.items_by_row),
                "no adult": any(item.adult for item in case.items_by_row)}  # fmt: skip
    names = [n for n in names if all(has for what, has in has_data.items() if n.startswith(what))]
    found = {"none": _apply("none", case, None, n_threads)}
    for name in names[1:]:
        found[name] = _apply(name, case, found["none"], n_threads)
    columns = [
        metric for metric in _COLUMNS if any(_figures(one)[metric] for one in found.values())
    ]
    rows = []
    for name, evaluated in found.items():
        change = _interval(evaluated.ndcg - found["none"].ndcg)
        figures = _figures(evaluated)
        details: dict[str, Any] = {"subject": name, "data": case.name, "k": _K, "seed": _SEED,
                   "n_users": len(evaluated.item_rows),
                   "n_judged": len(evaluated.ndcg)}  # fmt: skip
        for metric, value in figures.items():
            print_figure("rules", metric, value, _UNITS[metric], **details)
        print_figure("rules", "ndcg_minus_none", change.mean, "1", **details, **change._asdict())
        cells = (f"{figures[metric]:{_COLUMNS[metric]}}" for metric in columns)
        shown = f"{change.mean:+.4f} [{change.low:+.4f}, {change.high:+.4f}]"
        rows.append((name, *cells, shown if name != "none" else ""))
    n_users, n_items = case.split.train.shape
    n_evaluated = len(case.split.user_rows)
    title = f"{case.name}: {n_users:,} users, {n_items:,} items, {n_evaluated:,} evaluated"
    print(f"\n{title}\n", file=sys.stderr)
    print_table(
        ("rule", *(metric.replace("_", " ") for metric in columns), "NDCG minus none"), rows
    )


def _figures(evaluated: _Evaluated) -> dict[str, float]:
    means = {"ndcg": float(evaluated.ndcg.mean()), "recall": float(evaluated.recall.mean())}
    return means | dict(evaluated.aggregates)


_COLUMNS: Final = {
    "ndcg": ".4f", "recall": ".4f", "coverage": ".3f", "novelty": ".2f", "genre_likeness": ".3f",
    "top_share": ".3f", "drama": ".3f", "cost": ".4f", "adult_to_minors": ",.0f",
    "short_lists": ",.0f",
}  # fmt: skip
_UNITS: Final = dict.fromkeys(_COLUMNS, "1") | {"novelty": "bit", "cost": "USD"}


def _apply(name: str, case: _Case, without: _Evaluated | None, n_threads: int) -> _Evaluated:
    """Return the lists of all users under a rule, evaluated.

    Args:
        name: Name of the rule, a key of `_RULES`.
        case: Data set and model.
        without: Lists without any rule; None while these are made.
        n_threads: Threads of the search.
    """
    settings = RuleSettings(**_RULES[name])
    items = dict(case.items)
    ids = case.train.item_ids.to_pylist()
    if name.startswith("deny") and without:
        counts = np.bincount(without.item_rows.ravel(), minlength=len(ids))
        most_listed = np.argsort(-counts)[:_N_DENIED]
        settings = replace(settings, deny=tuple(ids[row] for row in most_listed))
    if name.endswith("not available"):
        until = _AT.isoformat()
        items |= {
            item_id: replace(items[item_id], available_until=until)
            for item_id in ids[::_UNAVAILABLE_EVERY]
        }
    rules = Rules.of(settings, case.train, items, case.profiles, at=_AT, salt=str(_SEED))
    lists = rules.lists(case.fitted, case.item_factors, _n_listed(name), n_threads=n_threads)
    item_rows = lists.item_rows[:, :_K]
    metrics = per_user(item_rows[case.split.user_rows], case.split.test)
    return _Evaluated(item_rows, metrics["ndcg"], metrics["recall"], _aggregates(item_rows, case))


def _n_listed(name: str) -> int:
    return _N_LISTED_DEEP if name.endswith("80 spares") else _N_LISTED


def _aggregates(item_rows: ItemRows, case: _Case) -> dict[str, float]:
    items = case.items_by_row
    listed = item_rows[item_rows != NO_ITEM]
    counts = np.bincount(listed, minlength=len(items))
    unknown = Profile(None, None, None)
    minors = [
        is_minor(case.profiles.get(user_id, unknown)) for user_id in case.train.user_ids.to_pylist()
    ]
    adult = np.array([*(bool(item.adult) for item in items), False])  # NO_ITEM is the last index
    cost = np.array([item.cost or 0.0 for item in items])
    drama = np.array([_GENRE in item.genres for item in items])
    totals = of_all_lists(item_rows, case.split.train)
    return {
        "coverage": totals["coverage"],
        "novelty": totals["novelty"],
        "genre_likeness": _genre_similarity(item_rows, genre_vectors(items)),
        "top_share": float(counts.max() / len(item_rows)),
        "drama": float(drama[listed].mean()),
        "cost": float(cost[listed].mean()),
        "adult_to_minors": float(adult[item_rows[minors]].sum()),
        "short_lists": float((item_rows == NO_ITEM).any(axis=1).sum()),
    }


def _genre_similarity(item_rows: ItemRows, vectors: Floats) -> float:
    """Return the mean cosine of genres over all pairs of items of each list, over all lists."""
    vectors = np.vstack((vectors, np.zeros_like(vectors[:1])))[item_rows]
    n = (item_rows != NO_ITEM).sum(axis=1)
    squares = (vectors.sum(axis=1) ** 2).sum(axis=1) - (vectors**2).sum(axis=(1, 2))
    return float((squares / np.maximum(n * (n - 1), 1)).mean())


def _interval(figures: Doubles) -> Interval:
    return intervals(figures[:, None], np.ones((len(figures), 1), np.bool_), seed=_SEED)[0][0]


def _time(n_users: int, n_items: int, names: Sequence[str], n_threads: int) -> None:
    """Print the processor time of the lists of many users under each rule."""
    case = _random_case(n_users, n_items)
    rows, without = [], 0.0
    for name in names:
        cpu = time.process_time()
        seconds = _lists_seconds(case, name, n_threads)
        cpu = time.process_time() - cpu
        scale = 100_000 / n_users
        without = without or cpu
        details: dict[str, Any] = {
            "subject": name, "n_users": n_users, "n_items": n_items, "threads": n_threads,
            "candidates": RuleSettings().candidates, "seed": _SEED,
        }  # fmt: skip
        print_figure("rules", "seconds_per_100k_users", seconds * scale, "s", **details)
        print_figure("rules", "cpu_seconds_per_100k_users", cpu * scale, "s", **details)
        rows.append((name, f"{cpu * scale:.2f}", f"{(cpu - without) * scale:.2f}"))
    title = f"random factors: {n_users:,} users, {n_items:,} items, threads: {n_threads}"
    print(f"\n{title}\n", file=sys.stderr)
    print_table(("rule", "CPU s per 100,000 users", "minus none"), rows)


def _lists_seconds(case: _Case, name: str, n_threads: int) -> float:
    settings = RuleSettings(**_RULES[name])
    rules = Rules.of(settings, case.train, case.items, case.profiles, at=_AT, salt=str(_SEED))
    began = time.perf_counter()
    rules.lists(case.fitted, case.item_factors, _n_listed(name), n_threads=n_threads)
    return time.perf_counter() - began


def _random_case(n_users: int, n_items: int) -> _Case:
    """Return random factors, 64 long, of uneven norms, and about 10 seen items per user."""
    random = np.random.default_rng(_SEED)
    norms = random.lognormal(0, 0.7, (n_items, 1)) / 8
    item_factors = (random.normal(size=(n_items, 64)) * norms).astype(np.float32)
    user_factors = random.normal(size=(n_users, 64)).astype(np.float32)
    cells = np.unique(random.integers(0, n_users * n_items, 10 * n_users))
    ones = np.ones(len(cells), np.float32)
    seen = sp.csr_matrix((ones, np.divmod(cells, n_items)), shape=(n_users, n_items))
    names = [f"i{row:06}" for row in range(n_items)]
    genres = np.array([_GENRE, *(f"genre {n}" for n in range(18))])
    items = {
        name: Item(None, None, tuple(genres[random.random(19) < 0.12]), None, None,
                   cost=float(random.lognormal()))
        for name in names
    }  # fmt: skip
    train = Interactions(
        pa.array([f"u{row:07}" for row in range(n_users)]), pa.array(names), seen, _NO_RATINGS,
        Counter(), 0,
    )  # fmt: skip
    no_users = np.arange(0)
    split = Split("none", seen, None, no_users, seen[no_users], seen[no_users])
    fitted = FittedFactors(user_factors, item_factors, seen, lambda _: user_factors)
    return _Case("random", fitted, item_factors, train, split, items, {})


if __name__ == "__main__":
    sys.exit(main())
