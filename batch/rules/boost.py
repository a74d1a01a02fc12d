"""Boosts: what counts for more or less, by item, genre, language or year of release.

    "genre:Horror=0.5"   "item:some+id=2"   "language:fr=1.2"   "year:1990-1999=1.1"

Scores are inner products and may be below 0, where multiplying by 2 would push an
item down. So a boost is a factor on odds, not on scores: in units of the spread of the
user's candidates,

    score' = score + ln boost

which is what multiplying exp(score), always above 0, does. More is never worse, 1
changes nothing, items of equal boosts keep their order, two boosts multiply, and
neither shifting nor scaling a user's scores makes a difference. A boost of 2 moves
an item by 0.7 standard deviations. It cannot lift what is not among the candidates.
0 or less is never: such items are hidden in the search itself.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from batch.arrays import Doubles, Flags
from batch.records.catalogue import Item
from batch.rules.context import RuleContext
from batch.rules.lists import by_score
from batch.topk import TopK


@dataclass(frozen=True, slots=True)
class Boost:
    """One boost.

    Attributes:
        what: One of item, genre, language, year.
        value: Of that; of a year also a range, "1990-1999".
        factor: At most 0: never.
    """

    what: str
    value: str
    factor: float


def parse_boost(text: str) -> Boost:
    """Read a boost as it stands in the configuration.

    Raises:
        ValueError: It is none; the message shows one.
    """
    named, _, number = text.rpartition("=")
    what, _, value = named.partition(":")
    try:
        factor = float(number)
    except ValueError:
        factor = math.nan
    years = value.split("-")
    is_sound = what != "year" or (len(years) <= 2 and all(map(str.isdecimal, years)))
    if what not in _MATCHES or not value or not math.isfinite(factor) or not is_sound:
        known = ", ".join(_MATCHES)
        raise ValueError(f"boosts: {text!r} is not like genre:Horror=0.5; there are {known}")
    return Boost(what, value, factor)


def factors(boosts: Sequence[Boost], known: RuleContext) -> Doubles:
    """Return (n_items,) the product of each item's boosts; 0 if one of them is never.

    A boost that fits no item is warned of.
    """
    product = np.ones(len(known.items))
    for boost in boosts:
        fits = _fitting(boost, known)
        if not fits.any():
            known.warnings.append(f"boosts: {boost.what}:{boost.value} fits no item")
        product[fits] *= max(boost.factor, 0)
    return product


def boosted(lists: TopK, factor: Doubles) -> TopK:
    """Return the lists with each score raised by the logarithm of its item's factor.

    Args:
        lists: With standardised scores.
        factor: (n_items,), above 0 for every item in a list.
    """
    gain = np.log(factor, where=factor > 0, out=np.full(len(factor), -np.inf))
    return by_score(lists, lists.scores + gain[lists.item_rows])


def _fitting(boost: Boost, known: RuleContext) -> Flags:
    if boost.what == "item":
        return np.array([name == boost.value for name in known.item_ids], np.bool_)
    match = _MATCHES[boost.what]
    return np.array([match(item, boost.value) for item in known.items], np.bool_)


def _is_of_year(item: Item, value: str) -> bool:
    first, _, last = value.partition("-")
    return item.year is not None and int(first) <= item.year <= int(last or first)


_MATCHES: Final[Mapping[str, Callable[[Item, str], bool]]] = {
    "item": lambda *_: False,
    "genre": lambda item, value: value in item.genres,
    "language": lambda item, value: item.language == value,
    "year": _is_of_year,
}
