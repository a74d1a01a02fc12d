"""The content of `report.json`: everything that the page shows, in the page's order."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from batch.parent import CHOICE, LAST_DAY, LEARNING_CURVE, SECOND_STAGE
from batch.report.changes import changes_and_exposure
from batch.report.lists import ListComparison
from batch.report.model_card import model_card
from batch.report.online import online_figures
from batch.report.past import earlier_report, line_of, lines_with
from batch.report.settings import ReportSettings
from batch.report.verdict import verdict
from store.manifest import Manifest
from store.snapshot import Snapshot

FORMAT_VERSION: Final = 1
MIN_GROUP_USERS: Final = 50  # groups of fewer evaluated users are not shown


def document(
    store: Path,
    new: Snapshot,
    parent: Snapshot | None,
    lists: ListComparison,
    recorded: Mapping[str, Any] | None,
    settings: ReportSettings,
) -> dict[str, Any]:
    """Return the content of the report of a generation.

    Args:
        store: Directory of the store.
        new: Snapshot of the generation.
        parent: Snapshot of its parent; None if there is none, or it was pruned.
        lists: Lists of both.
        recorded: Summary of the refresh; None if it was not recorded.
        settings: Settings of the report.
    """
    manifest = new.manifest
    changes, exposure = changes_and_exposure(new, parent, lists)
    earlier = earlier_report(store, manifest.generation)
    last_day = manifest.metrics.get(LAST_DAY) or {}
    before = manifest.parent
    found: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "generation": manifest.generation,
        "parent": before,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "verdict": verdict(manifest.generation, manifest.gate, recorded, last_day),
        "gate": manifest.gate.as_json(),
        "quality": {LAST_DAY: _without_groups(last_day), "choice": _choice(manifest, earlier)},
        "changes": changes,
        "data": _data(manifest, recorded, earlier),
        "learning_curve": manifest.metrics.get(LEARNING_CURVE),
        "groups": _groups(last_day),
        "exposure": exposure,
        "online": online_figures(Path(settings.online), before) if before else None,
        "cost": _cost(manifest, recorded, earlier),
        "provenance": _provenance(store, manifest),
        "refresh": dict(recorded) if recorded else None,
    }
    found["generations"] = lines_with(earlier, line_of(found))
    found["model_card"] = model_card(found)
    return found


def _choice(manifest: Manifest, earlier: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the choice of the model with what was tried; None if none was made.

    A choice that was kept from an earlier refresh was tried there.
    """
    found = manifest.parameters.get(CHOICE)
    if not found:
        return None
    before = (earlier or {"quality": {}})["quality"].get("choice")
    is_kept = not found["tried"] and before and before["made_at"] == found["made_at"]
    tried = before["tried"] if before and is_kept else found["tried"]
    tried_in = before["tried_in"] if before and is_kept else manifest.generation
    names = ("ndcg", "n_users", "n_interactions", "made_at")
    return {name: found[name] for name in names} | {"tried": tried, "tried_in": tried_in}


def _without_groups(last_day: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in last_day.items() if name != "groups"}


def _groups(last_day: Mapping[str, Any]) -> dict[str, Any]:
    """Return the quality by group, and how many groups are too small to be shown."""
    groups = last_day.get("groups", [])
    shown = [group for group in groups if group["n_users"] >= MIN_GROUP_USERS]
    return {
        "min_users": MIN_GROUP_USERS,
        "shown": shown,
        "n_suppressed": len(groups) - len(shown),
    }


def _data(
    manifest: Manifest, recorded: Mapping[str, Any] | None, earlier: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return rows, rejected ones, fields beside those of the earlier report, and exclusions."""
    trust = manifest.parameters.get("trust", {})
    facts = recorded or {}
    names = ("n_events", "n_interactions", "n_users_without", "rejected", "dropped", "unusable")
    return {
        "n_users": manifest.counts["recs.mdb/users"],
        "n_items": manifest.counts["recs.mdb/rows"],
        **{name: facts.get(name) for name in names},
        "data_until": manifest.metrics.get("data_until"),
        "fields": _fields(facts, (earlier or {}).get("refresh") or {}),
        "trust": facts.get("trust"),
        "excluded": {
            name: value for name, value in trust.items() if name.startswith("n_") and value
        },
        "warnings": facts.get("warnings", []),
    }


def _fields(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the share of items and of users with each field, now and in the earlier report."""
    fields = []
    for source, owners in (("catalogue", "items"), ("profiles", "users")):
        counts, old = now.get(source) or {}, before.get(source) or {}
        for name, n in counts.items():
            if name == owners or not counts.get(owners):
                continue
            share = n / counts[owners] if n <= counts[owners] else None
            old_share = old[name] / old[owners] if old.get(owners) and name in old else None
            fields.append({
                "source": source, "field": name, "n": n,
                "share": None if share is None else round(share, 4),
                "share_before": None if share is None or old_share is None
                else round(old_share, 4),
            })  # fmt: skip
    return fields


def _cost(
    manifest: Manifest, recorded: Mapping[str, Any] | None, earlier: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return seconds, memory and sizes, and the stages and files of the earlier report."""
    facts = recorded or {}
    seconds, peaks = facts.get("seconds"), facts.get("peak_mib")
    return {
        "seconds": round(sum(seconds.values()), 2) if seconds else None,
        "peak_mib": round(max(peaks.values()), 1) if peaks else None,
        "n_bytes": sum(manifest.files.values()),
        "stages": {name: round(value, 3) for name, value in (seconds or {}).items()},
        "stages_before": ((earlier or {}).get("cost") or {}).get("stages", {}),
        "files": manifest.files,
        "files_before": ((earlier or {}).get("cost") or {}).get("files", {}),
    }


def _provenance(store: Path, manifest: Manifest) -> dict[str, Any]:
    """Return origin and parameters, and the commands that make snapshot and report again."""
    scalars = {
        name: value
        for name, value in manifest.parameters.items()
        if isinstance(value, str | int | float | bool)
    }
    return {
        "code_version": manifest.code_version,
        "began_at": manifest.began_at,
        "finished_at": manifest.finished_at,
        "arm": manifest.arm,
        "inputs": manifest.inputs,
        "model": _model(manifest),
        "second_stage": manifest.metrics.get(SECOND_STAGE),
        "parameters": scalars,
        "command": _command(store, manifest),
        "report_command": f"python -m batch report {manifest.generation} --store {store}",
    }


def _model(manifest: Manifest) -> str:
    parts = (manifest.parameters.get(CHOICE) or {}).get("parts", [])
    shown = [f"{part['share']:g} × {part['model']}" for part in parts if part["share"]]
    return " + ".join(shown) or str(manifest.parameters.get("model", "unknown"))


def _command(store: Path, manifest: Manifest) -> str:
    """Return the command of the refresh; settings are those of `marquee.toml`."""
    words = ["python -m batch refresh"]
    for name in ("events", "catalogue", "profiles"):
        if paths := manifest.parameters.get(name):
            words.append(f"--{name} {' '.join(map(str, paths))}")
    return " ".join([*words, f"--store {store}"])
