"""Boosts: items raised or lowered by item id, genre, language or year of release.

    "genre:Horror=0.5"   "item:some+id=2"   "language:fr=1.2"   "year:1990-1999=1.1"

Scores are inner products and may be below 0, where multiplying by 2 would lower an
item. A boost is therefore a factor on odds, not on scores: in units of the standard
deviation of the user's candidates,

    score' = score + ln boost

which multiplies exp(score), always above 0. A larger boost never gives a worse rank, 1
changes nothing, items of equal boosts keep their order, two boosts multiply, and
neither shifting nor scaling a user's scores makes a difference. A boost of 2 moves
an item by 0.7 standard deviations. It cannot raise items outside of the candidates.
Items with a boost of 0 or less are hidden in the search itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from batch.arrays import Doubles, Flags
from batch.records.catalogue import Item
from batch.rules.context import RuleContext
from batch.rules.lists import by_score
from batch.rules.parse_boost import Boost
from batch.topk import TopK


def _is_of_year(item: Item, value: str) -> bool:
    first, _, last = value.partition("-")
    return item.year is not None and int(first) <= item.year <= int(last or first)


_MATCHES: Final[Mapping[str, Callable[[Item, str], bool]]] = {
    "item": lambda *_: False,
    "genre": lambda item, value: value in item.genres,
    "language": lambda item, value: item.language == value,
    "year": _is_of_year,
}


def factors(boosts: Sequence[Boost], context: RuleContext) -> Doubles:
    """Return (n_items,) the product of each item's boosts; 0 if one of them is 0 or less.

    A boost that matches no item gives a warning.
    """
    product = np.ones(len(context.items))
    for boost in boosts:
        is_match = _matching(boost, context)
        if not is_match.any():
            context.warnings.append(f"boosts: {boost.field}:{boost.value} matches no item")
        product[is_match] *= max(boost.factor, 0)
    return product


def boosted(lists: TopK, factor: Doubles) -> TopK:
    """Return the lists with each score raised by the logarithm of its item's factor.

    Args:
        lists: Lists with standardised scores.
        factor: (n_items,) factors, above 0 for every item in a list.
    """
    gain = np.log(factor, where=factor > 0, out=np.full(len(factor), -np.inf))
    return by_score(lists, lists.scores + gain[lists.item_rows])


def _matching(boost: Boost, context: RuleContext) -> Flags:
    if boost.field == "item":
        return np.array([name == boost.value for name in context.item_ids], np.bool_)
    match = _MATCHES[boost.field]
    return np.array([match(item, boost.value) for item in context.items], np.bool_)
