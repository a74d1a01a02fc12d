"""A sweep of training, as it is reported to who trains: the factors as they are after it."""

from typing import NamedTuple, Protocol

from batch.models.factors import Factors


class Sweep(NamedTuple):
    """Factors after a sweep over users and items.

    Attributes:
        model: Name of the model.
        factors: Factors of users and items, which the next sweep changes in place.
    """

    model: str
    factors: Factors


class OnStep(Protocol):
    """Callback after a step of training."""

    def __call__(self, sweep: Sweep | None = None, /) -> object:
        """Take note of a step.

        Args:
            sweep: The sweep that the step was; None of a model without sweeps.
        """
