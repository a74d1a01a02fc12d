"""Titles and item ids in the real form: `the+silent+harbor+1987`.

An id is the title in lower case with `+` for every blank, and the year. A
title and year that are drawn twice get a part number, as sequels do.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import numpy as np

from benchmarks.simulator.seeds import shares
from benchmarks.simulator.world.fitted import N_WORDS, THE_SHARE

_VOCABULARY: Final = (
    "silent golden last secret broken distant bright lost hidden burning frozen empty crimson "
    "endless gentle hollow iron midnight northern paper quiet restless scarlet second velvet wild "
    "harbor river garden winter station letter island promise bridge circus daughter desert dream "
    "empire fever forest ghost heart hour journey kingdom lantern machine memory mirror mountain "
    "night ocean orchard painter planet prisoner queen rain road school shadow sister soldier song "
    "spring stranger street summer tide tower train valley village voyage wall wolf world writer "
    "anna boris clara diego elena felix greta hugo iris jonas karla leo mara nils olga pablo rosa "
    "samuel tilda viktor 7 12 1900 l.a. mr. dr. love war house city blood moon half-moon sea "
    "fire stone sky no_ n*e*s*t"
)
_WORDS: Final = _VOCABULARY.split()
_BLANKED_SHARE: Final = 0.0005  # of ids that begin with "+" for each letter of another script


def make_titles(years: Iterable[int], rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Return a title and a unique id for an item of each year."""
    years = list(years)
    n_words = 1 + rng.choice(len(N_WORDS), len(years), p=shares(N_WORDS))
    begins_with_the = rng.random(len(years)) < THE_SHARE
    words = rng.integers(0, len(_WORDS), (len(years), len(N_WORDS)))
    n_blanks = rng.integers(1, 6, len(years)) * (rng.random(len(years)) < _BLANKED_SHARE)
    seen: Counter[str] = Counter()
    titles, ids = [], []
    for row, year in enumerate(years):
        parts = [_WORDS[word] for word in words[row, : n_words[row]]]
        title = " ".join(["the", *parts] if begins_with_the[row] else parts)
        seen[f"{title} {year}"] += 1
        if (part := seen[f"{title} {year}"]) > 1:
            title = f"{title} part {part}"
        titles.append(title.title())
        ids.append("+" * int(n_blanks[row]) + f"{title} {year}".replace(" ", "+"))
    return titles, ids
