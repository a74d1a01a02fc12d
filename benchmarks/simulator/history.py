"""The history: what the users of a world watched and rated, as the stream's own lines."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.simulator.world import Floats, World

_FIRST_DAY: Final = np.datetime64("2026-01-01T00:00:00", "s")
_DAY_SECONDS: Final = 86_400
_VIEWS_PER_USER: Final = 6.0
_MOST_VIEWS_PER_USER: Final = 60
_RATED_SHARE: Final = 0.15
_USUAL_SHARE: Final = 0.35  # of the runtime that a view lasts, neither liked nor disliked
_CHUNK: Final = 4_000  # users whose choices are drawn at a time
_FOREIGN: Final = " XzQ~"

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Views:
    """Columns of (n_views,): one user and one item each.

    Attributes:
        user_row: Who.
        item_row: What.
        liking: The match of the two tastes; about standard normal over all pairs.
        began: Seconds since the first day began.
        n_minutes: Watched, at least 1.
    """

    user_row: Rows
    item_row: Rows
    liking: Floats
    began: Rows
    n_minutes: Rows


def write_events(world: World, folder: Path, n_days: int, noise: float, seed: int) -> int:
    """Write one log file a day, in time order, and return the number of lines.

    Args:
        world: Who watches what.
        folder: Gets `2026-01-01.log` and so on; it must exist.
        n_days: Files.
        noise: Share of the lines that get one foreign character.
        seed: The same world, arguments and seed give the same bytes.

    Raises:
        OSError: A file cannot be written.
    """
    rng = np.random.default_rng(seed)
    views = _views(world, n_days, rng)
    second, lines = _lines(world, views, n_days * _DAY_SECONDS, rng)
    _spoil(lines, noise, rng)
    ends = np.searchsorted(second, _DAY_SECONDS * np.arange(n_days + 1))
    for day, (begin, end) in enumerate(pairwise(ends.tolist())):
        date = np.datetime_as_string(_FIRST_DAY + _DAY_SECONDS * day, "D")
        (folder / f"{date}.log").write_text("".join(lines[begin:end]))
    return len(lines)


def _views(world: World, n_days: int, rng: np.random.Generator) -> _Views:
    """Draw who watches what, when it begins and, by how well it is liked, for how long."""
    user_row, item_row, liking = _choices(world, rng)
    began = rng.integers(0, n_days * _DAY_SECONDS, len(user_row))
    share = _USUAL_SHARE + 0.12 * liking + rng.normal(0, 0.15, len(liking))
    n_minutes = np.ceil(np.clip(share, 0.01, 1) * world.runtimes[item_row]).astype(np.int64)
    return _Views(user_row, item_row, liking, began, n_minutes)


def _lines(
    world: World, views: _Views, end_second: int, rng: np.random.Generator
) -> tuple[Rows, list[str]]:
    """Return the seconds of all lines before `end_second`, in order, and the lines."""
    view, minute = _minutes(views.n_minutes)
    rated, stars = _ratings(views.liking, rng)
    # A rating comes when its view ends.
    at_minute = np.concatenate((minute, views.n_minutes[rated]))
    heads = ["GET /data/m/"] * len(minute) + ["GET /rate/"] * len(rated)
    tails = [f"/{m}.mpg" for m in minute.tolist()] + [f"={s:.0f}" for s in stars]
    view = np.concatenate((view, rated))
    second = views.began[view] + 60 * at_minute
    order = np.lexsort((view, second))
    order = order[second[order] < end_second]
    users, items = world.user_ids[views.user_row].tolist(), views.item_row.tolist()
    return second[order], [
        f"{at},{users[of]},{heads[place]}{world.item_ids[items[of]]}{tails[place]}\n"
        for place, of, at in zip(
            order.tolist(), view[order].tolist(), _clock(second[order]), strict=True
        )
    ]


def _minutes(n_minutes: Rows) -> tuple[Rows, Rows]:
    """Return the view of each minute watched, and the minute's number in it."""
    view = np.repeat(np.arange(len(n_minutes)), n_minutes)
    return view, np.arange(len(view)) - np.repeat(np.cumsum(n_minutes) - n_minutes, n_minutes)


def _ratings(liking: Floats, rng: np.random.Generator) -> tuple[Rows, Floats]:
    """Draw which views are rated, and with how many stars, 1 to 5."""
    rated = np.flatnonzero(rng.random(len(liking)) < _RATED_SHARE)
    return rated, np.clip(np.rint(3 + liking[rated] + rng.normal(0, 0.5, len(rated))), 1, 5)


def _choices(world: World, rng: np.random.Generator) -> tuple[Rows, Rows, Floats]:
    """Draw which user watches which item, none twice, and how well each likes it.

    An item is chosen by its popularity times exp(liking): Gumbel noise makes
    the best of a sum a draw without replacement (Kool et al., ICML 2019).
    """
    wanted = np.ceil(_VIEWS_PER_USER * world.activity).astype(np.int64)
    n_views = np.minimum(wanted, min(_MOST_VIEWS_PER_USER, len(world.item_ids)))
    items = []
    likings = []
    for begin in range(0, len(n_views), _CHUNK):
        block = slice(begin, begin + _CHUNK)
        liking = (
            world.user_tastes[block] @ world.item_tastes.T / np.sqrt(world.user_tastes.shape[1])
        )
        drawn = 2 * liking + np.log(world.popularity) + rng.gumbel(size=liking.shape)
        best = np.argsort(-drawn, axis=1)[:, : n_views[block].max()]
        is_watched = np.arange(best.shape[1]) < n_views[block][:, None]
        items.append(best[is_watched])
        likings.append(np.take_along_axis(liking, best, axis=1)[is_watched])
    user_row = np.repeat(np.arange(len(n_views)), n_views)
    return user_row, np.concatenate(items), np.concatenate(likings)


def _clock(second: Rows) -> Iterator[str]:
    """Yield times as the stream writes them: seconds are dropped when they are 00."""
    for text in np.datetime_as_string(_FIRST_DAY + second).tolist():
        yield text.removesuffix(":00") if text.endswith(":00") else text


def _spoil(lines: list[str], noise: float, rng: np.random.Generator) -> None:
    """Put one foreign character somewhere into a share of the lines."""
    for place in rng.permutation(len(lines))[: int(noise * len(lines))].tolist():
        line = lines[place]
        where = int(rng.integers(len(line)))
        lines[place] = line[:where] + _FOREIGN[int(rng.integers(len(_FOREIGN)))] + line[where:]
