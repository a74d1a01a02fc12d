"""The history: what the users of a world watched and rated, as the stream's own lines."""

from collections.abc import Iterator
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


def write_events(world: World, folder: Path, n_days: int, noise: float, seed: int) -> int:
    """Write one log file a day, in time order, and return the number of lines.

    Args:
        world: Who watches what.
        folder: Gets `2026-01-01.log` and so on; it must exist.
        n_days: Files.
        noise: Share of the lines that get one foreign character.
        seed: The same world, arguments and seed give the same bytes.
    """
    rng = np.random.default_rng(seed)
    user_row, item_row, liking = _views(world, rng)
    began = rng.integers(0, n_days * _DAY_SECONDS, len(user_row))
    share = np.clip(_USUAL_SHARE + 0.12 * liking + rng.normal(0, 0.15, len(liking)), 0.01, 1)
    n_minutes = np.ceil(share * world.runtimes[item_row]).astype(np.int64)

    view = np.repeat(np.arange(len(user_row)), n_minutes)  # of each minute
    minute = np.arange(len(view)) - np.repeat(np.cumsum(n_minutes) - n_minutes, n_minutes)
    rated = np.flatnonzero(rng.random(len(user_row)) < _RATED_SHARE)
    stars = np.clip(np.rint(3 + liking[rated] + rng.normal(0, 0.5, len(rated))), 1, 5)

    view = np.concatenate((view, rated))
    second = began[view] + 60 * np.concatenate((minute, n_minutes[rated]))
    tails = [f"/{m}.mpg" for m in minute.tolist()] + [f"={s:.0f}" for s in stars]
    heads = ["GET /data/m/"] * len(minute) + ["GET /rate/"] * len(rated)
    order = np.lexsort((view, second))
    order = order[second[order] < n_days * _DAY_SECONDS]
    users, items = world.user_ids[user_row].tolist(), item_row.tolist()
    lines = [
        f"{at},{users[view_of]},{heads[place]}{world.item_ids[items[view_of]]}{tails[place]}\n"
        for place, view_of, at in zip(
            order.tolist(), view[order].tolist(), _clock(second[order]), strict=True
        )
    ]
    _spoil(lines, noise, rng)
    ends = np.searchsorted(second[order], _DAY_SECONDS * np.arange(n_days + 1))
    for day, (begin, end) in enumerate(pairwise(ends.tolist())):
        date = np.datetime_as_string(_FIRST_DAY + _DAY_SECONDS * day, "D")
        (folder / f"{date}.log").write_text("".join(lines[begin:end]))
    return len(lines)


def _views(world: World, rng: np.random.Generator) -> tuple[Rows, Rows, Floats]:
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
