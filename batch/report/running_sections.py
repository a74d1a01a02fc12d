"""Sections of the page on data, search, exposure, online figures, cost and provenance."""

import itertools
from collections.abc import Mapping
from typing import Any, Final

from batch.report.html import code, details, facts, figure, pair, paragraph, table
from batch.report.svg import bars, trends
from store.layout import is_model_file

_MIB: Final = 1 << 20
_MAX_BARS: Final = 8  # stages drawn
_MAX_ROWS: Final = 60  # inputs shown; the manifest has all


def data(document: Mapping[str, Any]) -> str:
    """Return rows, rejected ones, fields, and what was excluded."""
    found, past = document["data"], document["generations"]
    shown = facts([
        ("Events read", found["n_events"]), ("Interactions", found["n_interactions"]),
        ("Users with a list", found["n_users"]), ("Items", found["n_items"]),
        ("Users without a list", found["n_users_without"]), ("Data until", found["data_until"]),
    ])  # fmt: skip
    series = {
        name: [line[key] for line in past]
        for name, key in (("events", "n_events"), ("rejected", "n_rejected"), ("users", "n_users"))
    }
    svg = trends(series, "Rows over the generations", "generations")
    left_out = [
        (kind, reason, n)
        for kind in ("rejected", "dropped", "unusable")
        for reason, n in (found[kind] or {}).items()
    ]
    reasons = (
        table("Rows that were not used", ("Kind", "Reason", "Rows"), left_out)
        if left_out
        else paragraph("All rows were used.")
    )
    parts = [shown, pair(figure(svg, f"The last {len(past)} generations."), reasons)]
    if found["fields"]:
        head = ("Field", "Source", "Entries", "Share with it", "Share before")
        rows = [
            (one["field"].replace("_", " "), one["source"], one["n"], one["share"],
             one["share_before"])
            for one in found["fields"]
        ]  # fmt: skip
        parts.append(table("Fields, beside the report before", head, rows))
    parts.append("<h3>Excluded as attack</h3>")
    parts += [paragraph(found["trust"] or "Not recorded.")]
    if found["excluded"]:
        parts.append(
            facts((name[2:].replace("_", " "), n) for name, n in found["excluded"].items())
        )
    if found["warnings"]:
        parts += ["<h3>Warnings</h3>", *map(paragraph, found["warnings"])]
    return "".join(parts)


def search(document: Mapping[str, Any]) -> str:
    """Return the course of the search for a model, and all that was tried."""
    choice = document["quality"]["choice"]
    if not choice or not choice["tried"]:
        return paragraph("No search is recorded: the model is configured, or its choice is older.")
    tried = [one for one in choice["tried"] if one["ndcg"]]
    best = list(itertools.accumulate((one["ndcg"][0] for one in tried), max))
    seconds = list(itertools.accumulate(one["seconds"] for one in tried))
    svg = trends({"best NDCG@20": best, "seconds": seconds}, "Course of the search", "trials")
    rows = [
        (one["name"], *(one["ndcg"] or (None,) * 3), one["seconds"], one["why"])
        for one in choice["tried"]
    ]
    head = ("Tried", "NDCG@20", "Low", "High", "Seconds", "Trained on, or why left out")
    made = (
        f"The best so far, by trial. Made by generation {choice['tried_in']}, "
        f"on {choice['n_users']:,} users."
    )
    everything = table("All trials, in order, 95 % intervals", head, rows)
    return figure(svg, made) + details(f"All {len(rows)} trials", everything)


