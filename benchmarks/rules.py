"""What each rule gives and takes: accuracy, variety, cost, safety, and time.

    events ─► split ─► fit ─► the lists of all users, under one rule after another ─► judge

python -m benchmarks.rules --data FOLDER
python -m benchmarks.rules --quick

FOLDER holds MovieLens `ml-100k` and `ml-1m`; without it only a simulated service is
judged, which alone knows costs and adult titles (1 of 20 items is made one besides).
Times come from made factors.
"""

import argparse
import contextlib
import os
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
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

from batch.arrays import Floats
from batch.evaluation.bootstrap import Interval, intervals
from batch.evaluation.metrics import of_all_lists, per_user
from batch.evaluation.splits import Split, by_time, leave_last_out
from batch.events.read import read_events
from batch.interactions.build import Interactions, Ratings, build_interactions
from batch.models.choose import recommender
from batch.models.factors import FittedFactors
from batch.records.catalogue import Item, read_catalogues
from batch.records.profiles import Profile, is_minor, read_profiles
from batch.rules.diversity import genre_vectors
from batch.rules.rules import Rules
from batch.rules.settings import RuleSettings
from batch.settings import BatchSettings
from batch.topk import NO_ITEM
from benchmarks.report import print_figure, print_table
from benchmarks.simulator.__main__ import main as simulate

_K: Final = 20
_N_KEPT: Final = 30
_SEED: Final = 42
_AT: Final = datetime(2026, 11, 21, tzinfo=UTC)
_MOST_JUDGED: Final = 100_000
_GENRE: Final = "Drama"  # that boosts are measured on: the commonest, everywhere known
_GONE: Final = 10  # of the most listed items are denied; and of 10 items one is not available

_ADULT: Final = 20  # of so many simulated items one is made an adult title
_NO_RATINGS: Final = Ratings(np.arange(0), np.arange(0), np.zeros(0, np.float32), 5.0)

# A rule at its usual strengths; what one data set knows nothing of is left out there.
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
    "cap 0.2": {"cap": 0.2},
    "cap 0.1": {"cap": 0.1},
    "cap 0.05": {"cap": 0.05},
    "diversity 0.1, explore 1, cap 0.2": {"diversity": 0.1, "explore": 1, "cap": 0.2},
}
_QUICK: Final = ("none", "no adult titles to minors", "cost 0.3", "diversity 0.3", "explore 3",
                 "cap 0.1")  # fmt: skip
_TIMED: Final = ("none", "boost Drama = 2", "cost 0.3", "diversity 0.3",
                 "diversity 0.3 by factors", "explore 3", "cap 0.1",
                 "diversity 0.1, explore 1, cap 0.2")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Case:
    """One data set, fitted.

    Attributes:
        name: In the tables.
        fitted: The model of the training side.
        item_factors: (n_items, n_factors) for likeness.
        train: The interactions it was fitted to.
        split: And those to judge by.
        items: By item_id.
        profiles: By user_id.
    """

    name: str
    fitted: FittedFactors
    item_factors: Floats
    train: Interactions
    split: Split
    items: Mapping[str, Item]
    profiles: Mapping[str, Profile]

    @property
    def of_rows(self) -> list[Item]:
        unknown = Item(None, None, (), None, None)
        return [self.items.get(name, unknown) for name in self.train.item_ids.to_pylist()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge every rule on every data set, then time them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rules", description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("MARQUEE_SHARED_DATA"))
    parser.add_argument("--quick", action="store_true", help="fewer rules, less data")
    parser.add_argument("--only", choices=("lists", "times"), help="judge lists, or time alone")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    names = _QUICK if given.quick else tuple(_RULES)
    if given.only != "times":
        with tempfile.TemporaryDirectory() as folder:
            for case in _cases(given.data, Path(folder), given.threads, is_quick=given.quick):
                _judge(case, names, given.threads)
    if given.only != "lists":
        sizes = (10_000, 2_000) if given.quick else (100_000, 20_000)
        _time(*sizes, [name for name in _TIMED if name in names], given.threads)
    return 0


def _cases(data: Path | None, folder: Path, n_threads: int, *, is_quick: bool) -> Iterator[_Case]:
    if data:
        yield _case(
            "ml-100k by time", folder, n_threads, is_by_time=True, events=data / "ml-100k/u.data",
            catalogue=data / "ml-100k/u.item", profiles=data / "ml-100k/u.user",
        )  # fmt: skip
    if data and not is_quick:
        yield _case(
            "ml-1m by last", folder, n_threads, is_by_time=False,
            events=data / "ml-1m/pairs.parquet", catalogue=data / "ml-1m/movies.dat",
            profiles=data / "ml-1m/users.dat",
        )  # fmt: skip
    n_users, n_items = (1_000, 300) if is_quick else (10_000, 1_500)
    made = folder / "history"
    size = ["--users", str(n_users), "--items", str(n_items), "--views-per-user", "15"]
    with contextlib.redirect_stdout(sys.stderr):
        simulate(["history", *size, "--days", "14", "--parquet", "--out", str(made)])
    yield _case(
        "simulated by time", folder, n_threads, is_by_time=True, events=made / "events",
        catalogue=made / "catalogue.jsonl", profiles=made / "profiles.jsonl",
    )  # fmt: skip


def _case(
    name: str, folder: Path, n_threads: int, *, is_by_time: bool, events: Path, catalogue: Path,
    profiles: Path,
) -> _Case:  # fmt: skip
    settings = BatchSettings(events=(str(events),), quarantine=str(folder), seed=_SEED)
    items = read_catalogues([catalogue]).items
    read = read_events(settings).events
    if name.startswith("simulated"):  # where too few are for a figure
        named = sorted(items)[::_ADULT]
        items |= {item_id: replace(items[item_id], adult=True) for item_id in named}
    runtimes = {item_id: item.runtime for item_id, item in items.items()}
    whole = build_interactions(read, runtimes, 0.0)
    at = whole.began_at
    if is_by_time and at is not None:
        split = by_time(whole.weights, at)
    else:
        split = leave_last_out(whole.weights, at, _MOST_JUDGED, _SEED)
    fitted = recommender("auto", settings).fit(split.train, at=split.at, n_threads=n_threads)
    assert isinstance(fitted, FittedFactors)
    taste = fitted.item_factors[:, : settings.n_factors]
    train = replace(whole, weights=split.train)
    return _Case(name, fitted, taste, train, split, items, read_profiles([profiles]).users)


@dataclass(frozen=True, slots=True)
class _Judged:
    """The lists of one rule.

    Attributes:
        item_rows: (n_users, 20) of everybody.
        ndcg, recall: (n_judged,).
        of_lists: Figures of all lists together, by metric.
        seconds: For the lists.
    """

    item_rows: npt.NDArray[np.int32]
    ndcg: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]
    of_lists: Mapping[str, float]
    seconds: float


