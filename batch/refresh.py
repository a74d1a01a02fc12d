"""The refresh: from events to a published snapshot, stage by stage.

    events ─► interactions ─► trust ─► trial on the last day ─► model of everything
        ─► exact top-k ─► rules ─► index ─► fallbacks ─► gate ─► snapshot ─► CURRENT
        ─► report

While an experiment runs whose arms have settings, one snapshot an arm: see `batch.arms`.
The parent, the snapshot that is served now, gives the initial factors, and the new lists
must not be worse than its own. The store is not written to before the snapshot is
complete, so a refresh that fails leaves it unchanged.
"""

import json
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from annoy import AnnoyIndex

from batch.arms import builds_of, interactions_of_all, publish_builds
from batch.capacity.check import check_events, warn_of_files
from batch.cold_start.vector_figures import vector_figures
from batch.engine import Engine, opened_engine
from batch.errors import GateRefusedError
from batch.events.readers import reading
from batch.gate.checks import check_coverage, check_lists, check_quality, name_margins
from batch.gate.settings import GateSettings
from batch.inputs import RefreshInputs, read_inputs
from batch.interactions.build import Interactions
from batch.learn import Learned, learn
from batch.memory import release_free_memory, use_system_allocator
from batch.models.all_users import AllUsers
from batch.models.families import Extent
from batch.options import RefreshOptions
from batch.parent import CHOICE, counts_of, open_parent
from batch.prepare import Prepared, prepare
from batch.ratings.learn import learn_ratings
from batch.ratings.model import RatingModel
from batch.report.make import try_report
from batch.report.settings import ReportSettings
from batch.served.files import served_document
from batch.settings import BatchSettings
from batch.stages import Stages
from batch.summary import RefreshOutcome, Summary, summarise
from batch.tables.assemble import SharedTables, assemble_shared, assemble_tables
from batch.tables.neighbours import recall, save_index
from batch.tables.shards import shards_of
from batch.tables.users import UserTables
from batch.tables.write import SnapshotTables, write_tables
from batch.trust.assess import Assessment, assess
from batch.trust.growth import list_limits, served_counts
from batch.trust.histories import AllHistories
from batch.trust.left_out import LeftOut, rejoin
from batch.trust.settings import TrustSettings
from batch.trust.trusted import trusted_ids, write_suspects
from batch.unavailable import Unavailable
from batch.version import code_version
from store.experiment import OVERRIDES, read_experiment
from store.gate_result import REFUSED, GateCheck, GateResult
from store.layout import INDEX, LIST_LENGTH, generations
from store.manifest import Manifest
from store.model_files import SERVED_MODEL
from store.prune import prune
from store.publish import check_writable, writing
from store.snapshot import Snapshot
from store.writer import SnapshotWriter


def refresh(store: Path, options: RefreshOptions) -> Summary:
    """Build a snapshot of all inputs, and publish it if the gate passes it.

    Args:
        store: Directory of the store; it is made if it does not exist.
        options: Options of the refresh.

    Raises:
        BatchError: The input is missing, broken or empty, or too large for this machine.
        GateRefusedError: The snapshot was built and is kept, but not published.
        StoreError: The store cannot be written.
    """
    use_system_allocator()
    with reading(options.batch.events), opened_engine(options.batch) as engine:
        return _refresh(store, options, engine)


def _refresh(store: Path, options: RefreshOptions, engine: Engine) -> Summary:
    stages = Stages()
    summary, manifests = _published(store, options, engine, stages)
    release_free_memory()  # of the data: the report needs the files alone
    with stages("report"):
        summary = _with_reports(store, summary, manifests, options.report)
    for manifest in manifests:
        _raise_if_refused(manifest.generation, manifest.gate)
    return summary


