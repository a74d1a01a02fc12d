"""The refresh: from events to a published snapshot, stage by stage.

    events ─► interactions ─► ALS ─► exact top-k ─► index ─► fallbacks ─► snapshot ─► CURRENT

Nothing touches the store before the last stage, so a refresh that fails, for
whatever reason, leaves it as it was.
"""

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from annoy import AnnoyIndex

from batch.cold.likes import liked_lists
from batch.cold.new_items import with_expected_vectors, with_new_items
from batch.cold.popular import popular_items
from batch.cold.segments import segment_items
from batch.errors import InputError
from batch.events.quarantine import Quarantine
from batch.events.read import Events, kinds, read_events
from batch.events.read import Source as EventSource
from batch.interactions import Interactions, build_interactions
from batch.models.als import Model
from batch.models.choose import recommender
from batch.models.factors import FittedFactors
from batch.models.protocol import Fitted
from batch.neighbours import build_index, recall, save_index, similar_items
from batch.ratings.measure import measure_ratings
from batch.ratings.model import RatingModel
from batch.ratings.train import train_ratings
from batch.records.catalogue import Catalogue, read_catalogues
from batch.records.profiles import Profiles, read_profiles
from batch.records.read import Source as RecordSource
from batch.settings import BatchSettings
from batch.snapshot import Content, write_tables
from batch.stages import Stages
from batch.version import code_version
from store.layout import INDEX, LIST_LENGTH, snapshot_folder
from store.manifest import Manifest, sha256
from store.prune import prune
from store.publish import check_writable, publish, writing
from store.takedown import takedowns
from store.writer import SnapshotWriter

_TASTE_MODELS: Final = ("auto", "als")
_RESERVE_LENGTH: Final = 80  # items after the popular 20, which takedowns may need


@dataclass(frozen=True, slots=True)
class Summary:
    """What a refresh did.

    Attributes:
        snapshot: The directory built.
        generation: Its number.
        is_current: Whether it is served now; not while the store is pinned.
        n_bytes: Its size.
        n_events: Events and rows read, rejected ones included.
        rejected: Rejected ones by reason.
        quarantine: Where they lie, None if there are none.
        dropped: Sound events that were not used, by reason.
        unusable: Entries of catalogues and profiles without an id that can be used, by file.
        n_users: Users with a list of their own.
        n_users_without: Users that get the fallback: all of their items were
            dropped, or they have seen everything.
        n_items: Items that can be recommended.
        n_interactions: Pairs of a user and an item.
        seconds: Of each stage.
        peak_mib: The most memory up to the end of each stage.
    """

    snapshot: Path
    generation: int
    is_current: bool
    n_bytes: int
    n_events: int
    rejected: dict[str, int]
    quarantine: Path | None
    dropped: dict[str, int]
    unusable: dict[str, int]
    n_users: int
    n_users_without: int
    n_items: int
    n_interactions: int
    seconds: dict[str, float]
    peak_mib: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Input:
    events: Events
    catalogue: Catalogue
    profiles: Profiles
    rejected: Counter[str]
    quarantine: Path | None

    @property
    def sources(self) -> list[EventSource | RecordSource]:
        return [*self.events.sources, *self.catalogue.sources, *self.profiles.sources]


