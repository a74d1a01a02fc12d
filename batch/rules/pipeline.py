"""All rules, in the order in which they act. A new rule is a file and a line here."""

from collections.abc import Callable
from typing import NamedTuple

from batch.arrays import Doubles, Flags, Floats
from batch.rules.availability import unavailable
from batch.rules.boost import boosted, factors
from batch.rules.context import RuleContext
from batch.rules.cost import cheaper, standard_costs
from batch.rules.deny import denied, denied_ids
from batch.rules.diversity import diversified, genre_vectors, of_length_1
from batch.rules.exploration import Draw, explored
from batch.rules.parse_boost import parse_boost
from batch.rules.settings import RuleSettings
from batch.topk import TopK
from store.layout import LIST_LENGTH


class Step(NamedTuple):
    """A rule that reorders candidates.

    Attributes:
        rule: Name in `[rules]`.
        reorder: Function from candidates and their first user row to the same, reordered.
    """

    rule: str
    reorder: Callable[[TopK, int], TopK]


def boost_factors(settings: RuleSettings, context: RuleContext) -> Doubles:
    """Return (n_items,) factors of the boosts; 0 where an item is hidden."""
    return factors([parse_boost(text) for text in settings.boosts], context)


def hidden_items(settings: RuleSettings, context: RuleContext, boost: Doubles) -> Flags:
    """Return (n_items,) whether each item is hidden from all users.

    Raises:
        InputError: The deny list cannot be read.
    """
    hidden = denied(denied_ids(settings.deny, settings.deny_file), context)
    if settings.availability:
        hidden |= unavailable(context, settings.availability_hours)
    hidden |= boost == 0
    return hidden


def steps(
    settings: RuleSettings, context: RuleContext, boost: Doubles, item_factors: Floats, n_kept: int
) -> tuple[Step, ...]:
    """Return the rules that reorder each user's candidates, in their order.

    Boosts and cost change scores, diversity chooses by them, and exploration draws
    the last places of the result.
    """
    found: list[Step] = []
    if ((boost != 1) & (boost > 0)).any():
        found.append(Step("boosts", lambda lists, _: boosted(lists, boost)))
    if settings.cost_weight:
        costs = standard_costs(context.items)
        found.append(
            Step("cost_weight", lambda lists, _: cheaper(lists, costs, settings.cost_weight))
        )
    if settings.diversity:
        by_genres = settings.diversity_by == "genres"
        vectors = genre_vectors(context.items) if by_genres else of_length_1(item_factors)
        found.append(
            Step(
                "diversity",
                lambda lists, _: diversified(lists, vectors, n_kept, settings.diversity),
            )
        )
    if settings.explore:
        draw = Draw(settings.explore, settings.explore_temperature, context.salt)

        def explore(lists: TopK, first: int) -> TopK:
            user_ids = context.user_ids.slice(first, len(lists.item_rows)).to_pylist()
            return explored(lists, draw, user_ids, n_list=LIST_LENGTH, n_kept=n_kept)

        found.append(Step("explore", explore))
    return tuple(found)
