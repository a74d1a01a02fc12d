"""The model: every figure is a sum of few terms, each with a coefficient of 0 or more.

    seconds of a stage  =  a + b · users + c · items + d · views + e · ratings + f · sampled views
                             + g · sampled ratings + h · pairs of items + i · users · items
                             + j · users with sampled ratings
    peak of a stage, bytes on disk: the same without the last two terms

    seconds of a refresh = sum of its stages       peak of a refresh = largest of its stages

Errors count relatively, so small sizes weigh as much as large ones. Stages that do not depend
on the model are fitted to all sizes, the others to those of that model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import nnls

from batch.arrays import Doubles
from batch.capacity.needs import SEARCH, counts_of_size
from batch.capacity.sizes import DataSize
from batch.settings import BatchSettings
from benchmarks.sizing.measure import Measured

SHARED_STAGES: Final = ("catalogue", "events", "interactions", "trust", "ratings", "fallbacks")
_BYTES: Final = ("history_bytes", "snapshot_bytes", "pushed_bytes")
_LEAST: Final = 0.01  # seconds below which a stage is too short to count


@dataclass(frozen=True, slots=True)
class Model:
    """Fitted figures of refreshes by one model.

    Attributes:
        seconds: (10,) coefficients of the processor time of each stage.
        peak_mib: (8,) coefficients of the peak of each stage.
        n_bytes: (8,) coefficients of the sizes of history, snapshot and push.
        requests_per_core: Median of the answers per second of processor time.
        max_users: Users of the largest size that was fitted.
    """

    seconds: Mapping[str, Doubles]
    peak_mib: Mapping[str, Doubles]
    n_bytes: Mapping[str, Doubles]
    requests_per_core: float
    max_users: int

    def figures(self, size: DataSize) -> dict[str, float]:
        """Return the predicted figures of a service, by the names of `figures_of`."""
        linear, with_pairs = _terms(size), _terms(size, with_pairs=True)
        seconds = {stage: float(with_pairs @ one) for stage, one in self.seconds.items()}
        return {
            **_totals(seconds),
            "peak_mib": max(float(linear @ one) for one in self.peak_mib.values()),
            **{name: float(linear @ one) for name, one in self.n_bytes.items()},
            "requests_per_core": self.requests_per_core,
        }


def figures_of(measured: Measured) -> dict[str, float]:
    """Return the measured figures of a whole refresh and of its service."""
    return {
        **_totals(measured.cpu_seconds),
        "peak_mib": max(measured.peak_mib.values()),
        **{name: float(getattr(measured, name)) for name in _BYTES},
        "requests_per_core": measured.requests_per_core,
    }


def fit(sizes: Sequence[Measured], model: str) -> Model:
    """Fit the figures of refreshes by one model.

    Args:
        sizes: Measured sizes, those of other models too.
        model: Value of `[batch] model`.
    """
    of_model = [one for one in sizes if one.shape.model == model]
    stages = dict.fromkeys(stage for one in of_model for stage in one.cpu_seconds)

    def of_stages(what: str, *, with_pairs: bool) -> dict[str, Doubles]:
        found = {}
        for stage in stages:
            used = sizes if stage in SHARED_STAGES else of_model
            values = [getattr(one, what).get(stage, 0.0) for one in used]
            found[stage] = _coefficients([one.size for one in used], values, with_pairs=with_pairs)
        return found

    served = [one.requests_per_core for one in sizes if one.requests_per_core]
    return Model(
        of_stages("cpu_seconds", with_pairs=True),
        of_stages("peak_mib", with_pairs=False),
        {
            name: _coefficients(
                [one.size for one in of_model], [figures_of(one)[name] for one in of_model]
            )
            for name in _BYTES
        },
        float(np.median(served)) if served else 0.0,
        max(one.size.users for one in of_model),
    )


def errors(model: Model, measured: Measured) -> dict[str, float]:
    """Return predicted over measured, less 1, of each figure that was measured."""
    predicted = model.figures(measured.size)
    found = figures_of(measured)
    return {name: predicted[name] / value - 1 for name, value in found.items() if value > _LEAST}


def _totals(seconds: Mapping[str, float]) -> dict[str, float]:
    search = seconds.get(SEARCH, 0.0)
    return {"nightly_seconds": sum(seconds.values()) - search, "search_seconds": search}


def _terms(size: DataSize, *, with_pairs: bool = False) -> Doubles:
    counts = counts_of_size(size, BatchSettings())
    sampled_users = size.users * counts.sampled_rating / max(size.ratings, 1)
    pairs = [float(size.users) * size.items, sampled_users] if with_pairs else []
    return np.array([*counts, *pairs], np.float64)


def least_relative_error(terms: Doubles, values: Sequence[float]) -> Doubles:
    """Return the coefficients, none below 0, of the least relative squared error.

    Args:
        terms: (n_sizes, n_terms) terms of each size.
        values: Measured figure of each size.
    """
    target = np.maximum(np.asarray(values, np.float64), _LEAST)
    scale = np.maximum(terms.max(axis=0), 1)
    found, _ = nnls(terms / scale / target[:, None], np.ones(len(target)))
    return np.asarray(found / scale)


def _coefficients(
    sizes: Sequence[DataSize], values: Sequence[float], *, with_pairs: bool = False
) -> Doubles:
    terms = np.stack([_terms(size, with_pairs=with_pairs) for size in sizes])
    return least_relative_error(terms, values)
