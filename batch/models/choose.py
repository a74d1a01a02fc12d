"""The recommender that the configuration names."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from batch.models.all_users import FactorModel
from batch.models.als import Als
from batch.models.auto import Auto
from batch.models.bpr import Bpr
from batch.models.choice import Candidate, Choice
from batch.models.ease import Ease
from batch.models.factors import Factors
from batch.models.graph_filter import GraphFilter
from batch.models.ials import Ials
from batch.models.item_knn import ItemKnn
from batch.models.last_items import LastItems
from batch.models.popularity import Popularity
from batch.models.protocol import Recommender
from batch.models.recent_popularity import RecentPopularity
from batch.models.rp3beta import Rp3Beta
from batch.models.search import ChoiceSearch, SearchLimits
from batch.models.spectral import Spectral
from batch.settings import MODELS, BatchSettings

VECTOR_MODELS: Final = ("als", "ials")  # their factors make the index: no other is trained for it


def factor_model(name: str, settings: BatchSettings) -> FactorModel:
    """Return the model of factors of that name, one of `VECTOR_MODELS`."""
    return _als(settings) if name == "als" else _ials(settings)


def recommender(name: str, settings: BatchSettings, start: Factors | None = None) -> Recommender:
    """Return the recommender of that name with the parameters of the settings.

    Args:
        name: Name of the model, a value of `[batch] model`.
        settings: Settings with the parameters of all models.
        start: Initial factors of ALS and iALS, in the rows that it will be fitted to.

    Raises:
        ValueError: The name is not that of a model.
    """
    if name == "auto":
        return auto(settings, start)
    if name not in _MAKERS:
        raise ValueError(f"model: {name!r} is not a valid name; choose {', '.join(MODELS)}")
    made = _MAKERS[name](settings)
    return replace(made, start=start) if isinstance(made, Als | Ials) else made


def auto(
    settings: BatchSettings,
    start: Factors | None = None,
    *,
    choice: Choice | None = None,
    incumbent: Choice | None = None,
) -> Auto:
    """Return the recommender that chooses among the others.

    Args:
        settings: Settings with the limits of the search and the parameters of all models.
        start: Initial factors of the model that makes the vectors.
        choice: Choice to use; None: it is searched for.
        incumbent: Choice that the search keeps unless another one is significantly better.
    """

    def make(part: Candidate, start: Factors | None = start) -> Recommender:
        return recommender(part.model, replace(settings, **part.parameters), start)

    limits = SearchLimits(max_seconds=settings.choice_seconds, max_mib=settings.choice_mib)
    search = ChoiceSearch(partial(make, start=None), limits, incumbent, settings.seed)
    return Auto(make, search, choice)


def _als(settings: BatchSettings) -> Als:
    return Als(
        n_factors=settings.n_factors,
        regularization=settings.regularization,
        alpha=settings.alpha,
        iterations=settings.iterations,
        seed=settings.seed,
        n_held_out=settings.holdout_users,
    )


def _ials(settings: BatchSettings) -> Ials:
    return Ials(
        n_factors=settings.ials_factors,
        regularization=settings.ials_regularization,
        unobserved_weight=settings.ials_unobserved_weight,
        frequency_exponent=settings.ials_frequency_exponent,
        iterations=settings.ials_iterations,
        seed=settings.seed,
    )


def _graph_filter(settings: BatchSettings) -> GraphFilter:
    return GraphFilter(
        n_singular_vectors=settings.graph_filter_singular_vectors,
        weight=settings.graph_filter_weight,
        n_neighbours=settings.graph_filter_neighbours,
        seed=settings.seed,
    )


def _bpr(settings: BatchSettings) -> Bpr:
    return Bpr(
        n_factors=settings.n_factors,
        learning_rate=settings.bpr_learning_rate,
        regularization=settings.bpr_regularization,
        iterations=settings.bpr_iterations,
        seed=settings.seed,
    )


def _last_items(settings: BatchSettings) -> LastItems:
    return LastItems(
        window=settings.last_items_window,
        decay=settings.last_items_decay,
        shrinkage=settings.last_items_shrinkage,
        n_neighbours=settings.n_neighbours,
        seed=settings.seed,
    )


_MAKERS: Final[Mapping[str, Callable[[BatchSettings], Recommender]]] = {
    "als": _als,
    "ials": _ials,
    "item_knn": lambda s: ItemKnn(s.n_neighbours, s.similarity),
    "ease": lambda s: Ease(s.ease_regularization, s.ease_max_items, s.ease_neighbours),
    "rp3beta": lambda s: Rp3Beta(s.rp3beta_alpha, s.rp3beta_beta, s.rp3beta_neighbours),
    "graph_filter": _graph_filter,
    "spectral": lambda s: Spectral(s.spectral_factors, s.spectral_popularity, s.seed),
    "bpr": _bpr,
    "popularity": lambda _: Popularity(),
    "recent_popularity": lambda s: RecentPopularity(s.recent_popularity_half_life_days),
    "last_items": _last_items,
}
