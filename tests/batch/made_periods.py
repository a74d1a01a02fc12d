"""Ten days of views for the tests of the second stage."""

from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from batch.models.popularity import Popularity
from batch.second_stage.choice import StageInputs
from batch.second_stage.metadata import Metadata

DAY = 86_400
FIRST_DAY = 20_000  # days since 1970

N_ITEMS = 200
N_GENRES = 4


def metadata_of(n_users: int) -> Metadata:
    """Return items of one of four genres each, and users of two genders."""
    gender = np.arange(n_users) % 2
    return Metadata(
        genres=np.eye(N_GENRES, dtype=np.float32)[np.arange(N_ITEMS) % N_GENRES],
        numbers=np.full((N_ITEMS, 3), np.nan, np.float32),
        profiles=np.stack((np.full(n_users, 30), gender), axis=1).astype(np.float32),
        segment=gender.astype(np.int32),
        n_segments=2,
    )


def inputs_of(user, item, day, *, n_users, n_threads=1) -> StageInputs:
    """Return views, the first of each pair, with popularity as the model of the lists."""
    shape = (n_users, N_ITEMS)
    _, first = np.unique(user * N_ITEMS + item, return_index=True)
    weights = sp.csr_matrix((np.ones(len(first), np.float32), (user[first], item[first])), shape)
    at = (FIRST_DAY + day[first]) * DAY + user[first] % 1000  # in the order of the cells
    fit_model = partial(_fit_popularity, n_threads=n_threads)
    return StageInputs(weights, at, metadata_of(n_users), fit_model, 42, n_threads)


def trending(n_users=500, *, n_threads=1, seed=5) -> StageInputs:
    """Each day brings 20 items, watched for four days; each gender watches those of two genres."""
    random = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), 10)
    day = np.tile(np.arange(10), n_users)
    genre = user % 2 + 2 * random.integers(0, 2, len(user))
    new = 20 * np.maximum(day - random.integers(0, 4, len(user)), 0)
    item = new + N_GENRES * random.integers(0, 20 // N_GENRES, len(user)) + genre
    is_watched = random.random(len(user)) < 0.8
    return inputs_of(
        user[is_watched], item[is_watched], day[is_watched], n_users=n_users, n_threads=n_threads
    )


def unrelated(n_users=500, *, seed=5) -> StageInputs:
    """Every view is of an item drawn by its popularity, whatever the user and the day."""
    random = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), 10)
    day = np.tile(np.arange(10), n_users)
    share = 1 / np.arange(1, N_ITEMS + 1)
    item = random.choice(N_ITEMS, len(user), p=share / share.sum())
    return inputs_of(user, item, day, n_users=n_users)


def trend_that_ended(n_users=350, *, seed=5) -> StageInputs:
    """Each day brings 20 items, and ten classics are watched; the last day has classics alone.

    The day before the last has none of these, so that its views are all of new items.
    """
    random = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), 10)
    day = np.tile(np.arange(10), n_users)
    new = 20 * np.maximum(day - random.integers(0, 4, len(user)), 0)
    item = new + random.integers(0, 20, len(user))
    is_classic = np.choose(np.maximum(day - 7, 0), [random.random(len(user)) < 0.3, False, True])
    classic = N_ITEMS - 10 + random.integers(0, 10, len(user))
    return inputs_of(user, np.where(is_classic, classic, item), day, n_users=n_users)


def write_events(folder: Path, made: StageInputs) -> tuple[tuple[object, ...], dict[str, set[str]]]:
    """Write views, genres and genders as files; return a refresh's options, and what is seen."""
    user, item = made.weights.nonzero()
    assert made.at is not None
    rows = zip(user, item, made.at, strict=True)
    lines = [f"{u + 1},{i + 1},5,{at}\n" for u, i, at in rows]
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "".join(lines))
    genres = [f"{i + 1},Film {i + 1},Genre {i % N_GENRES}\n" for i in range(N_ITEMS)]
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "".join(genres))
    users = [f"{u + 1}|30|{'MF'[u % 2]}|writer|12345\n" for u in range(made.weights.shape[0])]
    (folder / "u.user").write_text("".join(users))
    seen: dict[str, set[str]] = {}
    for u, i in zip(user, item, strict=True):
        seen.setdefault(str(u + 1), set()).add(str(i + 1))
    files = ("--events", folder / "ratings.csv", "--catalogue", folder / "movies.csv")
    return (*files, "--profiles", folder / "u.user"), seen


def _fit_popularity(weights, at, *, n_threads):
    return Popularity().fit(weights, at=at, n_threads=n_threads)