def _judge(case: _Case, names: Sequence[str], n_threads: int) -> None:
    known = {"cost": any(item.cost is not None for item in case.of_rows),
             "no adult": any(item.adult for item in case.of_rows)}  # fmt: skip
    names = [n for n in names if all(has for what, has in known.items() if n.startswith(what))]
    found = {"none": _under("none", case, None, n_threads)}
    for name in names[1:]:
        found[name] = _under(name, case, found["none"], n_threads)
    told = [
        metric for metric in _COLUMNS if any(_figures(judged)[metric] for judged in found.values())
    ]
    rows = []
    for name, judged in found.items():
        change = _interval(judged.ndcg - found["none"].ndcg)
        figures = _figures(judged)
        about = {"subject": name, "data": case.name, "k": _K, "seed": _SEED,
                 "n_users": len(judged.item_rows), "n_judged": len(judged.ndcg)}  # fmt: skip
        for metric, value in figures.items():
            print_figure("rules", metric, value, _UNITS[metric], **about)
        print_figure("rules", "ndcg_minus_none", change.mean, "1", **about, **change._asdict())
        cells = (f"{figures[metric]:{_COLUMNS[metric]}}" for metric in told)
        shown = f"{change.mean:+.4f} [{change.low:+.4f}, {change.high:+.4f}]"
        rows.append((name, *cells, shown if name != "none" else ""))
    n_users, n_items = case.split.train.shape
    head = (
        f"{case.name}: {n_users:,} users, {n_items:,} items, {len(case.split.user_rows):,} judged"
    )
    print(f"\n{head}\n", file=sys.stderr)
    print_table(("rule", *(metric.replace("_", " ") for metric in told), "NDCG less none's"),
                rows)  # fmt: skip


def _figures(judged: _Judged) -> dict[str, float]:
    means = {"ndcg": float(judged.ndcg.mean()), "recall": float(judged.recall.mean())}
    return means | dict(judged.of_lists)


_COLUMNS: Final = {
    "ndcg": ".4f", "recall": ".4f", "coverage": ".3f", "novelty": ".2f", "genre_likeness": ".3f",
    "top_share": ".3f", "drama": ".3f", "cost": ".4f", "adult_to_minors": ",.0f",
    "short_lists": ",.0f",
}  # fmt: skip
_UNITS: Final = dict.fromkeys(_COLUMNS, "1") | {"novelty": "bit", "cost": "USD"}


