"""Sections of the page on the lists: gate, quality, what changed, and groups."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from batch.report.html import details, facts, figure, pair, paragraph, table, text
from batch.report.svg import Dot, dot_whisker, histogram
from store.group_quality import is_worse, worse_groups

_NAMES: Final = {"new": "this generation", "served": "served before", "popular": "popular"}
_MAX_MODELS: Final = 6
_NDCG: Final = (
    "NDCG@20 says how well a list of 20 ranks what its user watched on the last day, which was "
    "not trained on: 1 is perfect, 0 found nothing."
)
_ACTIVITY: Final = (
    "A group “activity 5–19” has the users with 5 to 19 interactions before the last day. A user "
    "is in one group of activity, and in one of age and of gender where their profile has these."
)


def gate(document: Mapping[str, Any]) -> str:
    """Return the gate's checks."""
    checks = document["gate"].get("checks", [])
    if not checks:
        return paragraph("No checks were recorded.")
    rows = [
        (one["rule"], _result(one), one["figure"], one["threshold"], one["note"]) for one in checks
    ]
    head = ("Check", "Result", "Figure", "Limit", "In words")
    return table(f"Result of the gate: {document['gate']['result']}", head, rows)


def _result(check: Mapping[str, Any]) -> str:
    """Return the result of a check; without a figure it neither passed nor failed."""
    if not check["is_ok"]:
        return "✗ refused"
    return "not evaluated" if check["figure"] is None else "✓ ok"


def quality(document: Mapping[str, Any]) -> str:
    """Return the lists on the last day beside others, and the models beside each other."""
    last_day, choice = document["quality"]["last_day"], document["quality"]["choice"]
    parts = []
    if last_day:
        dots = [Dot(_NAMES[name], *found) for name, found in _ordered(last_day["ndcg"])]
        caption = f"NDCG@20 of {last_day['n_users']:,} users on the last day, 95 % intervals."
        parts.append(figure(dot_whisker(dots, "Quality on the last day"), caption))
        parts.append(paragraph(_NDCG, "quiet"))
        changed = [
            (f"against {_NAMES[name]}", "yes" if found[1] > 0 or found[2] < 0 else "n.s.", *found)
            for name, found in _ordered(last_day["change"])
        ]
        change = ("Change in NDCG@20", "Significant", "Mean", "Low", "High")
        parts.append(table("Paired by user, 95 % intervals", change, changed))
        parts += [
            paragraph(f"Not compared with {_NAMES[name]}: {why}.", "quiet")
            for name, why in last_day["missing"].items()
        ]
    else:
        parts.append(paragraph("The lists could not be evaluated on the last day."))
    models = _best_of_each_model(choice["tried"] if choice else [])
    if not models:
        return "".join(parts)
    caption = (
        "Best of each model on the validation set, which may be of other size than the above; "
    )
    caption += "95 % intervals."
    dots = [Dot(_model(one), *one["ndcg"]) for one in models]
    rows = [(one["name"], *one["ndcg"], *_cost(one), one["why"]) for one in models]
    head = ("Model", "NDCG@20", "Low", "High", "Training, s", "A list, ms", "Memory, MB",
            "Disk, MB", "Trained on, or compared with")  # fmt: skip
    return pair("".join(parts), figure(dot_whisker(dots, "Models"), caption)) + table(
        "Models side by side: accuracy, 95 % intervals, cost of training, inference, memory, disk",
        head,
        rows,
    )


def changes(document: Mapping[str, Any]) -> str:
    """Return how far the lists differ from those before."""
    found = document["changes"]
    if found is None:
        return paragraph("There is no parent in the store to compare with.")
    caption = "Users by the number of items, of 20, that their new and their old list share."
    shown = pair(
        figure(histogram(found["overlap"], "Overlap of new and old lists"), caption),
        facts([
            ("Users compared", found["n_compared"]),
            ("Mean overlap@20", found["mean_overlap"]),
            ("Users with a first list", found["n_new_users"]),
            ("Users without a list now", found["n_users_gone"]),
        ]),
    )  # fmt: skip
    head = ("Item", "Lists before", "Lists now")
    moved = pair(*(
        table(f"Items that {verb} most lists", head,
              [(one["title"], one["before"], one["after"]) for one in found[verb]])
        for verb in ("entered", "left")
    ))  # fmt: skip
    users = "".join(map(_user, found["users"]))
    return shown + moved + (f"<h3>Some users before and after</h3>{users}" if users else "")


