"""The recommender that the configuration names."""

from collections.abc import Callable, Mapping
from typing import Final

from batch.models.als import Als
from batch.models.auto import Auto
from batch.models.bpr import Bpr
from batch.models.factors import Factors
from batch.models.ials import Ials
from batch.models.item_knn import ItemKnn
from batch.models.popularity import Popularity
from batch.models.protocol import Recommender
from batch.settings import MODELS, BatchSettings


def recommender(name: str, settings: BatchSettings, start: Factors | None = None) -> Recommender:
    """Return the recommender of that name with the parameters of the settings.

    Args:
        name: Name of the model, a value of `[batch] model`.
        settings: Settings with the parameters of all models.
        start: Initial factors of ALS, in the rows that it will be fitted to.

    Raises:
        ValueError: The name is not that of a model.
    """
    if name not in _MAKERS:
        raise ValueError(f"model: {name!r} is not a valid name; choose {', '.join(MODELS)}")
    return _MAKERS[name](settings, start)


def _als(settings: BatchSettings, start: Factors | None) -> Als:
    return Als(
        n_factors=settings.n_factors,
        regularization=settings.regularization,
        alpha=settings.alpha,
        iterations=settings.iterations,
        seed=settings.seed,
        n_held_out=settings.holdout_users,
        start=start,
    )


def _auto(settings: BatchSettings, start: Factors | None) -> Auto:
    return Auto(_als(settings, start))


def _ials(settings: BatchSettings, _: Factors | None) -> Ials:
    return Ials(  # the start is that of ALS, with another number of factors
        n_factors=settings.ials_factors,
        regularization=settings.ials_regularization,
        unobserved_weight=settings.ials_unobserved_weight,
        frequency_exponent=settings.ials_frequency_exponent,
        iterations=settings.ials_iterations,
        seed=settings.seed,
    )


def _item_knn(settings: BatchSettings, _: Factors | None) -> ItemKnn:
    return ItemKnn(settings.n_neighbours, settings.similarity)


def _bpr(settings: BatchSettings, _: Factors | None) -> Bpr:
    return Bpr(
        n_factors=settings.n_factors,
        learning_rate=settings.bpr_learning_rate,
        regularization=settings.bpr_regularization,
        iterations=settings.bpr_iterations,
        seed=settings.seed,
    )


_MAKERS: Final[Mapping[str, Callable[[BatchSettings, Factors | None], Recommender]]] = {
    "auto": _auto,
    "als": _als,
    "ials": _ials,
    "item_knn": _item_knn,
    "bpr": _bpr,
    "popularity": lambda *_: Popularity(),
}
