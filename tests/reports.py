"""Small reports for tests: two generations of known lists, with titles full of markup.

report_of(store)    -> var/store/snapshots/000002/report.html, and its twin beside it
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from batch.report.make import make_report
from batch.report.settings import ReportSettings
from store.gate_result import GateCheck, GateResult
from tests.snapshots import make_snapshot

MARKUP = "<script>alert('x')</script> & \"quoted\" <b>"
BEFORE = {"ann": ["a", "b", "c"], "bob": ["a", "b", "c"], "cid": ["c", "d", "a"]}
NOW = {"ann": ["a", "b", "d"], "bob": ["c", "b", "a"], "dan": ["a"]}
LAST_DAY: dict[str, Any] = {
    "n_users": 900,
    "ndcg": {"new": [0.2, 0.18, 0.22], "popular": [0.1, 0.09, 0.11], "served": [0.19, 0.17, 0.21]},
    "change": {"popular": [0.1, 0.08, 0.12], "served": [0.01, 0.002, 0.02]},
    "missing": {},
    "groups": [
        {"group": "gender F", "n_users": 50, "ndcg": [0.1, 0.08, 0.12]},
        {"group": MARKUP, "n_users": 400, "ndcg": [0.3, 0.27, 0.33]},
        {"group": "age 65+", "n_users": 49, "ndcg": [0.31, 0.2, 0.4]},
    ],
}
LEARNING_CURVE: dict[str, Any] = {
    "n_users": 700,
    "models": {"ials": [[1, 0.11111], [2, 0.18765], [3, 0.21234], [4, 0.20987]]},
}
COSTS = {  # an earlier version measured nothing, or not the disk
    "ials (factors 64)": {"train_seconds": 1.25, "ms_per_list": 0.0625,
                          "memory_bytes": 7_654_321, "disk_bytes": 4_321_128},
    "popularity": {"train_seconds": 0.1, "ms_per_list": 0.01, "memory_bytes": 8_000},
}  # fmt: skip
CHOICE = {
    "parts": [{"model": "ials", "parameters": {}, "share": 1.0}],
    "ndcg": 0.2, "n_users": 700, "n_interactions": 9000, "made_at": 1767571174,
    "tried": [
        {"name": name, "ndcg": [mean, mean - 0.01, mean + 0.01], "gain": None, "seconds": 0.5,
         "why": "on 9,000 interactions",
         "cost": COSTS.get(name)}
        for name, mean in (("popularity", 0.1), ("ials (factors 64)", 0.2), ("ease", 0.19),
                           ("0.5 × ials + 1 × ease", 0.21))
    ],
}  # fmt: skip
PASSED_GATE = GateResult([GateCheck("users", 1.0, 0.9, is_ok=True, note=MARKUP)])


def report_of(
    store: Path,
    *,
    gate: GateResult = PASSED_GATE,
    last_day: Mapping[str, Any] = LAST_DAY,
    warnings: Sequence[str] = (),
    learning_curve: Mapping[str, Any] | None = LEARNING_CURVE,
) -> Path:
    """Make two generations and the reports of both, and return the page of the second.

    Args:
        store: Directory of the store.
        gate: Result of the gate of the second generation.
        last_day: Quality of the second generation; empty if not evaluated.
        warnings: Warnings of its refresh.
        learning_curve: Learning curve of the second generation; None as in older manifests.
    """
    about = {item: {"title": f"{item} {MARKUP}", "year": 1999} for item in "abcd"}
    settings = ReportSettings(str(store / "online"))
    curve = {} if learning_curve is None else {"learning_curve": dict(learning_curve)}
    for lists in (BEFORE, NOW):
        is_second = lists is NOW
        generation = make_snapshot(
            store, lists, ["a"], about=about, flip=not is_second,
            gate=gate if is_second else PASSED_GATE, parameters={"choice": CHOICE},
            metrics={"last_day": dict(last_day), **curve} if is_second else {},
        )  # fmt: skip
        page = make_report(store, generation, settings, recorded(generation, warnings))
    return page


def recorded(generation: int, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """Return what the summary of a refresh records."""
    return {
        "is_current": True, "n_events": 1000 * generation, "n_interactions": 500,
        "n_users_without": 2, "rejected": {f"malformed {MARKUP}": 7}, "dropped": {"too old": 3},
        "unusable": {}, "learned_from": f"generation {generation - 1}",
        "warnings": list(warnings), "trust": "no account is suspected",
        "catalogue": {"items": 4, "titles": 4, "years": generation},
        "profiles": {"users": 0}, "seconds": {"events": 1.5, "train": 2.25},
        "peak_mib": {"events": 100.0, "train": 250.5},
    }  # fmt: skip