def groups(document: Mapping[str, Any]) -> str:
    """Return the quality by group of users."""
    found = document["groups"]
    shown = found["shown"]
    note = f"Groups of fewer than {found['min_users']} evaluated users are not shown"
    n_small = found["n_suppressed"]
    note += f": {n_small} of them; the server's page “Generations” names them." if n_small else "."
    if not shown:
        return paragraph("No group could be evaluated.") + paragraph(note, "quiet")
    overall = document["quality"]["last_day"]["ndcg"]["new"]
    dots = [Dot("all users", *overall), *(Dot(one["group"], *one["ndcg"]) for one in shown)]
    caption = "NDCG@20 on the last day by group, 95 % intervals."
    rows = [
        (one["group"], _beside(one["ndcg"], overall), *one["ndcg"], one["n_users"]) for one in shown
    ]
    head = ("Group", "Interval beside all users", "NDCG@20", "Low", "High", "Users")
    worse = worse_groups(shown, overall)
    said = (
        f"Served worse than all users: {', '.join(worse)}."
        if worse
        else "No group that is shown is served significantly worse than all users."
    )
    return (
        paragraph(said)
        + pair(figure(dot_whisker(dots, "Quality by group"), caption),
             table("Quality by group of users, 95 % intervals", head, rows))
        + paragraph(_ACTIVITY, "quiet")
        + paragraph(note, "quiet")
    )  # fmt: skip


def _ordered(by_lists: Mapping[str, Sequence[float]]) -> list[tuple[str, Sequence[float]]]:
    return [(name, by_lists[name]) for name in _NAMES if name in by_lists]


def _beside(group: Sequence[float], overall: Sequence[float]) -> str:
    """Return where a group's interval lies; intervals that overlap prove no difference."""
    if is_worse(group, overall):
        return "below: served worse"
    return "above" if group[1] > overall[2] else "overlaps"


def _user(one: Mapping[str, Any]) -> str:
    before, after = ({item["item_id"] for item in one[side]} for side in ("before", "after"))
    columns = [
        _titles("History, some of it", one["history"], set(), ""),
        _titles("Before", one["before"], after, "left"),
        _titles("After", one["after"], before, "new"),
    ]
    n_same = len(before & after)
    return details(
        f"User {one['user_id']}: {n_same} of {len(after)} items as before", pair(*columns)
    )


def _titles(name: str, items: Sequence[Mapping[str, str]], other: set[str], word: str) -> str:
    entries = "".join(
        f"<li>{text(item['title'])}"
        f"{f' <em>({word})</em>' if word and item['item_id'] not in other else ''}</li>"
        for item in items
    )
    return f"<strong>{text(name)}</strong>" + (
        f"<ol>{entries}</ol>" if entries else paragraph(None)
    )


def _best_of_each_model(tried: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the best try of each model and of blends, the best first."""
    best: dict[str, Mapping[str, Any]] = {}
    for one in tried:
        name = _model(one)
        if one["ndcg"] and (name not in best or one["ndcg"][0] > best[name]["ndcg"][0]):
            best[name] = one
    return sorted(best.values(), key=lambda one: -float(one["ndcg"][0]))[:_MAX_MODELS]


def _cost(one: Mapping[str, Any]) -> tuple[float | None, ...]:
    """Return seconds of training, milliseconds of a list, megabytes of memory and of disk.

    Blends have no costs, choices of earlier versions lack some.
    """
    cost = one.get("cost") or {}
    sizes = (cost.get("memory_bytes"), cost.get("disk_bytes"))
    return (
        cost.get("train_seconds"),
        cost.get("ms_per_list"),
        *(None if n_bytes is None else round(n_bytes / 1e6, 3) for n_bytes in sizes),
    )


def _model(one: Mapping[str, Any]) -> str:
    name = str(one["name"])
    return "blend" if " × " in name or " + " in name else name.partition(" (")[0]
