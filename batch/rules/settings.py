"""The `[rules]` section of `marquee.toml`."""

import math
from dataclasses import dataclass
from typing import Final

from batch.rules.boost import parse_boost
from store.layout import LIST_LENGTH

SIMILARITIES: Final = ("genres", "factors")
_MOST_CANDIDATES: Final = 1000
_MOST_KEPT: Final = 2 * LIST_LENGTH  # with as many spares as there may be


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """What may be recommended to whom, and what counts besides taste.

    Attributes:
        deny: Items that nobody is ever recommended.
        deny_file: A text file of more of them, one a line.
        availability: Whether only what the catalogue calls available is recommended.
        availability_hours: For which an item must be available, from the refresh on.
        adult_filter: Whether adult titles are kept from minors.
        unknown_age_is_minor: Whether users of unknown age are treated as minors.
        boosts: What counts for more or less, such as "genre:Horror=0.5" or
            "language:fr=1.2"; 0 or less: never.
        cost_weight: Of licence cost against taste, 0 to 1.
        diversity: Of unlikeness within a list against taste, 0 to 1.
        diversity_by: What makes two items alike: genres or factors.
        cap: Largest share of all lists that may hold the same item; 1: no cap.
        explore: Last places of each list that are filled from far below.
        candidates: Best items of each user that rules choose among, where one reorders.
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
    candidates: int = 100

    def __post_init__(self) -> None:
        for name in ("cost_weight", "diversity", "cap"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, not {getattr(self, name)}")
        if self.cap == 0:
            raise ValueError("cap must be above 0: with 0 no list could hold anything")
        if not 0 <= self.availability_hours < math.inf:
            raise ValueError("availability_hours must be 0 or more, and finite")
        if not 0 <= self.explore <= LIST_LENGTH:
            raise ValueError(f"explore must lie between 0 and {LIST_LENGTH}, not {self.explore}")
        if not LIST_LENGTH <= self.candidates <= _MOST_CANDIDATES:
            raise ValueError(
                f"candidates must lie between {LIST_LENGTH} and {_MOST_CANDIDATES}, "
                f"not {self.candidates}"
            )
        if self.explore and self.candidates < _MOST_KEPT + self.explore:
            raise ValueError(
                f"explore draws from behind what is kept: candidates must be at least "
                f"{_MOST_KEPT + self.explore}, not {self.candidates}"
            )
        if self.diversity_by not in SIMILARITIES:
            raise ValueError(
                f"diversity_by must be one of {', '.join(SIMILARITIES)}, not {self.diversity_by!r}"
            )
        for boost in self.boosts:
            parse_boost(boost)