def exposure(document: Mapping[str, Any]) -> str:
    """Return how far the lists spread over the items, over the generations."""
    found, past = document["exposure"], document["generations"]
    names = {
        "coverage": "coverage", "Gini": "gini",
        "viewers, shown": "popularity_shown", "viewers, watched": "popularity_watched",
    }  # fmt: skip
    svg = trends(
        {name: [line[key] for line in past] for name, key in names.items()},
        "Coverage, Gini coefficient and popularity over the generations", "generations",
    )  # fmt: skip
    return pair(
        figure(svg, "Each on a scale of its own, from 0."),
        facts([
            ("Items in a list", found["n_items_shown"]), ("Items in all", found["n_items"]),
            ("Coverage", found["coverage"]), ("Gini coefficient", found["gini"]),
            ("Mean viewers of an item shown", found["popularity_shown"]),
            ("Mean viewers of an item watched", found["popularity_watched"]),
        ])
        + paragraph("Gini: 0 if all items are in equally many lists, near 1 if few items are.",
                    "quiet"),
    )  # fmt: skip


def online(document: Mapping[str, Any]) -> str:
    """Return what users did with the lists of the parent."""
    found = document["online"]
    if not found:
        return paragraph("No online figures of the generation before were recorded.")
    names = (("Click-through", "click_through"), ("Availability", "availability"))
    rows = [(name, *found[key]) for name, key in names]
    return facts([
        ("Generation", found["generation"]), ("Users", found["n_users"]),
        ("Requests", found["n_requests"]),
        ("Requests with a view from the list", found["n_clicks"]),
    ]) + table("Shares of the requests, 95 % intervals by user", ("Share", "Mean", "Low", "High"),
               rows)  # fmt: skip


def cost(document: Mapping[str, Any]) -> str:
    """Return seconds, memory and sizes, beside the report before."""
    found, past = document["cost"], document["generations"]
    before = past[-2] if len(past) > 1 else {}
    names = (("Seconds", "seconds"), ("Peak memory, MiB", "peak_mib"), ("Bytes", "n_bytes"))
    totals = [(name, found[key], before.get(key)) for name, key in names]
    stages, old_stages = found["stages"], found["stages_before"]
    longest = sorted(stages.items(), key=lambda stage: -stage[1])[:_MAX_BARS]
    svgs = [
        bars([(name, value, f"{value:.2f} s") for name, value in longest], "The longest stages"),
        bars(_sizes(found["files"]), "Sizes of the snapshot's files"),
    ]
    rows = [(name, value, old_stages.get(name)) for name, value in stages.items()]
    files = [(name, n, found["files_before"].get(name)) for name, n in found["files"].items()]
    return (
        table("Totals", ("Total", "This refresh", "Before"), totals)
        + pair(figure(svgs[0], "Seconds of the longest stages."), figure(svgs[1], "Files by size."))
        + details("All stages", table("Stages", ("Stage", "Seconds", "Before"), rows))
        + details("All files", table("Files", ("File", "Bytes", "Before"), files))
    )


def _sizes(files: Mapping[str, int]) -> list[tuple[str, float, str]]:
    """Return name, bytes and size in words by file; the arrays of the model are one."""
    sizes: dict[str, int] = {}
    for name, n_bytes in files.items():
        kind = "model arrays" if is_model_file(name) else name
        sizes[kind] = sizes.get(kind, 0) + n_bytes
    return [(name, n, f"{n / _MIB:.1f} MiB") for name, n in sizes.items()]


def provenance(document: Mapping[str, Any]) -> str:
    """Return origin, parameters, and the command that makes the snapshot again."""
    found = document["provenance"]
    inputs = [
        (one.get("name"), one.get("kind"), one.get("bytes"), one.get("sha256"))
        for one in found["inputs"][:_MAX_ROWS]
    ]
    caption = f"Inputs, {len(inputs)} of {len(found['inputs'])}"
    return (
        facts([
            ("Code", found["code_version"]), ("Model", found["model"]),
            ("Second stage", found["second_stage"]), ("Parent", document["parent"]),
            ("Began", found["began_at"]), ("Finished", found["finished_at"]),
            ("Arm of an experiment", found["arm"]),
        ])
        + paragraph("Made again, with the same marquee.toml and files, by")
        + code(found["command"])
        + details(caption, table(caption, ("Name", "Kind", "Bytes", "SHA-256"), inputs))
        + details("Parameters", table("Parameters", ("Name", "Value"),
                                      sorted(found["parameters"].items())))
    )  # fmt: skip