def _published(
    store: Path, options: RefreshOptions, engine: Engine, stages: Stages
) -> tuple[Summary, list[Manifest]]:
    """Build and publish; return the summary, and the manifest of each snapshot."""
    began_at = datetime.now(UTC)
    check_writable(store)
    experiment = None if options.arm else read_experiment(store)
    builds = builds_of(options, experiment)
    with open_parent(store, options.parent) as parent:
        warn_of_files(options.batch, counts_of(parent))
    inputs = read_inputs(options.batch, began_at, stages, engine.read_events, engine.read_profiles)
    check_events(options.batch, inputs.events, len(inputs.catalogue.items), store)
    with stages("interactions"):
        of_builds = interactions_of_all(inputs, builds, engine.build_interactions)
        inputs = replace(inputs, profiles=engine.profiles(inputs.profiles))
    manifests: list[Manifest] = []
    first: _Built | None = None
    is_current = False
    for one in builds:
        timer = stages if first is None else Stages()
        run = _Run(store, began_at, engine, timer)
        built = _build(run, inputs, of_builds.pop(0), one)
        with writing(store), SnapshotWriter(store, one.batch.shards, shards_of) as writer:
            with timer("write"):
                manifests.append(_write(writer, built, began_at))
                if first is None:
                    write_suspects(store, built.trust.suspects)
            if not of_builds:
                with stages("publish"):
                    is_current = publish_builds(store, options, experiment, manifests)
                    prune(store, options.store.keep, options.store.keep_days)
        first = first or built
    assert first is not None
    arms = {
        one.arm: found.generation for one, found in zip(builds, manifests, strict=True) if one.arm
    }
    n_liked = len(first.tables.liked.user_ids)
    extent = Extent(first.users.n_users, first.users.n_interactions)
    outcome = RefreshOutcome(
        store, manifests[0], manifests[0].gate, is_current, first.warm_start, n_liked, arms,
        first.trust.note, extent,
    )  # fmt: skip
    return summarise(outcome, first.prepared, options.batch, stages), manifests


def _with_reports(
    store: Path, summary: Summary, manifests: list[Manifest], settings: ReportSettings
) -> Summary:
    """Make the reports, and return the summary with the page of the first, or a warning."""
    recorded = json.loads(summary.as_json())
    kept = set(generations(store))  # of several that were refused, only the newest
    page, failed = None, []
    for number in (one.generation for one in manifests if one.generation in kept):
        is_first = number == summary.generation
        made, warning = try_report(store, number, settings, recorded if is_first else None)
        page = made if is_first else page
        if warning:
            failed.append(warning)
            sys.stderr.write(f"warning: {warning}\n")
    return replace(summary, report=page, warnings=(*summary.warnings, *failed))


def _prepared(
    run: "_Run", inputs: RefreshInputs, interactions: Interactions, options: RefreshOptions
) -> tuple[Prepared, Assessment]:
    """Return what a snapshot is learned from, and how far accounts are trusted."""
    with run.stages("trust"):
        interactions, trust = assess(
            interactions,
            inputs.events.accounts,
            options.trust,
            not_after=run.began_at,
            trusted=trusted_ids(run.store),
            seed=options.batch.seed,
        )
        prepared = prepare(run.store, inputs, interactions, options, run.began_at)
        prepared.rules.context.warnings.extend(trust.warnings)
    return prepared, trust


