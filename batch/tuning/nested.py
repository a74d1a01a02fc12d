"""Two nested splits: validation inside of the training side, and a test set outside."""

from dataclasses import dataclass

from batch.evaluation.data import EvaluationData, split_data, weights_of
from batch.evaluation.splits import Split, make_split
from batch.interactions.weights import Weighting
from batch.settings import BatchSettings


@dataclass(frozen=True, slots=True)
class NestedSplit:
    """Splits of the positions of interactions.

    Attributes:
        data: Data that was split.
        outer: Split whose test side is the test set, used by no trial.
        inner: Split of the outer training side; its test side is the validation set.
    """

    data: EvaluationData
    outer: Split
    inner: Split

    def for_validation(self, settings: BatchSettings) -> Split:
        """Return the inner split, weighted by the settings."""
        return self._weighted(self.inner, settings)

    def for_test(self, settings: BatchSettings) -> Split:
        """Return the outer split, weighted by the settings."""
        return self._weighted(self.outer, settings)

    def _weighted(self, split: Split, settings: BatchSettings) -> Split:
        return split.weighted(weights_of(split, self.data, Weighting.from_settings(settings)))


def nested_split(name: str, data: EvaluationData, seed: int) -> NestedSplit:
    """Split, and split the training side in the same way again.

    How a published split was made is unknown. Of such a split, the validation set is
    one item of the training side of each user.

    Args:
        name: Name of the split, one of `SPLITS`.
        data: Data to split.
        seed: Random seed of users and items.

    Raises:
        BatchError: The data cannot be split in this way, or not twice.
    """
    outer = split_data(name, data, seed)
    inner_name = "leave-last-out" if name == "pairs" else name
    return NestedSplit(data, outer, make_split(inner_name, outer.train, outer.at, seed))