def refresh(settings: BatchSettings, store: Path, keep: int, keep_days: float) -> Summary:
    """Build a snapshot of everything in the input, and publish it.

    Args:
        settings: What to read and how to train.
        store: The store's directory; it is made if it does not exist.
        keep: Newest snapshots that are kept.
        keep_days: Snapshots younger than so many days are kept besides.

    Raises:
        BatchError: The input is missing, broken or empty.
        StoreError: The store cannot be written.
    """
    began_at = datetime.now(UTC)
    stages = Stages()
    check_writable(store)
    given = _read(settings, began_at, stages)
    with stages("interactions"):
        items = given.catalogue.items if settings.catalogue else None
        runtimes = {name: item.runtime for name, item in items.items()} if items else None
        interactions = build_interactions(given.events, runtimes, settings.max_rating)
        if settings.new_items == "content":
            interactions = with_new_items(interactions, given.catalogue.items)
    taken_down = sorted(takedowns(store))
    hidden = _rows_of(interactions, taken_down)
    with stages("ratings"):
        ratings, rating_metrics = _learn_ratings(interactions, settings)
    content, index, learned = _learn(interactions, given, ratings, hidden, settings, stages)
    with stages("fingerprint"):
        inputs = _fingerprints(given)
        metrics = _metrics(content, settings.seed) | learned | rating_metrics
    with writing(store), SnapshotWriter(store) as writer:
        with stages("write"):
            save_index(index, writer.path(INDEX))
            write_tables(writer, content)
            manifest = writer.finish(
                began_at=began_at.isoformat(timespec="seconds"),
                finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
                code_version=code_version(),
                inputs=inputs,
                parameters=asdict(settings) | {"taken_down": taken_down},
                metrics=metrics,
                gate={"result": "not run"},
            )
        with stages("publish"):
            is_current = publish(store, manifest.generation, why="refresh")
            prune(store, keep, keep_days)
    n_lists = len(interactions.user_ids) + len(content.liked.user_ids)
    return _summary(store, manifest, given, interactions, n_lists, stages, is_current=is_current)


def _read(settings: BatchSettings, began_at: datetime, stages: Stages) -> _Input:
    if not settings.events:
        raise InputError("events", "none given", "name files with --events, or in [batch] events")
    with stages("catalogue"):
        catalogue = read_catalogues([Path(path) for path in settings.catalogue])
        profiles = read_profiles([Path(path) for path in settings.profiles])
    folder, name = Path(settings.quarantine), began_at.strftime("%Y-%m-%dT%H%M%S.%fZ")
    with (
        stages("events", unit="line") as advance,
        Quarantine(folder, name, settings.quarantine_keep) as quarantine,
    ):
        events = read_events(
            [Path(path) for path in settings.events],
            kinds(settings.user_pattern, settings.item_pattern),
            quarantine,
            settings.max_rejected_share,
            advance,
        )
    rejected = quarantine.counts
    return _Input(events, catalogue, profiles, rejected, quarantine.path if rejected else None)


def _learn(
    interactions: Interactions,
    given: _Input,
    ratings: RatingModel | None,
    hidden: Collection[int],
    settings: BatchSettings,
    stages: Stages,
) -> tuple[Content, AnnoyIndex, dict[str, float]]:
    n_users = len(interactions.user_ids)
    n_threads = settings.n_threads or len(os.sched_getaffinity(0))
    with stages("train", total=settings.iterations) as advance:
        fitted = recommender(settings.model, settings).fit(
            interactions.weights, n_threads=n_threads, on_step=lambda: advance(1)
        )
        taste = _taste(fitted, interactions, settings, n_threads)
    with stages("new items"):
        known_items = given.catalogue.items
        taste = with_expected_vectors(
            taste, interactions, known_items, settings.n_factors, settings.seed
        )
        model = _factors(taste, settings.n_factors)
        if settings.model in _TASTE_MODELS:
            fitted = taste
    with stages("top-k", total=n_users, unit="user") as advance:
        lists = fitted.top_k(
            LIST_LENGTH + settings.n_spares, hidden=hidden, n_threads=n_threads, on_users=advance
        )
    with stages("index", total=len(interactions.item_ids), unit="item") as advance:
        index = build_index(model.item_factors, n_trees=settings.n_trees, seed=settings.seed)
        similar = similar_items(index, LIST_LENGTH, hidden, on_items=advance)
    with stages("likes"):
        liked = liked_lists(
            taste,
            interactions,
            known_items,
            given.profiles.users,
            similar,
            LIST_LENGTH + settings.n_spares,
            settings.n_factors,
            hidden,
            n_threads=n_threads,
        )
    with stages("fallbacks"):
        popular = popular_items(interactions, LIST_LENGTH + _RESERVE_LENGTH, hidden)
        content = Content(
            interactions=interactions,
            model=model,
            lists=lists,
            similar=similar,
            popular=popular[:LIST_LENGTH],
            reserve=popular[LIST_LENGTH:],
            by_segment=segment_items(interactions, given.profiles.users, LIST_LENGTH, hidden),
            items=known_items,
            profiles=given.profiles.users,
            ratings=ratings,
            liked=liked,
        )
    return content, index, {name: round(value, 4) for name, value in fitted.about.items()}


