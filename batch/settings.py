"""The `[batch]` section of `marquee.toml`."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

MODELS: Final = ("auto", "als", "item_knn", "bpr", "popularity")
SIMILARITIES: Final = ("cosine", "tfidf", "bm25")
_MOST_WEIGHT: Final = 1000


@dataclass(frozen=True, slots=True)
class BatchSettings:
    r"""What a refresh does when the command line does not say otherwise.

    Attributes:
        events: Files or directories of events.
        catalogue: Files that say which items exist; none: whatever 2 users touched.
        profiles: Files with users' age, gender, occupation.
        quarantine: Directory of rejected lines.
        quarantine_keep: Quarantine files kept.
        max_rejected_share: Of a file's lines; a refresh with more stops.
        user_pattern: What a user id is in the stream (RE2, without groups).
        item_pattern: What an item id is in the stream (RE2, without groups).
        max_rating: Best rating of the scale; 0: 5, or 10 if more than 1 % are above 5.
        weight_watched: Of an item watched to the end; 0: watching says nothing.
        weight_rating: What the best rating adds to that, and the worst takes away;
            0: ratings say nothing.
        half_life_days: After so many an interaction weighs half; 0: always the same.
        model: auto, als, item_knn, bpr or popularity.
        tuned: A file that `python -m batch tune` has written, whose parameters stand in
            place of the defaults; empty: none.
        holdout_users: Of whom one item is held out to tell when ALS may stop and
            how much popularity counts; 0: all sweeps, no popularity.
        warm_start: Begin with the vectors of the snapshot that is served.
        n_factors: Length of a factor vector.
        regularization: Of ALS, in multiples of what chance alone makes in such data.
        alpha: Confidence is 1 + alpha · weight.
        iterations: Most sweeps of ALS.
        n_neighbours: Of each item, for item_knn.
        similarity: Of items, for item_knn: cosine, tfidf or bm25.
        bpr_learning_rate: Of BPR.
        bpr_regularization: Of BPR.
        bpr_iterations: Passes of BPR.
        n_rating_factors: Length of a vector of the rating model; 0 leaves the biases.
        n_spares: Items kept after the 20, for takedowns.
        n_trees: Of the Annoy index; more find more and weigh more.
        n_threads: 0 means one for each processor that this process may use.
        seed: Of everything random.
    """

    events: tuple[str, ...] = ()
    catalogue: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    quarantine: str = "var/quarantine"
    quarantine_keep: int = 30
    max_rejected_share: float = 0.05
    user_pattern: str = r"\d+"
    item_pattern: str = r"[a-z0-9+._*-]{1,109}"
    max_rating: float = 0.0
    weight_watched: float = 1.0
    weight_rating: float = 1.0
    half_life_days: float = 0.0
    model: str = "auto"
    tuned: str = ""
    holdout_users: int = 20_000
    warm_start: bool = True
    n_factors: int = 64
    regularization: float = 1.0
    alpha: float = 2.0
    iterations: int = 15
    n_neighbours: int = 100
    similarity: str = "bm25"
    bpr_learning_rate: float = 0.05
    bpr_regularization: float = 0.01
    bpr_iterations: int = 100
    n_rating_factors: int = 8
    n_spares: int = 10
    n_trees: int = 50
    n_threads: int = 0
    seed: int = 42

    def __post_init__(self) -> None:
        for name in (
            "quarantine_keep", "n_factors", "iterations", "n_trees", "n_neighbours",
            "bpr_iterations",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and (value < 0 or not math.isfinite(value)):
                raise ValueError(f"{field.name} must be 0 or more, and finite")
        if self.n_spares > 20:
            raise ValueError(f"n_spares must lie between 0 and 20, not {self.n_spares}")
        if self.n_rating_factors > 32:
            raise ValueError(
                f"n_rating_factors must lie between 0 and 32, not {self.n_rating_factors}"
            )
        if self.max_rejected_share > 1:
            raise ValueError("max_rejected_share must lie between 0 and 1")
        for name in ("user_pattern", "item_pattern"):
            _check_pattern(name, getattr(self, name))
        if not 0 < self.weight_watched + self.weight_rating <= _MOST_WEIGHT:
            raise ValueError(
                f"weight_watched + weight_rating must be above 0 and at most {_MOST_WEIGHT}"
            )
        _check_known("model", self.model, MODELS)
        _check_known("similarity", self.similarity, SIMILARITIES)


def _check_known(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")


def _check_pattern(name: str, pattern: str) -> None:
    try:
        n_groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{name} is no regular expression: {error}") from error
    try:  # the events are read with RE2, which knows less than `re`
        pc.match_substring_regex(pa.array([""]), pattern=pattern)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{name} is nothing that RE2 knows: {error}") from error
    if n_groups:
        raise ValueError(f"{name} must have no groups; write (?:…) for (…)")
