"""Memory and disk of a refresh from the counts of its data.

    peak of a stage  =  bytes of the process  +  Σ count · bytes of each
    memory           =  largest peak of the stages         disk  =  size of a snapshot

The bytes are those that `python -m benchmarks.sizing` fits, rounded, and checked against a refresh
of 1 million users and 50 million views; it shows the error on sizes that were held out. They hold
for the default settings without a second stage; models other than `auto` need no search.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from batch.capacity.sizes import DataSize
from batch.learn import trial_interactions
from batch.ratings.train import MAX_SWEPT_RATINGS
from batch.settings import BatchSettings

ERROR: Final = 0.15  # largest relative error on the sizes that were held out
SEARCH: Final = "choose"
_MIB: Final = 1 << 20


class BytesOf(NamedTuple):
    """Bytes of a process, and of each thing that it counts.

    Attributes:
        process: Program, libraries and buffers of fixed size.
        user: Each user.
        item: Each item.
        view: Each row of views.
        rating: Each row of ratings.
        pair: Each pair of items that models of `auto` compare: of 10,000 items at most.
        sampled_view: Each view in the sample of users that models are tried on.
        sampled_rating: Each rating in the sample of users that the rating model starts with.
    """

    process: float = 0.0
    user: float = 0.0
    item: float = 0.0
    view: float = 0.0
    rating: float = 0.0
    pair: float = 0.0
    sampled_view: float = 0.0
    sampled_rating: float = 0.0

    def of(self, counts: "BytesOf") -> float:
        """Return the bytes of some counts."""
        return sum(each * n for each, n in zip(self, counts, strict=True))


PEAKS: Final[Mapping[str, BytesOf]] = {
    "interactions": BytesOf(400 * _MIB, user=150, view=52, rating=64),
    "ratings": BytesOf(335 * _MIB, user=700, item=1700, view=26, rating=60, sampled_rating=247),
    SEARCH: BytesOf(570 * _MIB, user=700, view=26, rating=36, pair=9, sampled_view=200),
    "served model": BytesOf(400 * _MIB, user=800, view=59, rating=45),
}
SNAPSHOT: Final = BytesOf(1 * _MIB, user=1150, item=3300, view=22, pair=7)


def counts_of_size(size: DataSize, settings: BatchSettings) -> BytesOf:
    """Return the numbers that each field of `BytesOf` is multiplied with."""
    n_pairs = min(size.items, settings.ease_max_items) ** 2 if settings.model == "auto" else 0
    n_views = min(size.views, trial_interactions(size.items))
    n_ratings = min(size.ratings, MAX_SWEPT_RATINGS)
    return BytesOf(1, size.users, size.items, size.views, size.ratings, n_pairs, n_views, n_ratings)


def needed_memory(size: DataSize, settings: BatchSettings) -> float:
    """Return the predicted peak of a refresh in bytes, over all its stages."""
    counts = counts_of_size(size, settings)
    skipped = set() if settings.model == "auto" else {SEARCH}
    return max(bytes_of.of(counts) for stage, bytes_of in PEAKS.items() if stage not in skipped)


def needed_disk(size: DataSize, settings: BatchSettings) -> float:
    """Return the predicted size of a snapshot in bytes."""
    return SNAPSHOT.of(counts_of_size(size, settings))