def _learn_ratings(
    interactions: Interactions, settings: BatchSettings
) -> tuple[RatingModel | None, dict[str, float]]:
    """Train the rating model on all ratings, and measure it on some that it has not seen."""
    n_users, n_items = interactions.weights.shape
    n_factors, seed = settings.n_rating_factors, settings.seed
    ratings = interactions.ratings
    measured = measure_ratings(ratings, n_users, n_items, n_factors=n_factors, seed=seed)
    model = train_ratings(ratings, n_users, n_items, n_factors=n_factors, seed=seed)
    return model, measured


def _taste(
    fitted: Fitted, interactions: Interactions, settings: BatchSettings, n_threads: int
) -> FittedFactors:
    """Return ALS, which index, tables and cold start want whatever makes the lists."""
    if settings.model not in _TASTE_MODELS:
        fitted = recommender("als", settings).fit(interactions.weights, n_threads=n_threads)
    assert isinstance(fitted, FittedFactors)
    return fitted


def _factors(taste: FittedFactors, n_factors: int) -> Model:
    columns = slice(n_factors)  # behind them, popularity
    return Model(
        np.ascontiguousarray(taste.user_factors[:, columns]),
        np.ascontiguousarray(taste.item_factors[:, columns]),
    )


def _rows_of(interactions: Interactions, item_ids: Collection[str]) -> set[int]:
    rows = pc.index_in(pa.array(sorted(item_ids), pa.string()), interactions.item_ids)
    return set(rows.drop_null().to_pylist())


def _metrics(content: Content, seed: int) -> dict[str, Any]:
    found = recall(content.similar, content.model.item_factors, LIST_LENGTH, seed)
    return {"index_recall_at_20": round(found, 4)}


def _fingerprints(given: _Input) -> list[dict[str, Any]]:
    """Say which bytes this snapshot was made of."""
    return [
        {
            "name": source.path.name,
            "kind": source.kind,
            "rejected": source.n_rejected,
            "bytes": source.path.stat().st_size,
            "sha256": sha256(source.path),
        }
        for source in given.sources
    ]


def _summary(
    store: Path,
    manifest: Manifest,
    given: _Input,
    interactions: Interactions,
    n_lists: int,
    stages: Stages,
    *,
    is_current: bool,
) -> Summary:
    folder = snapshot_folder(store, manifest.generation)
    n_users = manifest.counts["recs.mdb/users"]
    n_seen_all = n_lists - n_users
    return Summary(
        snapshot=folder,
        generation=manifest.generation,
        is_current=is_current,
        n_bytes=sum(path.stat().st_size for path in folder.iterdir()),
        n_events=sum(source.n_lines for source in given.events.sources),
        rejected=dict(given.rejected.most_common()),
        quarantine=given.quarantine,
        dropped=dict(interactions.dropped.most_common()),
        unusable=_unusable(given),
        n_users=n_users,
        n_users_without=interactions.n_users_without + n_seen_all,
        n_items=len(interactions.item_ids),
        n_interactions=interactions.weights.nnz,
        seconds=stages.seconds,
        peak_mib=stages.peak_mib,
    )


def _unusable(given: _Input) -> dict[str, int]:
    sources = (*given.catalogue.sources, *given.profiles.sources)
    return {str(source.path): source.n_rejected for source in sources if source.n_rejected}
