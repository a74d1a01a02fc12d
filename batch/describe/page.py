"""The page about data: `describe.json` as one self-contained HTML file, without a script."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from batch.report.frame import frame
from batch.report.html import code, details, facts, figure, pair, paragraph, table, text
from batch.report.svg import Dot, bars, curve, dot_whisker, histogram, trends

_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_UNITS: Final = (("days", 86_400), ("hours", 3600), ("minutes", 60))
_TYPICAL: Final = 5  # interactions from which on a list is usually personal


def page(found: Mapping[str, Any]) -> str:
    """Return the page about data.

    Args:
        found: Content of `describe.json`.
    """
    sections = {name: make(found) for name, make in _SECTIONS.items()}
    introduction = f'<p class="verdict">{text(summary(found))}</p>'
    footer = paragraph(f"Made at {found['made_at']} from describe.json by", "quiet")
    return frame("Data before training", introduction, sections, footer + code(found["command"]))


def summary(found: Mapping[str, Any]) -> str:
    """Return the data in two sentences."""
    data, hopes = found["data"], found["outlook"]
    enough = next(one for one in hopes["enough"] if one["min_interactions"] == _TYPICAL)
    said = (
        f"{data['n_interactions']:,} interactions of {data['n_users']:,} users with "
        f"{data['n_items']:,} items; {enough['share_of_users']:.1%} of the users have "
        f"{_TYPICAL} or more."
    )
    hits = hopes["hit_rate"]
    if not hits:
        return f"{said} No user has two items, so no list can be evaluated."
    return (
        f"{said} The {hits['k']} most popular items hold the last item of "
        f"{hits['popularity'][0]:.1%} of the users: a model has to find more."
    )


def _outlook(found: Mapping[str, Any]) -> str:
    enough, hits = found["outlook"]["enough"], found["outlook"]["hit_rate"]
    rows = [
        (f"{one['min_interactions']} or more", one["share_of_users"],
         f"{one['share_of_users']:.1%}") for one in enough
    ]  # fmt: skip
    drawn = bars(rows, "Users with enough history", whole=1)
    history = figure(drawn, "Share of users, by number of interactions.")
    if not hits:
        return history
    dots = [
        Dot("most popular", *hits["popularity"]),
        Dot("upper bound", *(hits["upper_bound"],) * 3),
        Dot("random", *(hits["random"],) * 3),
    ]
    what = "last item" if hits["is_last_by_time"] else "random item, for times are unknown,"
    caption = (
        f"Hit rate: share of {hits['n_users']:,} users whose {what} is one of {hits['k']} items; "
        "95 % interval."
    )
    explained = (
        "Upper bound: items that another user has, too; what only one user has cannot be learned "
        "from events."
    )
    return pair(
        history,
        figure(dot_whisker(dots, "Hit rate before training"), caption)
        + paragraph(explained, "quiet"),
    )


def _read(found: Mapping[str, Any]) -> str:
    data = found["data"]
    rows = [
        (one["use"], one["name"], one["n_files"], one["n_rows"], one["n_rejected"])
        for one in data["inputs"]
    ]
    left_out = [
        (kind, reason, n) for kind in ("rejected", "dropped") for reason, n in data[kind].items()
    ]
    reasons = (
        table("Rows that are not used", ("Kind", "Reason", "Rows"), left_out)
        if left_out
        else paragraph("All rows are used.")
    )
    return (
        facts([
            ("Lines of events", data["n_lines"]), ("Interactions", data["n_interactions"]),
            ("Users", data["n_users"]), ("Items", data["n_items"]),
            ("Density", f"{data['density']:.3%}"), ("Users left out", data["n_users_without"]),
        ])
        + table("Inputs", ("Use", "Input", "Files", "Rows", "Rejected"), rows)
        + reasons
        + "".join(paragraph(note, "quiet") for note in data["notes"])
    )  # fmt: skip


def _users(found: Mapping[str, Any]) -> str:
    users = found["users"]
    return pair(
        figure(_bars(users["bins"], "Users by interactions"), "Users by number of interactions."),
        facts([
            ("Mean", users["mean"]), ("Median", users["median"]),
            ("90 % have at most", users["p90"]), ("Most", users["max"]),
            ("With one only", users["n_with_one"]),
        ]),
    )  # fmt: skip


def _items(found: Mapping[str, Any]) -> str:
    items = found["items"]
    shown = [
        ("Mean users", items["mean"]), ("Median users", items["median"]), ("Most", items["max"]),
        (f"Fewer than {items['rare_below']} users", items["n_rare"]),
        ("Gini coefficient", items["gini"]),
    ]  # fmt: skip
    if items["n_in_catalogue"]:
        shown += [
            ("In the catalogue", items["n_in_catalogue"]),
            ("Of these without a user", items["n_never_watched"]),
        ]
    names = ("items, most watched first", "interactions")
    top = [(one["title"], one["n_users"]) for one in items["top"]]
    drawn = pair(
        figure(
            curve(items["curve"], "Popularity curve", names),
            "The further above the straight line, the more a few items are watched.",
        ),
        figure(_bars(items["bins"], "Items by users"), "Items by number of users."),
    )
    return drawn + facts(shown) + table("The most watched items", ("Item", "Users"), top)


def _times(found: Mapping[str, Any]) -> str:
    times = found["times"]
    if not times:
        return paragraph("No event has a time: splits by time are not possible.")
    days = list(zip(_WEEKDAYS, times["weekdays"], strict=True))
    rows = [(name, float(n), f"{n:,}") for name, n in days]
    course = trends({"interactions": times["periods"]}, "Interactions over time", "periods")
    return (
        facts([
            ("First", _minute(times["first_at"])), ("Last", _minute(times["last_at"])),
            ("Interactions of unknown time", times["n_unknown"]),
        ])
        + figure(course, f"Interactions begun, in periods of {_duration(times['period_seconds'])}.")
        + pair(
            figure(histogram(times["hours"], "Hours of day"),
                   "Interactions begun, by hour of day from 0 to 23, by the clock of the events."),
            figure(bars(rows, "Days of the week"), "Interactions begun, by day of the week."),
        )
    )  # fmt: skip


def _watched(found: Mapping[str, Any]) -> str:
    views, ratings = found["views"], found["ratings"]
    parts = []
    if views:
        minutes = "Furthest minutes of views."
        shares = "Interactions by per cent of the item watched."
        parts += [
            figure(_bars(views["minutes"], "Minutes watched"), minutes),
            figure(_bars(views["share_watched"], "Per cent watched"), shares),
        ]
    else:
        parts.append(paragraph("No view has a minute: each counts as watched to the end."))
    if ratings:
        mean = f"{ratings['n']:,} latest ratings, {ratings['mean']:.2f} on average."
        parts.append(figure(_bars(ratings["bins"], "Ratings"), mean))
    else:
        parts.append(paragraph("No ratings: predicted ratings have nothing to learn from."))
    return pair(*parts)


def _groups(found: Mapping[str, Any]) -> str:
    groups = found["groups"]
    note = (
        f"{groups['n_with_profile']:,} users with interactions have a profile. Groups of fewer "
        f"than {groups['min_users']} users are not shown: {groups['n_suppressed']} of them."
    )
    rows = [(one["group"], one["n_users"], one["mean"]) for one in groups["shown"]]
    drawn = [(name, float(n), f"{n:,}") for name, n, _ in rows]
    head = ("Group", "Users", "Mean interactions")
    shown = pair(
        figure(bars(drawn, "Users by group"), "Users by group."),
        details("Interactions by group", table("Groups of users", head, rows)),
    )
    return (shown if rows else "") + paragraph(note, "quiet")


def _minute(at: str) -> str:
    return at[:16].replace("T", " ")


def _duration(seconds: float) -> str:
    """Return a duration in the largest unit of which there is one."""
    unit, n_seconds = next((one for one in _UNITS if seconds >= one[1]), ("seconds", 1))
    return f"{seconds / n_seconds:.3g} {unit}"


def _bars(bins: Sequence[Mapping[str, Any]], title: str) -> str:
    return bars([(one["label"], float(one["n"]), f"{one['n']:,}") for one in bins], title)


_SECTIONS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "What to hope for": _outlook,
    "What was read": _read,
    "Users": _users,
    "Items": _items,
    "Times": _times,
    "Views and ratings": _watched,
    "Groups": _groups,
}