def _under(name: str, case: _Case, plain: _Judged | None, n_threads: int) -> _Judged:
    """Return the lists of everybody under a rule, judged."""
    settings = RuleSettings(**_RULES[name])
    items = dict(case.items)
    ids = case.train.item_ids.to_pylist()
    if name.startswith("deny") and plain:
        most = np.argsort(-np.bincount(plain.item_rows.ravel(), minlength=len(ids)))[:_GONE]
        settings = replace(settings, deny=tuple(ids[row] for row in most))
    if name.endswith("not available"):
        over = _AT.isoformat()
        items |= {n: replace(items[n], available_until=over) for n in ids[::_GONE]}
    rules = Rules.of(settings, case.train, items, case.profiles, at=_AT, seed=_SEED)
    began = time.perf_counter()
    lists = rules.lists(case.fitted, case.item_factors, _N_KEPT, n_threads=n_threads)
    seconds = time.perf_counter() - began
    item_rows = lists.item_rows[:, :_K]
    judged = per_user(item_rows[case.split.user_rows], case.split.test)
    of_lists = _of_lists(item_rows, case)
    return _Judged(item_rows, judged["ndcg"], judged["recall"], of_lists, seconds)


def _of_lists(item_rows: npt.NDArray[np.int32], case: _Case) -> dict[str, float]:
    items = case.of_rows
    listed = item_rows[item_rows != NO_ITEM]
    counts = np.bincount(listed, minlength=len(items))
    nobody = Profile(None, None, None)
    minors = [is_minor(case.profiles.get(name, nobody)) for name in case.train.user_ids.to_pylist()]
    adult = np.array([*(bool(item.adult) for item in items), False])  # NO_ITEM finds the last
    cost = np.array([item.cost or 0.0 for item in items])
    drama = np.array([_GENRE in item.genres for item in items])
    together = of_all_lists(item_rows, case.split.train)
    return {
        "coverage": together["coverage"],
        "novelty": together["novelty"],
        "genre_likeness": _likeness(item_rows, genre_vectors(items)),
        "top_share": float(counts.max() / len(item_rows)),
        "drama": float(drama[listed].mean()),
        "cost": float(cost[listed].mean()),
        "adult_to_minors": float(adult[item_rows[minors]].sum()),
        "short_lists": float((item_rows == NO_ITEM).any(axis=1).sum()),
    }


def _likeness(item_rows: npt.NDArray[np.int32], vectors: Floats) -> float:
    """Return the mean cosine of genres over all pairs of each list, over all lists."""
    vectors = np.vstack((vectors, np.zeros_like(vectors[:1])))[item_rows]
    n = (item_rows != NO_ITEM).sum(axis=1)
    squares = (vectors.sum(axis=1) ** 2).sum(axis=1) - (vectors**2).sum(axis=(1, 2))
    return float((squares / np.maximum(n * (n - 1), 1)).mean())


def _interval(figures: npt.NDArray[np.float64]) -> Interval:
    return intervals(figures[:, None], np.ones((len(figures), 1), np.bool_), seed=_SEED)[0][0]


def _time(n_users: int, n_items: int, names: Sequence[str], n_threads: int) -> None:
    """Time the lists of many users under each rule, and print how much each takes."""
    case = _made(n_users, n_items)
    rows, plain = [], 0.0
    for name in names:
        cpu = time.process_time()
        seconds = _lists_seconds(case, RuleSettings(**_RULES[name]), n_threads)
        cpu = time.process_time() - cpu
        per = 100_000 / n_users
        plain = plain or cpu
        about = {"subject": name, "n_users": n_users, "n_items": n_items, "threads": n_threads,
                 "candidates": RuleSettings().candidates, "seed": _SEED}  # fmt: skip
        print_figure("rules", "seconds_per_100k_users", seconds * per, "s", **about)
        print_figure("rules", "cpu_seconds_per_100k_users", cpu * per, "s", **about)
        rows.append((name, f"{cpu * per:.2f}", f"{(cpu - plain) * per:.2f}"))
    print(f"\nmade: {n_users:,} users, {n_items:,} items, threads: {n_threads}\n", file=sys.stderr)
    print_table(("rule", "CPU s per 100,000 users", "less none's"), rows)


def _lists_seconds(case: _Case, settings: RuleSettings, n_threads: int) -> float:
    rules = Rules.of(settings, case.train, case.items, case.profiles, at=_AT, seed=_SEED)
    began = time.perf_counter()
    rules.lists(case.fitted, case.item_factors, _N_KEPT, n_threads=n_threads)
    return time.perf_counter() - began


def _made(n_users: int, n_items: int) -> _Case:
    """Return factors of uneven norms, 64 long, of users who have seen 10 items each."""
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
    nobody = np.arange(0)
    split = Split("made", seen, None, nobody, seen[nobody], seen[nobody])
    fitted = FittedFactors(user_factors, item_factors, seen, lambda _: user_factors)
    return _Case("made", fitted, item_factors, train, split, items, {})


if __name__ == "__main__":
    sys.exit(main())
