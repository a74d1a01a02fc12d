"""What a refresh did, for people and for programs."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batch.inputs import RefreshInputs
from batch.interactions.build import Interactions
from batch.stages import Stages
from store.layout import snapshot_folder
from store.manifest import Manifest


@dataclasses.dataclass(frozen=True, slots=True)
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
        warnings: A sentence each.
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
    warnings: Sequence[str]
    seconds: dict[str, float]
    peak_mib: dict[str, float]

    def as_json(self) -> str:
        """Return one JSON object."""
        return json.dumps(dataclasses.asdict(self), default=str)

    def as_text(self) -> str:
        """Return some lines for a terminal."""
        rejected = sum(self.rejected.values())
        done = "published" if self.is_current else "built (the store is pinned: not published)"
        without = f"; {self.n_users_without:,} others get the fallback"
        lines = [
            f"generation {self.generation} {done} in {sum(self.seconds.values()):.1f} s",
            f"  events        {self.n_events:,} read, {rejected:,} rejected"
            + (f": {_counts(self.rejected)}" if rejected else ""),
            f"  quarantine    {self.quarantine}" if self.quarantine else "",
            f"  dropped       {_counts(self.dropped)}" if self.dropped else "",
            f"  unusable      {_counts(self.unusable)}" if self.unusable else "",
            *(f"  warning       {warning}" for warning in self.warnings),
            f"  users         {self.n_users:,} with a list of their own"
            + (without if self.n_users_without else ""),
            f"  items         {self.n_items:,}",
            f"  interactions  {self.n_interactions:,}",
            f"  learned from  {self.learned_from}",
            f"  gate          {_gate(self.gate)}",
            f"  seconds       {', '.join(f'{k} {v:.1f}' for k, v in self.seconds.items())}",
            f"  memory        {max(self.peak_mib.values()):,.0f} MiB at most",
            f"  snapshot      {self.snapshot}, {self.n_bytes / 1e6:.1f} MB",
        ]
        return "\n".join(line for line in lines if line)


def summarise(
    store: Path,
    manifest: Manifest,
    given: RefreshInputs,
    interactions: Interactions,
    stages: Stages,
    *,
    n_liked: int,
    learned_from: str,
    warnings: Sequence[str],
    is_current: bool,
) -> Summary:
    """Gather what a refresh did.

    Args:
        store: Where the snapshot lies.
        manifest: Its.
        given: What it was made of.
        interactions: What was learned from.
        stages: Their times.
        n_liked: Users with a list of what they say they like.
        learned_from: As in `Summary`, and so the rest.
        warnings: Likewise.
        is_current: Likewise.
    """
    folder = snapshot_folder(store, manifest.generation)
    n_users = manifest.counts["recs.mdb/users"]
    n_seen_all = len(interactions.user_ids) + n_liked - n_users
    return Summary(
        snapshot=folder,
        generation=manifest.generation,
        is_current=is_current,
        n_bytes=sum(path.stat().st_size for path in folder.iterdir()),
        n_events=sum(source.n_lines for source in given.events.sources),
        rejected=dict(given.rejected.most_common()),
        quarantine=given.quarantine,
        dropped=dict(interactions.dropped.most_common()),
        unusable=given.unusable,
        n_users=n_users,
        n_users_without=interactions.n_users_without + n_seen_all,
        n_items=len(interactions.item_ids),
        n_interactions=interactions.weights.nnz,
        learned_from=learned_from,
        gate=manifest.gate.as_json(),
        warnings=warnings,
        seconds=stages.seconds,
        peak_mib=stages.peak_mib,
    )


def _gate(gate: dict[str, Any]) -> str:
    quality = [check for check in gate["checks"] if check["rule"].startswith("loss")]
    judged = [check for check in quality if check["figure"] is not None] or quality[:1]
    return "; ".join([gate["result"], *(check["note"] for check in judged)])


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {reason}" for reason, n in counts.items())
