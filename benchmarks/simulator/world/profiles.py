"""Profiles in the form of the user API: age, gender, occupation, and likes in words."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from batch.arrays import Rows
from benchmarks.simulator.world.fitted import GENRES, OCCUPATIONS
from benchmarks.simulator.world.items import genre_profiles
from benchmarks.simulator.world.users import Users

_GENRES: Final = [name.lower() for name in GENRES]
_BLOCK: Final = 50_000  # users whose tastes are ranked at a time


def write_profiles(users: Users, seed: int, path: Path) -> None:
    """Write one user API answer a line.

    Raises:
        OSError: The file cannot be written.
    """
    with path.open("w") as file:
        for answer in user_answers(users, np.arange(len(users)), seed):
            file.write(json.dumps(answer) + "\n")


def user_answers(users: Users, rows: Rows, seed: int) -> Iterator[dict[str, Any]]:
    """Yield what the user API answers for each of some users."""
    occupations = list(OCCUPATIONS)
    profiles = genre_profiles(seed)
    for begin in range(0, len(rows), _BLOCK):
        block = rows[begin : begin + _BLOCK]
        ranked = np.argsort(-(users.tastes[block] @ profiles), axis=1, kind="stable")
        columns = (users.ids[block], users.ages[block], users.is_male[block],
                   users.occupations[block], ranked[:, 0], ranked[:, 1], ranked[:, -1])  # fmt: skip
        for user, age, male, occupation, first, second, last in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            yield {
                "user_id": user,
                "age": age,
                "occupation": occupations[occupation],
                "gender": "M" if male else "F",
                "likes": f"I love {_GENRES[first]}, and {_GENRES[second]} now and then.",
                "dislikes": f"No {_GENRES[last]}, please.",
            }
