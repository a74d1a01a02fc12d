"""The search space: the tunable parameters of each model, and their ranges."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from batch.evaluation.data import EvaluationData  # settings that are tuned need no pandas

_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Range:
    """An interval of numbers.

    Attributes:
        low: Smallest value.
        high: Largest value.
        is_whole: Whether only whole numbers are tried.
        is_log: Whether values are sampled on a logarithmic scale.
    """

    low: float
    high: float
    is_whole: bool = False
    is_log: bool = True


@dataclass(frozen=True, slots=True)
class OneOf:
    """A set of discrete values."""

    values: tuple[str | float, ...]


Space = Mapping[str, Range | OneOf]

# weight_watched stays 1, for alpha scales both weights
_WEIGHT_RATING: Final = Range(0.0, 4.0, is_log=False)
_HALF_LIVES_DAYS: Final = (0.0, 7.0, 15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0)
_ALS: Final[Space] = {
    "n_factors": Range(8, 128, is_whole=True),
    "regularization": Range(0.05, 10.0),
    "alpha": Range(0.1, 60.0),
    "iterations": Range(3, 30, is_whole=True, is_log=False),
}
SPACE_BY_MODEL: Final[Mapping[str, Space]] = {
    "auto": {},  # it chooses parameters itself
    "als": _ALS,
    "ials": {
        "ials_factors": Range(8, 256, is_whole=True),
        "ials_regularization": Range(0.0005, 0.1),
        "ials_unobserved_weight": Range(0.01, 2.0),
        "ials_iterations": Range(5, 30, is_whole=True, is_log=False),
    },
    "item_knn": {
        "n_neighbours": Range(10, 1000, is_whole=True),
        "similarity": OneOf(("bm25", "cosine", "tfidf")),
    },
    "ease": {"ease_regularization": Range(10.0, 10_000.0)},
    "rp3beta": {
        "rp3beta_alpha": Range(0.3, 2.0, is_log=False),
        "rp3beta_beta": Range(0.0, 1.2, is_log=False),
        "rp3beta_neighbours": Range(10, 1000, is_whole=True),
    },
    "graph_filter": {
        "graph_filter_singular_vectors": Range(8, 256, is_whole=True),
        "graph_filter_weight": Range(0.05, 3.0),
    },
    "spectral": {
        "spectral_factors": Range(8, 256, is_whole=True),
        "spectral_popularity": Range(0.01, 5.0),
    },
    "bpr": {
        "n_factors": Range(8, 128, is_whole=True),
        "bpr_learning_rate": Range(0.005, 0.3),
        "bpr_regularization": Range(0.0001, 0.3),
        "bpr_iterations": Range(20, 300, is_whole=True),
    },
    "popularity": {},
    "recent_popularity": {"recent_popularity_half_life_days": Range(1, 1000)},
    "last_items": {
        "last_items_window": Range(1, 50, is_whole=True),
        "last_items_decay": Range(0.3, 1.0, is_log=False),
        "last_items_shrinkage": Range(1, 500),
        "n_neighbours": Range(10, 1000, is_whole=True),
    },
}
_USING_WEIGHTS: Final = ("auto", "als", "ials", "spectral", "item_knn", "last_items")


def tunable(model: str) -> frozenset[str]:
    """Return the names of all parameters that tuning may set for a model."""
    weights = ("weight_rating", "half_life_days") if model in _USING_WEIGHTS else ()
    return frozenset((*SPACE_BY_MODEL[model], *weights))


def space_of(
    model: str, data: "EvaluationData", fixed: Collection[str]
) -> dict[str, Range | OneOf]:
    """Return the search space for this data, without parameters that have no effect on it.

    Args:
        model: Name of the model, one of `[batch] model`.
        data: Interactions; `weight_rating` needs ratings, `half_life_days` times of several days.
        fixed: Names of the parameters to leave out.
    """
    space = dict(SPACE_BY_MODEL[model])
    if model in _USING_WEIGHTS:
        if data.evidence.rating.any():
            space["weight_rating"] = _WEIGHT_RATING
        half_lives = tuple(days for days in _HALF_LIVES_DAYS if days <= 2 * _span_days(data))
        if len(half_lives) > 1:
            space["half_life_days"] = OneOf(half_lives)
    return {name: choice for name, choice in space.items() if name not in fixed}


def _span_days(data: "EvaluationData") -> float:
    last_at = data.evidence.last_at
    if last_at is None or not (last_at > 0).any():
        return 0.0
    return float(last_at.max() - last_at[last_at > 0].min()) / _DAY_SECONDS
