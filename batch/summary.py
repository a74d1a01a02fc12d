"""The summary of a refresh, as text for a terminal and as JSON for programs."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batch.cold_start.vector_figures import vector_warnings
from batch.input_counts import NamedInput, count_inputs
from batch.models.families import Extent
from batch.prepare import Prepared
from batch.records.found import EXPECTED, catalogue_counts, profile_counts, record_warnings
from batch.settings import BatchSettings
from batch.stages import Stages
from store.errors import StoreError
from store.gate_result import GateResult
from store.layout import snapshot_folder
from store.manifest import Manifest, read_manifest
from store.model_files import SERVED_MODEL, UNAVAILABLE


@dataclasses.dataclass(frozen=True, slots=True)
class RefreshOutcome:
    """Result of a refresh, before it is summarised.

    Attributes:
        store: Directory of the store.
        manifest: Manifest of the snapshot.
        gate_result: Result of the gate.
        is_current: Whether the snapshot is served now.
        warm_start: Origin of the initial factors, or `none: ` and the reason.
        n_liked: Users with a list made from their stated preferences or vectors.
        arms: Generation by arm of an experiment that the refresh built, the control not.
        trust: Sentence about the ages and the influence of accounts.
        extent: Numbers of users and interactions of all data.
    """

    store: Path
    manifest: Manifest
    gate_result: GateResult
    is_current: bool
    warm_start: str
    n_liked: int
    arms: dict[str, int]
    trust: str
    extent: Extent


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """Summary of a refresh; its fields are the keys of `--json`.

    Attributes:
        snapshot: Directory of the snapshot.
        generation: Generation of the snapshot.
        is_current: Whether the snapshot is served now; False while the store is pinned, an
            experiment holds it, or if it was built for an arm.
        arms: Generation by arm of an experiment, the control not.
        n_bytes: Size of the snapshot's data files.
        n_events: Events and rows read, rejected ones included.
        inputs: What was read of each input that the configuration names.
        notes: What the files were read as: guesses, meanings of columns, warnings.
        rejected: Rejected ones by reason.
        quarantine: File of the rejected lines, None without any.
        dropped: Valid events that were not used, by reason.
        unusable: Entries of catalogues, profiles and vectors without a valid id, by file.
        catalogue: Items of the catalogue, those with each field, and distinct genres.
        profiles: Users with a profile, and those with each field.
        not_read: Reason why a member of an archive was not read, by its name.
        n_users: Users with a list of their own.
        n_users_without: Users that get the fallback: all of their items were
            dropped, or they have seen everything.
        n_items: Items that can be recommended.
        n_interactions: Pairs of a user and an item.
        learned_from: Origin of the initial factors: `generation 41`, or `none: ` and the
            reason.
        trust: Sentence about the ages and the influence of accounts.
        gate: Result of the gate, the same as in the manifest.
        estimate: Command that estimates the click-through from the logs of the generation
            before; empty if that one drew no places.
        warnings: Warnings, a sentence each.
        seconds: Duration of each stage.
        cpu_seconds: Processor time of each stage, all threads.
        peak_mib: Peak memory during each stage.
        report: Page of the report, None if it could not be made.
    """

    snapshot: Path
    generation: int
    is_current: bool
    arms: dict[str, int]
    n_bytes: int
    n_events: int
    inputs: Sequence[NamedInput]
    notes: Sequence[str]
    rejected: dict[str, int]
    quarantine: Path | None
    dropped: dict[str, int]
    unusable: dict[str, int]
    catalogue: dict[str, int]
    profiles: dict[str, int]
    not_read: dict[str, str]
    n_users: int
    n_users_without: int
    n_items: int
    n_interactions: int
    learned_from: str
    trust: str
    gate: dict[str, Any]
    estimate: str
    warnings: Sequence[str]
    seconds: dict[str, float]
    cpu_seconds: dict[str, float]
    peak_mib: dict[str, float]
    report: Path | None = None

    def as_json(self) -> str:
        """Return one JSON object."""
        return json.dumps(dataclasses.asdict(self), default=str)

    def as_text(self) -> str:
        """Return some lines for a terminal."""
        rejected = sum(self.rejected.values())
        done = "published" if self.is_current else "built (not published: pin, experiment or arm)"
        fallback = f"; {self.n_users_without:,} others get the fallback"
        lines = [
            f"generation {self.generation} {done} in {sum(self.seconds.values()):.1f} s",
            f"  arms          {_arms(self.arms)}" if self.arms else "",
            f"  events        {self.n_events:,} read, {rejected:,} rejected"
            + (f": {_counts(self.rejected)}" if rejected else ""),
            *(f"  read          {note}" for note in self.notes),
            f"  quarantine    {self.quarantine}" if self.quarantine else "",
            f"  dropped       {_counts(self.dropped)}" if self.dropped else "",
            f"  unusable      {_counts(self.unusable)}" if self.unusable else "",
            f"  catalogue     {_found(self.catalogue)}" if self.catalogue["items"] else "",
            f"  profiles      {_found(self.profiles)}" if self.profiles["users"] else "",
            f"  not read      {', '.join(self.not_read)}" if self.not_read else "",
            *(f"  warning       {warning}" for warning in self.warnings),
            f"  users         {self.n_users:,} with a list of their own"
            + (fallback if self.n_users_without else ""),
            f"  items         {self.n_items:,}",
            f"  interactions  {self.n_interactions:,}",
            f"  warm start    {self.learned_from}",
            f"  trust         {self.trust}",
            f"  gate          {_gate(self.gate)}",
            f"  estimate      by logs: {self.estimate}" if self.estimate else "",
            f"  seconds       {', '.join(f'{k} {v:.1f}' for k, v in self.seconds.items())}",
            f"  memory        {max(self.peak_mib.values()):,.0f} MiB at peak",
            f"  snapshot      {self.snapshot}, {self.n_bytes / 1e6:.1f} MB",
            f"  report        {self.report}" if self.report else "",
        ]
        return "\n".join(line for line in lines if line)


def summarise(
    outcome: RefreshOutcome, prepared: Prepared, settings: BatchSettings, stages: Stages
) -> Summary:
    """Return the summary of a refresh.

    Args:
        outcome: Result of the refresh.
        prepared: Inputs, interactions and rules that the snapshot was made of.
        settings: Settings of the batch, which name the inputs.
        stages: Timer of the stages.
    """
    manifest, inputs, interactions = outcome.manifest, prepared.inputs, prepared.interactions
    folder = snapshot_folder(outcome.store, manifest.generation)
    n_users = manifest.counts["recs.mdb/users"]
    n_candidates = outcome.extent.n_users + outcome.n_liked
    return Summary(
        snapshot=folder,
        generation=manifest.generation,
        is_current=outcome.is_current,
        arms=outcome.arms,
        n_bytes=sum(manifest.files.values()),
        n_events=sum(source.n_lines for source in inputs.events.sources),
        inputs=count_inputs(inputs, settings),
        notes=inputs.notes,
        rejected=dict(inputs.rejected.most_common()),
        quarantine=inputs.quarantine,
        dropped=dict(interactions.dropped.most_common()),
        unusable=inputs.unusable,
        catalogue=catalogue_counts(inputs.catalogue),
        profiles=profile_counts(inputs.profiles),
        not_read=inputs.not_read,
        n_users=n_users,
        n_users_without=interactions.n_users_without + n_candidates - n_users,
        n_items=len(interactions.item_ids),
        n_interactions=outcome.extent.n_interactions,
        learned_from=outcome.warm_start,
        trust=outcome.trust,
        gate=outcome.gate_result.as_json(),
        estimate=_estimate(outcome.store, manifest),
        warnings=(
            *record_warnings(inputs.catalogue, inputs.profiles),
            *prepared.rules.context.warnings,
            *vector_warnings(inputs, interactions, manifest.metrics),
            *_fresh_warnings(manifest),
        ),
        seconds=stages.seconds,
        cpu_seconds=stages.cpu_seconds,
        peak_mib=stages.peak_mib,
    )


def _fresh_warnings(manifest: Manifest) -> list[str]:
    """Return a warning if no fresh lists can be made from a snapshot, unless that is intended."""
    about = manifest.parameters[SERVED_MODEL]
    if UNAVAILABLE not in about or manifest.parameters["fold_in"] == "off":
        return []
    return [
        f"fresh lists: the speed layer can make none with this snapshot: {about[UNAVAILABLE]}; "
        'set [batch] fold_in = "on" to have them, "off" to do without'
    ]


def _estimate(store: Path, manifest: Manifest) -> str:
    """Return the command that estimates the click-through from the parent's logs, if it can."""
    if manifest.parent is None:
        return ""
    try:
        parent = read_manifest(snapshot_folder(store, manifest.parent))
    except StoreError:  # damaged, or removed as `[store] keep` says
        return ""
    if not parent.parameters.get("rules", {}).get("explore"):
        return ""
    of = f"--generation {manifest.generation} --logged {manifest.parent}"
    return f"python -m stream estimate {of} --store {store}"


def _arms(arms: dict[str, int]) -> str:
    return ", ".join(f"{name}: generation {generation}" for name, generation in arms.items())


def _gate(gate: dict[str, Any]) -> str:
    quality = [check for check in gate["checks"] if check["rule"].startswith("loss")]
    evaluated = [check for check in quality if check["figure"] is not None] or quality[:1]
    return "; ".join([gate["result"], *(check["note"] for check in evaluated)])


def _found(counts: dict[str, int]) -> str:
    """Return counts as text; zeros only where they are a sign of a file that was misread."""
    owners, *fields = (
        f"{n:,} {name.replace('_', ' ')}" for name, n in counts.items() if n or name in EXPECTED
    )
    return f"{owners}: {', '.join(fields)}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {reason}" for reason, n in counts.items())
