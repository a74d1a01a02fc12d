"""`status`: the replicas of a remote, by their reports: what each serves, and who is behind."""

import argparse
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from store.commands.output import add_json, age, remark, report, say, table
from store.config import load_section
from store.journal import flips
from store.parse import parse_time
from store.pull import generation_at
from store.remote import CURRENT, JOURNAL, MAX_BYTES, Remote
from store.replica_settings import ReplicaSettings
from store.replica_status import ReplicaStatus, read_statuses, remove_status
from store.temporary import temporary_folder

_EXAMPLE: Final = """example:
  python -m store status s3://bucket/marquee
  python -m store status s3://bucket/marquee --metrics > replicas.pending
  mv replicas.pending /var/lib/prometheus/node-exporter/replicas.prom

Exit status: 0 all replicas serve the current generation, 1 one is behind or has a problem."""
_HEAD: Final = ("replica", "serves", "in place", "lag", "last report", "state")
_METRICS: Final = {  # of each replica: name behind `marquee_replica_`, key of the entry, help
    "generation": ("generation", "Generation that the replica serves, 0 for none."),
    "ready_generation": ("ready", "Newest generation in place at the replica, 0 for none."),
    "lag_seconds": ("lag_seconds", "Time since the current generation was published, 0 if served."),
    "report_age_seconds": ("report_age_seconds", "Age of the last report."),
    "problem": ("problem", "Whether the last pull of the replica failed."),
}


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    about = "Show the replicas that pull from a URL: generation, lag and last report of each."
    raw = argparse.RawDescriptionHelpFormatter
    verb = verbs.add_parser(
        "status", help=about, description=about, epilog=_EXAMPLE, formatter_class=raw
    )
    verb.add_argument("url", metavar="URL", help="what they pull from")
    metrics_help = "print metrics in the text format of Prometheus"
    verb.add_argument("--metrics", action="store_true", help=metrics_help)
    remove_help = "remove the report of a replica that no longer exists"
    verb.add_argument("--remove", metavar="REPLICA", help=remove_help)
    add_json(verb)
    verb.set_defaults(run=_status)


def _status(_: Path, options: argparse.Namespace) -> int:
    settings = load_section("replica", ReplicaSettings, options.config)
    remote = Remote(options.url)
    if options.remove is not None:
        remove_status(remote, options.remove)
    generation, published_at = _published(remote)
    now = time.time()
    entries = [
        {"replica": name, **_entry(status, generation, published_at, now)}
        for name, status in read_statuses(remote, settings.barrier).items()
    ]
    for entry in entries:
        entry["state"] = _state(entry, generation, settings.max_wait_seconds)
    if options.metrics:
        for line in _metric_lines(generation, entries):
            say(line)
    else:
        whole = {"current": generation, "published_at": published_at, "replicas": entries}
        report(options, whole, _lines(generation, entries, published_at, now))
        if not entries:
            remark("no replica has reported; set `[replica] name` where you pull")
    return 0 if all(entry["state"] == "ok" for entry in entries) else 1


def _published(remote: Remote) -> tuple[int, float | None]:
    """Return the generation that is current at the remote, and the time since which it is."""
    generation = generation_at(remote, remote.read(CURRENT, MAX_BYTES[CURRENT]))
    with temporary_folder() as folder:
        if (text := remote.read(JOURNAL, MAX_BYTES[JOURNAL])) is not None:
            (folder / JOURNAL).write_bytes(text)
        done = [line for line in flips(folder) if line.generation == generation]
    return generation, parse_time(done[-1].at).timestamp() if done else None


def _entry(
    status: ReplicaStatus | None, generation: int, published_at: float | None, now: float
) -> dict[str, Any]:
    lag = max(now - published_at, 0.0) if published_at is not None else None
    if status is None:
        status = ReplicaStatus(0.0, None)
    return {
        "generation": status.current,
        "ready": status.ready,
        "lag_seconds": 0.0 if status.current == generation else lag,
        "report_age_seconds": max(now - status.seen_at, 0.0) if status.seen_at else None,
        "is_pinned": status.is_pinned,
        "problem": status.problem,
    }


def _state(entry: dict[str, Any], generation: int, max_wait_seconds: float) -> str:
    """Describe a replica in words; `ok` if it serves the current generation and reports."""
    if entry["problem"]:
        return str(entry["problem"])
    if (report_age := entry["report_age_seconds"]) is None:
        return "never reported"
    if report_age > max_wait_seconds:
        return "no reports"
    if entry["generation"] != generation:
        return "pinned" if entry["is_pinned"] else "behind"
    return "ok"


def _lines(
    generation: int, entries: list[dict[str, Any]], published_at: float | None, now: float
) -> Iterable[str]:
    since = "" if published_at is None else f", published {age(now - published_at)} ago"
    yield f"generation {generation} is current{since}; replicas: {len(entries)}"
    rows = [
        (
            entry["replica"],
            _or_none(entry["generation"]),
            _or_none(entry["ready"]),
            "-" if entry["lag_seconds"] is None else age(entry["lag_seconds"]),
            "-" if entry["report_age_seconds"] is None else age(entry["report_age_seconds"]),
            entry["state"],
        )
        for entry in entries
    ]
    if rows:
        yield from table(_HEAD, rows)


def _or_none(number: int | None) -> str:
    return "-" if number is None else str(number)


def _metric_lines(generation: int, entries: list[dict[str, Any]]) -> Iterable[str]:
    yield "# HELP marquee_published_generation Generation that is current at the remote."
    yield "# TYPE marquee_published_generation gauge"
    yield f"marquee_published_generation {generation}"
    for metric, (key, about) in _METRICS.items():
        yield f"# HELP marquee_replica_{metric} {about}"
        yield f"# TYPE marquee_replica_{metric} gauge"
        for entry in entries:
            value = bool(entry[key]) if key == "problem" else entry[key]
            if value is None and not key.endswith("_seconds"):
                value = 0  # no generation
            if value is not None:
                label = f'{{replica="{entry["replica"]}"}}'
                yield f"marquee_replica_{metric}{label} {value + 0:.12g}"
