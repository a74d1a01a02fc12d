"""The `[rules]` section of `marquee.toml`."""

import math
from dataclasses import dataclass
from typing import Final

from batch.rules.parse_boost import parse_boost
from store.layout import LIST_LENGTH

SIMILARITIES: Final = ("genres", "factors")
_MAX_CANDIDATES: Final = 1000


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """The section `[rules]`: rules of what may be recommended to whom, and in what order.

    Attributes:
        deny: Item ids that are never recommended.
        deny_file: Text file of further such ids, one a line, `#` before a comment.
        availability: Whether only items that the catalogue calls available are
            recommended.
        availability_hours: Hours that an item must stay available, from the refresh on.
        adult_filter: Whether adult titles are hidden from minors.
        unknown_age_is_minor: Whether users of unknown age are treated as minors.
        boosts: Factors on the odds of items: `"genre:Horror=0.5"`, `"item:ID=2"`,
            `"language:fr=1.2"`, `"year:1990-1999=1.1"`; 0 or less: never recommended.
        cost_weight: Weight of licence cost against the score, 0 to 1.
        diversity: Weight of dissimilarity within a list against the score, 0 to 1.
        diversity_by: Basis of the similarity of two items: `genres` or `factors`.
        cap: Maximum share of all lists with the same item; 1: no cap.
        explore: Number of last places in each list drawn at random from these places and the
            spares.
        explore_temperature: Places of the pool over which the chance to be drawn falls to 1/e.
        candidates: Number of candidates of each user, if any rule reorders them.
    """

    deny: tuple[str, ...] = ()
    deny_file: str = ""
    availability: bool = True
    availability_hours: float = 24.0
    adult_filter: bool = True
    unknown_age_is_minor: bool = False
    boosts: tuple[str, ...] = ()
    cost_weight: float = 0.0
    diversity: float = 0.0
    diversity_by: str = "genres"
    cap: float = 1.0
    explore: int = 0
    explore_temperature: float = 10.0
    candidates: int = 100

    def __post_init__(self) -> None:
        for name in ("cost_weight", "diversity", "cap"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, not {getattr(self, name)}")
        if self.cap == 0:
            raise ValueError("cap must be above 0: with 0 every list would be empty")
        if not 0 <= self.availability_hours < math.inf:
            raise ValueError("availability_hours must be 0 or more, and finite")
        if not 0 <= self.explore <= LIST_LENGTH:
            raise ValueError(f"explore must lie between 0 and {LIST_LENGTH}, not {self.explore}")
        if not LIST_LENGTH <= self.candidates <= _MAX_CANDIDATES:
            raise ValueError(
                f"candidates must lie between {LIST_LENGTH} and {_MAX_CANDIDATES}, "
                f"not {self.candidates}"
            )
        if not 0 < self.explore_temperature < math.inf:
            raise ValueError("explore_temperature must be above 0, and finite")
        if self.diversity_by not in SIMILARITIES:
            raise ValueError(
                f"diversity_by must be one of {', '.join(SIMILARITIES)}, not {self.diversity_by!r}"
            )
        for boost in self.boosts:
            parse_boost(boost)
