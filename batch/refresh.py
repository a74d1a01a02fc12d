"""The refresh: from events to a published snapshot, stage by stage.

    events ─► interactions ─► trial on the last day ─► model of everything
        ─► exact top-k ─► index ─► fallbacks ─► gate ─► snapshot ─► CURRENT

What is served now lends the factors to begin with, and the new lists must not be
worse. Nothing touches the store before the snapshot is written, so a refresh that
fails, for whatever reason, leaves it as it was.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from annoy import AnnoyIndex

from batch.errors import GateRefusedError, InputError
from batch.events.quarantine import Quarantine
from batch.events.read import Events, kinds, read_events
from batch.events.read import Source as EventSource
from batch.fallback import popular_items, segment_items
from batch.gate.rules import check_coverage, check_lists, check_quality
from batch.gate.settings import GateSettings
from batch.gate.verdict import REFUSED, Check, Verdict
from batch.interactions import Interactions, build_interactions
from batch.learn import Learned, known_times, learn
from batch.neighbours import build_index, recall, save_index, similar_items
from batch.ratings.measure import measure_ratings
from batch.ratings.model import RatingModel
from batch.ratings.train import train_ratings
from batch.records.catalogue import Catalogue, read_catalogues
from batch.records.profiles import Profiles, read_profiles
from batch.records.read import Source as RecordSource
from batch.served import open_served
from batch.settings import BatchSettings
from batch.snapshot import Content, write_tables
from batch.stages import Stages
from batch.topk import NO_ITEM
from batch.version import code_version
from batch.weights import weighting
from store.journal import write_journal
from store.layout import INDEX, LIST_LENGTH, snapshot_folder
from store.manifest import Manifest, sha256
from store.prune import prune
from store.publish import check_writable, publish, writing
from store.snapshot import Snapshot
from store.takedown import takedowns
from store.writer import SnapshotWriter

_GATE: Final = GateSettings()
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
        learned_from: What training began with: `generation 41`, or why from nothing.
        gate: What the gate said, as in the manifest.
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
    learned_from: str
    gate: dict[str, Any]
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


def refresh(
    settings: BatchSettings,
    store: Path,
    keep: int,
    keep_days: float,
    gate: GateSettings = _GATE,
    override: str = "",
) -> Summary:
    """Build a snapshot of everything in the input, and publish it if the gate lets it pass.

    Args:
        settings: What to read and how to train.
        store: The store's directory; it is made if it does not exist.
        keep: Newest snapshots that are kept.
        keep_days: Snapshots younger than so many days are kept besides.
        gate: What a snapshot must be like to be published.
        override: Why this one is published whatever the gate says; empty: it is not.

    Raises:
        BatchError: The input is missing, broken or empty.
        GateRefusedError: The snapshot was built and is kept, but not published.
        StoreError: The store cannot be written.
    """
    began_at = datetime.now(UTC)
    stages = Stages()
    check_writable(store)
    given = _read(settings, began_at, stages)
    with stages("interactions"):
        items = given.catalogue.items if settings.catalogue else None
        runtimes = {name: item.runtime for name, item in items.items()} if items else None
        interactions = build_interactions(
            given.events, runtimes, settings.max_rating, weighting(settings)
        )
        at = known_times(interactions.began_at, not_after=began_at)
    taken_down = sorted(takedowns(store))
    hidden = _rows_of(interactions, taken_down)
    with stages("ratings"):
        ratings, rating_metrics = _learn_ratings(interactions, settings)
    with open_served(store) as served:
        learned = learn(interactions, at, served, settings, gate, stages)
        content, index = _tables(learned, interactions, given, ratings, hidden, settings, stages)
        with stages("gate"):
            verdict = Verdict(_checks(content, learned, served, hidden, gate), override)
    with stages("fingerprint"):
        inputs = _fingerprints(given)
        metrics = _metrics(content, settings.seed) | learned.metrics | rating_metrics
    with writing(store), SnapshotWriter(store) as writer:
        with stages("write"):
            save_index(index, writer.path(INDEX))
            write_tables(writer, content)
            manifest = writer.finish(
                began_at=began_at.isoformat(timespec="seconds"),
                finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
                code_version=code_version(),
                inputs=inputs,
                parameters=asdict(settings) | {"gate": asdict(gate), "taken_down": taken_down},
                metrics=metrics,
                gate=verdict.as_json(),
            )
        with stages("publish"):
            is_current = _publish(store, manifest.generation, verdict)
            prune(store, keep, keep_days)
    if verdict.result == REFUSED:
        raise GateRefusedError(manifest.generation, verdict.refusals)
    return _summary(
        store, manifest, given, interactions, learned.learned_from, stages, is_current=is_current
    )


def _publish(store: Path, generation: int, verdict: Verdict) -> bool:
    """Make the snapshot current if it may be, and say in the journal what came of it."""
    if verdict.result == REFUSED:
        write_journal(store, generation, REFUSED, verdict.why)
        return False
    return publish(store, generation, why=verdict.why)


def _checks(
    content: Content,
    learned: Learned,
    served: Snapshot | str,
    hidden: Collection[int],
    gate: GateSettings,
) -> list[Check]:
    lists, interactions = content.lists.item_rows, content.interactions
    counts = None if isinstance(served, str) else served.manifest.counts
    n_users = int((lists[:, 0] != NO_ITEM).sum())
    return [
        *check_coverage(n_users, len(interactions.item_ids), counts, gate),
        *check_lists(lists, interactions.weights, hidden, gate),
        *check_quality(learned.trial, gate),
    ]


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


def _tables(
    learned: Learned,
    interactions: Interactions,
    given: _Input,
    ratings: RatingModel | None,
    hidden: Collection[int],
    settings: BatchSettings,
    stages: Stages,
) -> tuple[Content, AnnoyIndex]:
    n_users, model = len(interactions.user_ids), learned.model
    with stages("top-k", total=n_users, unit="user") as advance:
        lists = learned.fitted.top_k(
            LIST_LENGTH + settings.n_spares,
            hidden=hidden,
            n_threads=learned.n_threads,
            on_users=advance,
        )
    with stages("index", total=len(interactions.item_ids), unit="item") as advance:
        index = build_index(model.item_factors, n_trees=settings.n_trees, seed=settings.seed)
        similar = similar_items(index, LIST_LENGTH, hidden, on_items=advance)
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
            items=given.catalogue.items,
            profiles=given.profiles.users,
            ratings=ratings,
        )
    return content, index


def _learn_ratings(
    interactions: Interactions, settings: BatchSettings
) -> tuple[RatingModel | None, dict[str, float]]:
    """Train the rating model on all ratings, and measure it on some that it has not seen."""
    n_users, n_items = interactions.weights.shape
    n_factors, seed = settings.n_rating_factors, settings.seed
    ratings = interactions.ratings
    how = {"n_factors": n_factors, "seed": seed, "n_threads": settings.n_threads}
    measured = measure_ratings(ratings, n_users, n_items, **how)
    model = train_ratings(ratings, n_users, n_items, **how)
    return model, measured


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
    learned_from: str,
    stages: Stages,
    *,
    is_current: bool,
) -> Summary:
    folder = snapshot_folder(store, manifest.generation)
    n_users = manifest.counts["recs.mdb/users"]
    n_seen_all = len(interactions.user_ids) - n_users
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
        learned_from=learned_from,
        gate=manifest.gate,
        seconds=stages.seconds,
        peak_mib=stages.peak_mib,
    )


def _unusable(given: _Input) -> dict[str, int]:
    sources = (*given.catalogue.sources, *given.profiles.sources)
    return {str(source.path): source.n_rejected for source in sources if source.n_rejected}
