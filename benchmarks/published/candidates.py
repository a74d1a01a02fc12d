"""Parameters of each model to choose from, as settings of `[batch]`.

`marquee` has none: it is what a user gets who sets nothing. A model of these grids that is not
in `MODELS` is not offered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from batch.settings import MODELS, BatchSettings

MARQUEE: Final = "marquee"
_DEFAULT_MODEL: Final = "auto"
_SLOW: Final = ("bpr",)  # minutes on one thread, and far from the best

GRIDS: Final[Mapping[str, Sequence[Mapping[str, Any]]]] = {
    "als": [
        {"n_factors": n_factors, "regularization": regularization, "alpha": alpha}
        for n_factors, regularization, alpha in (
            (64, 1.0, 2.0), (128, 1.0, 0.5), (128, 1.5, 1.0), (32, 1.0, 1.0), (128, 2.0, 2.0),
        )
    ],
    "item_knn": [
        {"n_neighbours": n_neighbours, "similarity": similarity}
        for n_neighbours, similarity in (
            (100, "bm25"), (20, "tfidf"), (100, "cosine"), (500, "bm25"), (200, "bm25"),
        )
    ],
    "bpr": [
        {"bpr_learning_rate": rate, "bpr_iterations": iterations}
        for rate, iterations in ((0.05, 40), (0.02, 60))
    ],
    "popularity": [{}],
    "ials": [
        {
            "ials_factors": n_factors,
            "ials_regularization": regularization,
            "ials_unobserved_weight": unobserved_weight,
            "ials_iterations": iterations,
        }
        for n_factors, regularization, unobserved_weight, iterations in (
            (192, 0.007, 0.3, 12), (256, 0.007, 0.3, 12), (128, 0.007, 0.3, 12),
            (192, 0.007, 0.5, 12), (256, 0.007, 0.5, 12), (192, 0.01, 1.0, 12),
        )
    ],
    "ease": [{"ease_regularization": value} for value in (1000.0, 700.0, 500.0, 1500.0)],
    "rp3beta": [
        {"rp3beta_alpha": alpha, "rp3beta_beta": beta}
        for alpha, beta in ((0.8, 0.7), (1.0, 0.7), (0.6, 0.7), (0.6, 0.8))
    ],
    "graph_filter": [
        {"graph_filter_singular_vectors": n_vectors, "graph_filter_weight": weight}
        for n_vectors, weight in ((64, 0.3), (64, 0.6), (128, 0.3), (128, 0.6), (128, 1.0))
    ],
}  # fmt: skip


def offered() -> list[str]:
    """Return the subjects that can be measured: Marquee's default, then its single models."""
    return [MARQUEE, *(name for name in MODELS if name != _DEFAULT_MODEL)]


def measured_by_default() -> list[str]:
    """Return the subjects that are measured if none is named."""
    return [name for name in offered() if name == MARQUEE or (name in GRIDS and name not in _SLOW)]


def candidates(subject: str, settings: BatchSettings) -> list[BatchSettings]:
    """Return the settings to choose from; the first is the usual one.

    Args:
        subject: One of `offered()`.
        settings: Settings that the grid's parameters are set in.
    """
    if subject == MARQUEE:
        return [replace(settings, model=_DEFAULT_MODEL)]
    return [replace(settings, model=subject, **grid) for grid in GRIDS.get(subject, [{}])]


def parameters(chosen: BatchSettings) -> dict[str, Any]:
    """Return the parameters of the chosen settings that its model's grid sets."""
    names = {name for grid in GRIDS.get(chosen.model, []) for name in grid}
    return {name: getattr(chosen, name) for name in sorted(names)}