def _build(
    run: "_Run", inputs: RefreshInputs, interactions: Interactions, options: RefreshOptions
) -> "_Built":
    """Train, make the lists, and judge them."""
    settings, stages = options.batch, run.stages
    prepared, trust = _prepared(run, inputs, interactions, options)
    del interactions  # gigabytes, which are in `prepared` until they are rejoined
    with stages("ratings"):
        ratings, rating_metrics = _ratings(prepared.interactions, settings)
    with open_parent(run.store, options.parent) as parent:
        data = replace(prepared.data, all_users=_all_users(run.engine, prepared, trust))
        learned = learn(data, parent, settings, options.gate, stages)
        shared = assemble_shared(prepared, learned, parent, settings, stages)
        learned = _judged(learned, shared, stages)
        prepared = _limited(prepared, trust, parent, options.trust)
        if trust.left_out:
            with stages("histories"):
                prepared, learned, shared = _with_histories(
                    prepared, learned, shared, trust.left_out, run.began_at
                )
        tables = assemble_tables(prepared, learned, shared, ratings, settings, stages)
        with stages("users"):
            users = run.engine.users(prepared, learned, tables, settings)
        with stages("gate"):
            n_lists = users.n_lists + len(tables.liked.user_ids)
            n_items, served = len(prepared.interactions.item_ids), counts_of(parent)
            checks = check_coverage(n_lists, n_items, served, options.gate)
            checks += _checks(prepared, learned, tables, options.gate)
            checks += name_margins(learned.choice, shared.stage.comparison)
            gate_result = GateResult(checks, options.override)
            metrics = rating_metrics | _trained_metrics(learned) | shared.stage.metrics
            metrics |= _metrics(prepared, tables, settings.seed)
    with stages("fingerprint"):
        provenance = _provenance(prepared, learned, options, tables, shared.index)
        provenance.parameters["trust"] = asdict(options.trust) | trust.document
    return _Built(
        tables, users, shared.index, provenance, metrics, gate_result, options.arm or None,
        learned.warm_start, prepared, trust,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Run:
    """What the snapshots of one refresh share.

    Attributes:
        store: Directory of the store.
        began_at: Time when the refresh began, with its zone.
        engine: Engine of the stages that touch every user.
        stages: Timer of the stages.
    """

    store: Path
    began_at: datetime
    engine: Engine
    stages: Stages


@dataclass(frozen=True, slots=True)
class _Provenance:
    """Origin of a snapshot, for its manifest.

    Attributes:
        inputs: Files that were read, with their hashes.
        parameters: Settings and counts that the snapshot depends on.
    """

    inputs: list[dict[str, Any]]
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Built:
    """A snapshot that is complete in memory.

    Attributes:
        tables: Contents of the tables.
        users: Tables of all users.
        index: Annoy index of the items.
        provenance: Inputs and parameters.
        metrics: Figures for the manifest.
        gate_result: Result of the gate.
        arm: Arm of an experiment that it is built for; None for none.
        warm_start: Origin of the initial factors, or `none: ` and the reason.
        prepared: Interactions, catalogue, profiles and rules.
        trust: How far accounts are trusted.
    """

    tables: SnapshotTables
    users: UserTables
    index: AnnoyIndex
    provenance: _Provenance
    metrics: dict[str, Any]
    gate_result: GateResult
    arm: str | None
    warm_start: str
    prepared: Prepared
    trust: Assessment


def _ratings(
    interactions: Interactions, settings: BatchSettings
) -> tuple[RatingModel | None, dict[str, float]]:
    """Return the rating model and its metrics."""
    return learn_ratings(
        interactions.ratings,
        *interactions.weights.shape,
        n_factors=settings.n_rating_factors,
        seed=settings.seed,
        n_threads=settings.n_threads,
    )


def _all_users(engine: Engine, prepared: Prepared, trust: Assessment) -> AllUsers | None:
    """Return the users to train on beside the data; None if nobody else is to be trusted."""
    users = engine.all_users(prepared, trust.young_since)
    if users and trust.why_sample_alone:
        prepared.rules.context.warnings.append(
            f"trust: the model is trained on the sample of users alone: {trust.why_sample_alone}"
        )
        return None
    return users


def _judged(learned: Learned, shared: SharedTables, stages: Stages) -> Learned:
    """Return the trained models with a trial of what makes the lists."""
    if shared.stage.earlier is None:
        return learned.with_stage(None)
    with stages("trial of lists"):
        return learned.with_stage(shared.stage.earlier)


def _trained_metrics(learned: Learned) -> dict[str, Any]:
    """Return the figures of the training and of the trial."""
    trial = learned.trial
    return learned.metrics | ({} if isinstance(trial, Unavailable) else trial.metrics())


def _limited(
    prepared: Prepared,
    trust: Assessment,
    parent: Snapshot | Unavailable,
    settings: TrustSettings,
) -> Prepared:
    """Return the data and rules of a refresh, with the limits of lists; none without a parent."""
    if isinstance(parent, Unavailable) or not len(trust.unsupported):
        return prepared
    names = prepared.interactions.item_ids.take(pa.array(trust.unsupported)).to_pylist()
    n_lists = len(prepared.interactions.user_ids) + prepared.interactions.n_elsewhere
    limits = list_limits(served_counts(parent, names), names, n_lists, settings)
    by_row = dict(zip(trust.unsupported.tolist(), limits, strict=True))
    return replace(prepared, rules=replace(prepared.rules, limits=by_row))


def _with_histories(
    prepared: Prepared,
    learned: Learned,
    shared: SharedTables,
    left_out: LeftOut,
    not_after: datetime,
) -> tuple[Prepared, Learned, SharedTables]:
    """Return everything with all interactions in place of the trusted ones."""
    prepared = prepared.with_interactions(rejoin(prepared.interactions, left_out), not_after)
    data = prepared.data
    weights = data.interactions.weights
    histories = AllHistories(weights, data.at, left_out.user_rows, learned.n_threads)
    learned = histories.learned(learned)
    return prepared, learned, replace(shared, ranker=histories.stage(shared.ranker, learned))


def _checks(
    prepared: Prepared,
    learned: Learned,
    tables: SnapshotTables,
    gate: GateSettings,
) -> list[GateCheck]:
    weights = prepared.interactions.weights
    return [
        *check_lists(tables.lists.item_rows, weights, prepared.hidden, gate),
        *check_quality(learned.trial, gate),
    ]


def _metrics(prepared: Prepared, tables: SnapshotTables, seed: int) -> dict[str, Any]:
    """Return figures of the lists and of the index."""
    effects = prepared.rules.effects(tables.lists, prepared.interactions, prepared.taken_down_rows)
    item_factors = tables.factors.item_factors
    found = recall(tables.similar, item_factors, LIST_LENGTH, seed, prepared.hidden)
    vectors = vector_figures(prepared.inputs, prepared.interactions, tables.liked.about)
    return {**effects, "index_recall_at_20": round(found, 4), **vectors}


def _provenance(
    prepared: Prepared,
    learned: Learned,
    options: RefreshOptions,
    tables: SnapshotTables,
    index: AnnoyIndex,
) -> _Provenance:
    rules = prepared.rules
    return _Provenance(
        prepared.inputs.fingerprints(learned.n_threads) + rules.inputs(),
        asdict(options.batch)
        | {
            "gate": asdict(options.gate),
            "rules": rules.parameters(),
            "taken_down": prepared.taken_down,
            "n_indexed": index.get_n_items(),
            "n_factors": learned.factors.item_factors.shape[1],
            SERVED_MODEL: served_document(tables.served),
            CHOICE: learned.choice.as_json() if learned.choice else None,
        }
        | ({OVERRIDES: options.overrides} if options.overrides else {}),
    )


def _write(writer: SnapshotWriter, built: _Built, began_at: datetime) -> Manifest:
    """Write the snapshot's files, the manifest last."""
    save_index(built.index, writer.path(INDEX))
    write_tables(writer, built.tables, built.users)
    return writer.finish(
        began_at=began_at.isoformat(timespec="seconds"),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=code_version(),
        inputs=built.provenance.inputs,
        parameters=built.provenance.parameters,
        metrics=built.metrics,
        gate=built.gate_result,
        arm=built.arm,
    )


def _raise_if_refused(generation: int, gate_result: GateResult) -> None:
    if gate_result.result != REFUSED:
        return
    raise GateRefusedError(
        f"generation {generation}",
        f"refused by the gate: {'; '.join(gate_result.refusals)}; "
        "the current generation stays in service",
        f"inspect it with `python -m store show --generation {generation}`; "
        'to publish such a snapshot once: `python -m batch refresh --override-gate "why"`',
    )
