"""Two splits, one inside of the other: to choose by, and to tell what the choice is worth."""

from dataclasses import dataclass

from batch.evaluation.data import MOST_JUDGED, Data, split_data, weights_of
from batch.evaluation.splits import Split, cut
from batch.interactions.weights import Weighting
from batch.settings import BatchSettings


@dataclass(frozen=True, slots=True)
class Nested:
    """Splits of the numbers of interactions.

    Attributes:
        data: That was split.
        outer: Its test side is seen by no trial.
        inner: Of the outer one's training side; trials are judged by its test side.
    """

    data: Data
    outer: Split
    inner: Split

    def to_choose_by(self, settings: BatchSettings) -> Split:
        """Return the inner split, weighed as the settings want it."""
        return self._weighed(self.inner, settings)

    def to_judge_by(self, settings: BatchSettings) -> Split:
        """Return the outer split, weighed as the settings want it."""
        return self._weighed(self.outer, settings)

    def _weighed(self, split: Split, settings: BatchSettings) -> Split:
        return split.weighed(weights_of(split, self.data, Weighting.from_settings(settings)))


def nest(name: str, data: Data, seed: int) -> Nested:
    """Split, and split the training side in the same way once more.

    Of a published split, whose two sides tell nothing of how it was made, each user's
    training side loses one item to choose by.

    Args:
        name: One of `SPLITS`.
        data: To split.
        seed: Of what chance decides.

    Raises:
        BatchError: The data cannot be split like this, or not twice.
    """
    outer = split_data(name, data, seed)
    inside = "last-out" if name == "pairs" else name
    return Nested(data, outer, cut(inside, outer.train, outer.at, MOST_JUDGED, seed))
