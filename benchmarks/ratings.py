"""Rating prediction: how far off, and how long the training takes.

python -m benchmarks.ratings --data FOLDER
python -m benchmarks.ratings --quick

FOLDER holds `ml-100k/u.data` and `ml-latest-small/ratings.csv` of MovieLens; what is
not there is left out. Three splits: five folds by lot, as others publish it; each
user's latest fifth; and the latest fifth of all, whose users are mostly new.
A million ratings made up in the shape of ML-1M are there for the time alone.
"""

import argparse
import csv
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from batch.arrays import Flags
from batch.interactions.build import Ratings
from batch.ratings.measure import Fold, folds, subset
from batch.ratings.model import PredictionErrors, prediction_errors
from batch.ratings.train import RatingOptions, train_ratings
from benchmarks.report import print_figure, print_table

_SEED: Final = 42
_N_FOLDS: Final = 5
_FILES: Final = {  # and what parts their columns
    "ml-100k": ("ml-100k/u.data", "\t"),
    "ml-latest-small": ("ml-latest-small/ratings.csv", ","),
}
_SUBJECTS: Final = {  # the baselines are the model without its parts
    "user+item biases": {"n_factors": 0, "n_directions": 0},
    "biases+factors": {"n_factors": 8, "n_directions": 0},
    "marquee": {"n_factors": 8},
}
_MILLION: Final = (6_040, 3_706, 1_000_000)  # users, items, ratings


class _Data(NamedTuple):
    ratings: Ratings
    at: npt.NDArray[np.int64]
    n_users: int
    n_items: int


class _Result(NamedTuple):
    rmse: float
    mae: float
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table, and a line for each data set, split, subject and metric."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ratings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        default=os.environ.get("MARQUEE_SHARED_DATA"),
        help="with MovieLens in it; default: MARQUEE_SHARED_DATA",
    )
    parser.add_argument("--quick", action="store_true", help="one fold of the five; no million")
    given = parser.parse_args(arguments)
    rows = []
    for name, data in _data(given.data, quick=given.quick):
        for split, parts in _splits(name, data, quick=given.quick):
            results = {"mean": _measured(parts, data, None)}
            results |= {who: _measured(parts, data, how) for who, how in _SUBJECTS.items()}
            for subject, result in results.items():
                figures = (f"{value:.3f}" if value else "" for value in result)
                rows.append((name, split, subject, *figures))
                _print(name, split, subject, result, results["user+item biases"], data)
    print_table(("ratings", "split", "model", "RMSE", "MAE", "seconds"), rows)
    return 0


def _data(folder: Path | None, *, quick: bool) -> Iterator[tuple[str, _Data]]:
    for name, (file, delimiter) in _FILES.items():
        if folder is not None and (Path(folder) / file).exists():
            yield name, _read(Path(folder) / file, delimiter)
        else:
            print(f"{name} is left out: give the folder that has it as --data", file=sys.stderr)
    yield "made-up", _made_up(943, 1_682, 100_000)
    if not quick:
        yield "made-up-million", _made_up(*_MILLION)


def _read(path: Path, delimiter: str) -> _Data:
    rows = []
    with path.open(newline="") as file:
        for columns in csv.reader(file, delimiter=delimiter):
            if columns[0].isdecimal():  # not the header; one copy has words behind a time
                rows.append([float(column.split()[0]) for column in columns])
    table = np.array(rows)
    user_ids, user_row = np.unique(table[:, 0], return_inverse=True)
    item_ids, item_row = np.unique(table[:, 1], return_inverse=True)
    ratings = Ratings(user_row, item_row, table[:, 2].astype(np.float32), 5.0)
    return _Data(ratings, table[:, 3].astype(np.int64), len(user_ids), len(item_ids))


def _made_up(n_users: int, n_items: int, n_ratings: int) -> _Data:
    """Ratings of a model of 6 factors with noise of 0.9, items as skewed as films are."""
    rng = np.random.default_rng(_SEED)
    popularity = (1 + np.arange(n_items)) ** -0.8
    drawn = int(1.6 * n_ratings)
    user_row = rng.integers(0, n_users, drawn)
    item_row = rng.choice(n_items, drawn, p=popularity / popularity.sum())
    pairs = rng.permutation(np.unique(user_row * n_items + item_row))[:n_ratings]
    user_row, item_row = pairs // n_items, pairs % n_items
    users, items = (rng.normal(0, 0.45, (n, 6)) for n in (n_users, n_items))
    bias = rng.normal(0, 0.4, n_users)[user_row] + rng.normal(0, 0.5, n_items)[item_row]
    liked = 3.6 + bias + (users[user_row] * items[item_row]).sum(axis=1)
    rating = np.clip(np.rint(liked + rng.normal(0, 0.9, len(pairs))), 1, 5)
    ratings = Ratings(user_row, item_row, rating.astype(np.float32), 5.0)
    return _Data(ratings, np.zeros(len(pairs), np.int64), n_users, n_items)


def _splits(name: str, data: _Data, *, quick: bool) -> Iterator[tuple[str, list[Fold]]]:
    parts = list(folds(data.ratings, _N_FOLDS, _SEED))
    yield "1 fold of 5" if quick else "5 folds", parts[: 1 if quick else None]
    if name in _FILES:
        for split, is_late in (
            ("latest of each user", _is_late_of_user(data)),
            ("latest of all", data.at > np.quantile(data.at, 0.8)),
        ):
            yield split, [Fold(subset(data.ratings, ~is_late), subset(data.ratings, is_late))]


def _is_late_of_user(data: _Data) -> Flags:
    """Tell the latest fifth of each user's ratings, ties by item."""
    user_row = data.ratings.user_row
    order = np.lexsort((data.ratings.item_row, data.at, user_row))
    n_ratings = np.bincount(user_row, minlength=data.n_users)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    place -= (np.cumsum(n_ratings) - n_ratings)[user_row]
    is_late: Flags = place >= 0.8 * n_ratings[user_row]
    return is_late


def _measured(parts: Sequence[Fold], data: _Data, how: dict[str, int] | None) -> _Result:
    """Average over the folds; the seconds are those of one training."""
    found, seconds = [], []
    for fold in parts:
        began = time.perf_counter()
        if how is None:
            found.append(_errors_of_mean(fold))
        else:
            options = RatingOptions(seed=_SEED, **how)
            model = train_ratings(fold.train, data.n_users, data.n_items, options)
            assert model is not None
            seconds.append(time.perf_counter() - began)
            found.append(prediction_errors(model, fold.test))
    rmse, mae = np.mean(found, axis=0)
    return _Result(float(rmse), float(mae), statistics.median(seconds) if seconds else 0.0)


def _errors_of_mean(fold: Fold) -> PredictionErrors:
    miss = fold.train.rating.mean() - fold.test.rating
    return PredictionErrors(float(np.sqrt(np.mean(miss**2))), float(np.mean(np.abs(miss))))


def _print(
    name: str, split: str, subject: str, result: _Result, baseline: _Result, data: _Data
) -> None:
    for metric, value in result._asdict().items():
        if metric == "seconds" and not value:  # the mean is not trained
            continue
        about = {"data": name, "split": split, "ratings": len(data.ratings.rating), "seed": _SEED}
        if metric != "seconds":
            about |= {
                "peer": "user+item biases",
                "ratio": round(value / getattr(baseline, metric), 4),
            }
        unit = "s" if metric == "seconds" else "points"
        print_figure("ratings", metric, round(value, 4), unit, subject=subject, **about)


if __name__ == "__main__":
    sys.exit(main())
