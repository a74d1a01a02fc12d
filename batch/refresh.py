"""The refresh: from events to a published snapshot, stage by stage.

    events ─► interactions ─► trial on the last day ─► model of everything
        ─► exact top-k ─► rules ─► index ─► fallbacks ─► gate ─► snapshot ─► CURRENT

What is served now lends the factors to begin with, and the new lists must not be
worse. Nothing touches the store before the snapshot is written, so a refresh that
fails, for whatever reason, leaves it as it was.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batch.cold_start.new_items import with_new_items
from batch.errors import GateRefusedError
from batch.gate.checks import check_coverage, check_lists, check_quality
from batch.gate.settings import GateSettings
from batch.inputs import RefreshInputs, read_inputs
from batch.interactions.build import Interactions, build_interactions
from batch.interactions.weights import weighting
from batch.learn import Learned, known_times, learn
from batch.parent import open_parent
from batch.ratings.learn import learn_ratings
from batch.rules.rules import Rules
from batch.rules.settings import RuleSettings
from batch.settings import BatchSettings
from batch.stages import Stages
from batch.summary import Summary, summarise
from batch.tables.assemble import assemble_tables
from batch.tables.neighbours import recall, save_index
from batch.tables.write import SnapshotTables, write_tables
from batch.topk import NO_ITEM
from batch.version import code_version
from store.config import StoreSettings
from store.gate_result import REFUSED, GateCheck, GateResult
from store.journal import write_journal
from store.layout import INDEX, LIST_LENGTH
from store.prune import prune
from store.publish import check_writable, publish, writing
from store.snapshot import Snapshot
from store.takedown import takedowns
from store.writer import SnapshotWriter


@dataclass(frozen=True, slots=True)
class RefreshOptions:
    """How to refresh.

    Attributes:
        batch: What to read and how to train.
        rules: What may be recommended to whom.
        gate: What a snapshot must be like to be published.
        store: How many snapshots are kept.
        override: Why this one is published whatever the gate says; empty: it is not.
        at: The time that counts for availability, with its zone; None: now.
    """

    batch: BatchSettings
    rules: RuleSettings
    gate: GateSettings
    store: StoreSettings
    override: str = ""
    at: datetime | None = None


def refresh(store: Path, how: RefreshOptions) -> Summary:
    """Build a snapshot of everything in the input, and publish it if the gate lets it pass.

    Args:
        store: The store's directory; it is made if it does not exist.
        how: Everything else.

    Raises:
        BatchError: The input is missing, broken or empty.
        GateRefusedError: The snapshot was built and is kept, but not published.
        StoreError: The store cannot be written.
    """
    began_at = datetime.now(UTC)
    stages, settings = Stages(), how.batch
    check_writable(store)
    given = read_inputs(settings, began_at, stages)
    with stages("interactions"):
        interactions = _interactions(given, settings)
        given = given.without_events()  # gigabytes that training needs
        at = known_times(interactions.began_at, not_after=began_at)
        rules = Rules.of(
            how.rules,
            interactions,
            given.catalogue.items,
            given.profiles.users,
            at=how.at or began_at,
            seed=settings.seed,
        )
        gone = sorted(takedowns(store))
        taken_down = _rows_of(interactions, gone)
    with stages("ratings"):
        ratings, figures = learn_ratings(
            interactions.ratings,
            *interactions.weights.shape,
            n_factors=settings.n_rating_factors,
            seed=settings.seed,
            n_threads=settings.n_threads,
        )
    with open_parent(store) as served:
        learned = learn(interactions, at, given.catalogue.items, served, settings, how.gate, stages)
        content, index = assemble_tables(
            learned, interactions, given, ratings, taken_down, rules, settings, stages
        )
        with stages("gate"):
            hidden = rules.hidden_rows | taken_down
            verdict = GateResult(_checks(content, learned, served, hidden, how.gate), how.override)
            metrics = {**figures, **learned.metrics}
            metrics |= rules.judge(content.lists, interactions, taken_down)
            metrics |= _metrics(content, settings.seed, hidden)
    with stages("fingerprint"):
        inputs = given.fingerprints(learned.n_threads) + rules.inputs()
    parameters = asdict(settings) | {
        "gate": asdict(how.gate),
        "rules": rules.parameters(),
        "taken_down": gone,
        "n_indexed": index.get_n_items(),
    }
    with writing(store), SnapshotWriter(store) as writer:
        with stages("write"):
            save_index(index, writer.path(INDEX))
            write_tables(writer, content)
            manifest = writer.finish(
                began_at=began_at.isoformat(timespec="seconds"),
                finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
                code_version=code_version(),
                inputs=inputs,
                parameters=parameters,
                metrics=metrics,
                gate=verdict,
            )
        with stages("publish"):
            is_current = _publish(store, manifest.generation, verdict)
            prune(store, how.store.keep, how.store.keep_days)
    if verdict.result == REFUSED:
        raise GateRefusedError(
            f"generation {manifest.generation}",
            f"refused by the gate: {'; '.join(verdict.refusals)}; "
            "the current generation stays in service",
            f"inspect it with `python -m store show --generation {manifest.generation}`; "
            'to publish such a snapshot once: `python -m batch refresh --override-gate "why"`',
        )
    return summarise(
        store,
        manifest,
        given,
        interactions,
        stages,
        n_liked=len(content.liked.user_ids),
        learned_from=learned.learned_from,
        warnings=rules.known.warnings,
        is_current=is_current,
    )


def _interactions(given: RefreshInputs, settings: BatchSettings) -> Interactions:
    items = given.catalogue.items if settings.catalogue else None
    runtimes = {name: item.runtime for name, item in items.items()} if items else None
    met = build_interactions(
        given.events,
        runtimes,
        settings.max_rating,
        weighting(settings),
        n_threads=settings.n_threads,
    )
    return with_new_items(met, items) if items and settings.new_items == "content" else met


def _rows_of(interactions: Interactions, item_ids: Collection[str]) -> set[int]:
    rows = pc.index_in(pa.array(sorted(item_ids), pa.string()), interactions.item_ids)
    return set(rows.drop_null().to_pylist())


def _checks(
    content: SnapshotTables,
    learned: Learned,
    served: Snapshot | str,
    hidden: Collection[int],
    gate: GateSettings,
) -> list[GateCheck]:
    lists, interactions = content.lists.item_rows, content.interactions
    counts = None if isinstance(served, str) else served.manifest.counts
    n_users = int((lists[:, 0] != NO_ITEM).sum()) + len(content.liked.user_ids)
    return [
        *check_coverage(n_users, len(interactions.item_ids), counts, gate),
        *check_lists(lists, interactions.weights, hidden, gate),
        *check_quality(learned.trial, gate),
    ]


def _metrics(content: SnapshotTables, seed: int, hidden: Collection[int]) -> dict[str, Any]:
    found = recall(content.similar, content.model.item_factors, LIST_LENGTH, seed, hidden)
    return {"index_recall_at_20": round(found, 4)}


def _publish(store: Path, generation: int, verdict: GateResult) -> bool:
    """Make the snapshot current if it may be, and say in the journal what came of it."""
    if verdict.result == REFUSED:
        write_journal(store, generation, REFUSED, verdict.why)
        return False
    return publish(store, generation, why=verdict.why)
