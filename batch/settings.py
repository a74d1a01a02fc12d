"""The `[batch]` section of `marquee.toml`."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from batch.columns.roles import check_roles
from store.shards import MAX_SHARDS

MODELS: Final = (
    "auto", "ials", "als", "ease", "rp3beta", "graph_filter", "spectral", "item_knn", "last_items",
    "bpr", "popularity", "recent_popularity",
)  # fmt: skip
ENGINES: Final = ("local", "spark")
NEW_ITEMS: Final = ("content", "none")
SECOND_STAGES: Final = ("auto", "on", "off")
FOLD_IN: Final = ("auto", "on", "off")
ZERO_RATINGS: Final = ("auto", "unrated", "rejected")
SIMILARITIES: Final = ("cosine", "tfidf", "bm25")
_MAX_WEIGHT: Final = 1000  # maximum weight of an interaction
_MAX_RATING_FACTORS: Final = 32
_MAX_SPARES: Final = 80  # as many as there are candidates by default, with the list


@dataclass(frozen=True, slots=True)
class BatchSettings:
    r"""The section `[batch]`: inputs, model and parameters.

    Attributes:
        events: Files, directories or databases of events.
        engine: Place of the users: `local` (this process) or `spark` (partitions of a cluster;
            the lists are of a model that can fold in users).
        spark_master: URL of Spark's master: `local[2]`, `spark://host:7077`, `yarn`, `k8s://…`.
        spark_partitions: Number of partitions of users; 0: one for each million rows, and
            the same number for each processor of the cluster.
        spark_wait_seconds: Time that jobs wait for an executor of the cluster before the
            refresh fails; 0: no limit.
        spark_sample: Number of interactions in the sample of users that Spark's driver trains
            on; 0: 300 for each item, at least 2 million.
        spark_sweeps: Sweeps of `als` and `ials` over all users after those over the sample;
            0: none.
        catalogue: Files or tables of existing items; none: every item that 2 users have.
        profiles: Files or tables of users' age, gender, occupation, likes and dislikes.
        database_password_file: File of passwords of databases, with lines
            `host:port:database:user:password`; empty: none.
        item_vectors: Parquet file of items' vectors from outside, such as embeddings of their
            texts; empty: none.
        user_vectors: Parquet file of users' vectors from outside; empty: none.
        quarantine: Directory of rejected lines.
        quarantine_keep: Number of quarantine files to keep.
        quarantine_days: Age in days from which a quarantine file is removed; 0: any age is kept.
        quarantine_mib: Size in MiB of a quarantine file; lines beyond are counted, not written.
        max_rejected_share: Maximum share of rejected lines in a file; a refresh with more
            stops.
        user_pattern: Pattern of a user id in the stream (RE2, without groups).
        item_pattern: Pattern of an item id in the stream (RE2, without groups).
        columns: Columns of tables of events by role, `user = "book_id"`, in a table of its own,
            `[batch.columns]`; a name, or a number from 1. Roles: user, item, rating, minutes,
            percentage, count, flag, time. The environment does not override it.
        max_rating: Best rating of the scale; 0: 5, or 10 if more than 1 % are above 5.
        zero_rating: Meaning of a rating of 0 in a table: `unrated` (an interaction without a
            rating), `rejected`, or `auto` (unrated on a scale that ends above 5).
        count_half: Count, such as of plays, that weighs half as much as endless ones: an item
            counts as watched to the share count / (count + count_half).
        weight_watched: Weight of an item watched to the end (or rated without a view), and
            in proportion of one watched in part; 0: watching does not count.
        weight_rating: Weight that the best rating adds, and that the worst subtracts; 0:
            ratings do not count.
        half_life_days: Age in days at which an interaction has half of its weight, counted
            from the latest event; 0: no decay.
        model: Model of the lists: `auto` (the best blend of the others on a validation set of
            this data), or one of the others.
        choice_days: Days for which `auto` keeps its choice; the next refresh searches again.
        choice_seconds: Maximum estimated time of the search, on one processor; families of
            models that do not fit are left out.
        choice_mib: Maximum estimated memory of a model in the search, MiB.
        tuned: File written by `python -m batch tune`, with parameters in place of the
            defaults; empty: none.
        second_stage: Use of a boosted ranking of the candidates of several models for the lists:
            `auto` (where LightGBM is installed and the ranking is significantly better on a
            holdout), `on` or `off`.
        fold_in: Whether snapshots get the files from which the served model can fold in users,
            for fresh lists: `auto` (as `on` with a section `[stream]` or `[fresh]`, else where
            the model can), `on` (only what can makes the lists), or `off`.
        new_items: Source of the vectors of new items (no interactions): `content` (genres,
            overview, language, year), or `none`: no vector before the first interaction.
        preference_lists: Whether users without interactions get lists of their own by their
            likes and dislikes; else they get those of their segments.
        holdout_users: Maximum users in the holdout for early stopping of ALS; 0: all
            iterations.
        warm_start: Whether training starts with the vectors of the served snapshot.
        n_factors: Length of a factor vector.
        regularization: Regularization of ALS, in multiples of √(interactions of a user) +
            √(interactions of an item), the largest singular value of noise.
        alpha: Growth of the confidence of ALS, 1 + alpha · weight.
        iterations: Maximum iterations of ALS.
        ials_factors: Length of a factor vector of iALS.
        ials_regularization: Regularization of iALS, before it is scaled by frequency.
        ials_unobserved_weight: Weight α₀ of every pair of user and item in iALS; the mean
            weight of an interaction is 1.
        ials_frequency_exponent: Exponent of the frequency that scales the regularization
            of iALS; 0: no scaling.
        ials_iterations: Number of iterations of iALS.
        n_neighbours: Number of neighbours of each item, for `item_knn` and `last_items`.
        similarity: Similarity of items, for `item_knn`: `cosine`, `tfidf` or `bm25`.
        ease_regularization: Regularization of EASE, added to the number of users of each item.
        ease_max_items: Maximum items in EASE, those with the most users; training takes 12
            bytes for each pair of them.
        ease_neighbours: Number of weights of EASE kept for each item, the largest; 0: all.
        rp3beta_alpha: Exponent of the probability of a step, for `rp3beta`.
        rp3beta_beta: Exponent of the popularity that divides an item's weight, for `rp3beta`.
        rp3beta_neighbours: Number of items kept for each item, for `rp3beta`.
        graph_filter_singular_vectors: Number of singular vectors of the graph filter; 0: none.
        graph_filter_weight: Weight of the singular vectors of the graph filter.
        graph_filter_neighbours: Number of items kept for each item, for `graph_filter`; 0: as
            many as make 16 million pairs, all of them up to 4,096 items.
        spectral_factors: Number of singular vectors of the spectral model.
        spectral_popularity: Score that the spectral model adds for the most popular item, in
            units of the mean top score.
        bpr_learning_rate: Learning rate of BPR.
        bpr_regularization: Regularization of BPR.
        bpr_iterations: Number of iterations of BPR.
        recent_popularity_half_life_days: Age in days at which a view counts half in
            `recent_popularity`; 0: all count alike.
        last_items_window: Maximum distance of two views of a user that count as a pair, for
            `last_items`.
        last_items_decay: Share of its weight that an item keeps with each one watched after
            it, and a pair with each view in between, 0 to 1, for `last_items`.
        last_items_shrinkage: Number of users added to the denominator of similarities, for
            `last_items`; larger: fewer rare items.
        n_rating_factors: Length of a factor vector of the rating model; 0: biases alone.
        n_spares: Number of items kept behind the list of 20, for takedowns and exploration.
        n_trees: Number of trees of the Annoy index; more trees: higher recall, larger
            index.
        shards: Number of files that the users' lists and profiles are divided among; 1: all lie
            in `recs.mdb`.
        capacity_check: Whether a refresh that needs more memory or disk than the machine has
            stops once the events are read, before it trains.
        n_threads: Number of threads; 0: one for each usable processor.
        seed: Random seed of sampling and initial vectors.
    """

    events: tuple[str, ...] = ()
    engine: str = "local"
    spark_master: str = "local[*]"
    spark_partitions: int = 0
    spark_wait_seconds: float = 300.0
    spark_sample: int = 0
    spark_sweeps: int = 3
    catalogue: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    database_password_file: str = ""
    item_vectors: str = ""
    user_vectors: str = ""
    quarantine: str = "var/quarantine"
    quarantine_keep: int = 30
    quarantine_days: float = 30.0
    quarantine_mib: float = 100.0
    max_rejected_share: float = 0.05
    user_pattern: str = r"\d+"
    item_pattern: str = r"[a-z0-9+._*-]{1,109}"
    columns: dict[str, str] = field(default_factory=dict)
    max_rating: float = 0.0
    zero_rating: str = "auto"
    count_half: float = 10.0
    weight_watched: float = 1.0
    weight_rating: float = 1.0
    half_life_days: float = 0.0
    model: str = "auto"
    choice_days: float = 7.0
    choice_seconds: float = 600.0
    choice_mib: float = 4000.0
    tuned: str = ""
    second_stage: str = "auto"
    fold_in: str = "auto"
    new_items: str = "content"
    preference_lists: bool = True
    holdout_users: int = 20_000
    warm_start: bool = True
    n_factors: int = 64
    regularization: float = 1.0
    alpha: float = 2.0
    iterations: int = 15
    ials_factors: int = 128
    ials_regularization: float = 0.007
    ials_unobserved_weight: float = 0.3
    ials_frequency_exponent: float = 1.0
    ials_iterations: int = 12
    n_neighbours: int = 100
    similarity: str = "bm25"
    ease_regularization: float = 1000.0
    ease_max_items: int = 10_000
    ease_neighbours: int = 0
    rp3beta_alpha: float = 1.0
    rp3beta_beta: float = 0.6
    rp3beta_neighbours: int = 200
    graph_filter_singular_vectors: int = 64
    graph_filter_weight: float = 0.3
    graph_filter_neighbours: int = 0
    spectral_factors: int = 64
    spectral_popularity: float = 0.2
    bpr_learning_rate: float = 0.05
    bpr_regularization: float = 0.01
    bpr_iterations: int = 100
    recent_popularity_half_life_days: float = 30.0
    last_items_window: int = 10
    last_items_decay: float = 0.85
    last_items_shrinkage: float = 50.0
    n_rating_factors: int = 8
    n_spares: int = 10
    n_trees: int = 50
    shards: int = 1
    capacity_check: bool = True
    n_threads: int = 0
    seed: int = 42

    def __post_init__(self) -> None:
        for name in (
            "quarantine_keep", "n_factors", "iterations", "n_trees", "n_neighbours",
            "ials_factors", "ials_iterations", "spectral_factors", "bpr_iterations",
            "ease_max_items", "rp3beta_neighbours", "last_items_window",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for setting in fields(self):
            value = getattr(self, setting.name)
            if isinstance(value, int | float) and (value < 0 or not math.isfinite(value)):
                raise ValueError(f"{setting.name} must be 0 or more, and finite")
        check_roles(self.columns)
        _check_range("n_spares", self.n_spares, 0, _MAX_SPARES)
        _check_range("n_rating_factors", self.n_rating_factors, 0, _MAX_RATING_FACTORS)
        _check_range("shards", self.shards, 1, MAX_SHARDS)
        for name in ("max_rejected_share", "last_items_decay"):
            _check_share(name, getattr(self, name))
        for name in ("user_pattern", "item_pattern"):
            _check_pattern(name, getattr(self, name))
        if not 0 < self.weight_watched + self.weight_rating <= _MAX_WEIGHT:
            raise ValueError(
                f"weight_watched + weight_rating must be above 0 and at most {_MAX_WEIGHT}"
            )
        _check_choice("engine", self.engine, ENGINES)
        _check_choice("model", self.model, MODELS)
        _check_choice("zero_rating", self.zero_rating, ZERO_RATINGS)
        _check_choice("second_stage", self.second_stage, SECOND_STAGES)
        _check_choice("fold_in", self.fold_in, FOLD_IN)
        _check_fold_in(self)
        _check_choice("new_items", self.new_items, NEW_ITEMS)
        _check_choice("similarity", self.similarity, SIMILARITIES)

    @property
    def can_fold_in(self) -> bool:
        """Whether the lists are not required to be of what cannot fold in users."""
        return self.second_stage != "on" and self.model != "bpr"

    @property
    def second_stage_mode(self) -> str:
        """Use of the second stage: "off", too, where the lists must fold in users."""
        return "off" if self.fold_in == "on" or self.engine == "spark" else self.second_stage

    def with_fold_in(self) -> "BatchSettings":
        """Return the settings with `fold_in` on where it is `auto`, and nothing excludes it."""
        is_on = self.fold_in == "auto" and self.can_fold_in
        return replace(self, fold_in="on") if is_on else self


def _check_fold_in(settings: BatchSettings) -> None:
    if settings.fold_in == "on" and not settings.can_fold_in:
        raise ValueError('fold_in = "on" excludes second_stage = "on" and model = "bpr"')
    if settings.engine == "spark" and not (settings.can_fold_in and settings.fold_in != "off"):
        raise ValueError(
            'engine = "spark" excludes fold_in = "off", second_stage = "on" and model = "bpr"'
        )


def _check_range(name: str, value: int, minimum: int, maximum: int) -> None:
    if not minimum <= value <= maximum:
        raise ValueError(f"{name} must lie between {minimum} and {maximum}, not {value}")


def _check_share(name: str, value: float) -> None:
    if value > 1:
        raise ValueError(f"{name} must lie between 0 and 1")


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def _check_pattern(name: str, pattern: str) -> None:
    try:
        n_groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{name} is not a valid regular expression: {error}") from error
    try:  # events are read with RE2, which supports less than `re`
        pc.match_substring_regex(pa.array([""]), pattern=pattern)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{name} is not a valid RE2 expression: {error}") from error
    if n_groups:
        raise ValueError(f"{name} must have no groups; write (?:…) for (…)")
