"""The commands of the batch: `python -m batch inspect|ingest|refresh|trust|report|evaluate …`."""

import argparse
import dataclasses
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batch.columns.roles import parse_columns
from batch.errors import BatchError, GateRefusedError, InputError, UnreadKindError
from batch.evaluation.command import add_verbs
from batch.events.command import add_forget, add_ingest
from batch.fetch.command import add_fetch
from batch.fetch.settings import FetchSettings
from batch.gate.settings import GateSettings
from batch.inspection.command import add_inspect, show_unread
from batch.options import RefreshOptions
from batch.refresh import refresh
from batch.report.command import add_report
from batch.report.settings import ReportSettings
from batch.rules.settings import RuleSettings
from batch.settings import ENGINES, BatchSettings
from batch.tracking.around import tracked
from batch.tracking.command import add_track
from batch.tracking.settings import TrackingSettings
from batch.trust.command import add_trust
from batch.trust.settings import TrustSettings
from batch.tuning.command import add_tune
from batch.tuning.tuned import load_settings
from store.arm_name import ARM_NAME_RULE, is_arm_name
from store.config import StoreSettings, load_section
from store.durable import keep_from_others
from store.errors import StoreError
from store.gate_result import EXIT_REFUSED
from store.settings_table import add_config, print_config

SECTIONS = {
    "batch": BatchSettings,
    "gate": GateSettings,
    "rules": RuleSettings,
    "trust": TrustSettings,
    "report": ReportSettings,
    "fetch": FetchSettings,
    "tracking": TrackingSettings,
}

_EXAMPLE = """example:
  python -m batch refresh --events events.log --catalogue movies.jsonl --profiles users.csv

Options override marquee.toml, which overrides the defaults.
Exit status: 0 published, 1 failed (with a message), 2 wrong usage,
3 built and kept, but refused by the gate: the current generation stays in service."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    args = _parser().parse_args(arguments)
    try:
        if args.verb == "config":
            return print_config(args)
        settings = args.load(args.config)
        named: dict[str, Any] = {
            key: tuple(paths)
            for key in ("events", "catalogue", "profiles")
            if (paths := getattr(args, key, None))
        }
        named |= {
            key: path
            for key in ("columns", "item_vectors", "user_vectors", "engine", "spark_master")
            if (path := getattr(args, key, None)) is not None
        }
        print(_run(args, dataclasses.replace(settings, **named)))
    except (BatchError, StoreError) as error:
        print(f"{args.verb} failed: {error}", file=sys.stderr)
        return EXIT_REFUSED if isinstance(error, GateRefusedError) else 1
    except KeyboardInterrupt:
        print(f"{args.verb} stopped; the store is unchanged", file=sys.stderr)
        return 1
    return 0


def _run(args: argparse.Namespace, settings: BatchSettings) -> str:
    """Run a command; if it cannot read a file, show what the file looks like before the error."""
    try:
        answer: str = args.run(args, settings)
    except UnreadKindError as error:
        if args.verb != "inspect":
            print(show_unread(error, settings), file=sys.stderr)
        raise
    return answer


def _refresh(args: argparse.Namespace, settings: BatchSettings) -> str:
    store = load_section("store", StoreSettings, args.config)
    options = RefreshOptions(
        settings,
        rules=load_section("rules", RuleSettings, args.config),
        gate=load_section("gate", GateSettings, args.config),
        store=store,
        override=args.override_gate or "",
        at=args.at,
        arm=args.arm or "",
        overrides=dict(args.set),
        trust=load_section("trust", TrustSettings, args.config),
        report=load_section("report", ReportSettings, args.config),
    )
    if options.overrides and not options.arm:
        problem = "overrides settings of an arm, but no arm is named"
        raise InputError("--set", problem, "add --arm NAME, or change marquee.toml")
    tracking = load_section("tracking", TrackingSettings, args.config)
    folder = args.store or Path(store.path)
    with tracked(folder, options, tracking, args.config) as finish:
        summary = refresh(folder, options)
        finish(summary)
    return summary.as_json() if args.json else summary.as_text()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m batch",
        description="Build recommendation snapshots.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options = _options()
    inputs = _inputs(options)
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    verb = verbs.add_parser(
        "refresh",
        parents=[inputs],
        help="events in, one published snapshot out",
        description="Read events, train, precompute every user's list, publish.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "--store", type=Path, metavar="DIR", help="store to publish to; default: [store] path"
    )
    _add_engine(verb)
    verb.add_argument(
        "--override-gate", type=_reason, metavar="WHY",
        help="publish this snapshot even if the gate refuses it; WHY is written to the journal",
    )  # fmt: skip
    verb.add_argument(
        "--at", type=_time, metavar="TIME",
        help="time that availability counts from, ISO 8601, UTC without a zone; default: now",
    )  # fmt: skip
    verb.add_argument(
        "--arm", type=_arm, metavar="NAME",
        help="build a snapshot for an arm of an experiment: it is kept, and not published",
    )  # fmt: skip
    verb.add_argument(
        "--set", type=setting_option, action="append", default=[], metavar="SECTION.KEY=VALUE",
        help="setting of [batch] or [rules] that the arm overrides; may be repeated",
    )  # fmt: skip
    for owner in ("item", "user"):
        verb.add_argument(
            f"--{owner}-vectors", metavar="FILE",
            help=f"Parquet file of {owner}s' vectors from outside: id, vector, tokens, usd",
        )  # fmt: skip
    verb.set_defaults(run=_refresh)
    add_verbs(verbs, inputs)
    parser.set_defaults(load=load_settings)
    add_tune(verbs, inputs)
    add_inspect(verbs, options)
    add_ingest(verbs)
    add_fetch(verbs)
    add_forget(verbs)
    add_trust(verbs)
    add_track(verbs)
    add_report(verbs)
    add_config(verbs, SECTIONS)
    return parser


def _add_engine(verb: argparse.ArgumentParser) -> None:
    """Add the options that say where the users of a refresh are."""
    verb.add_argument(
        "--engine", choices=ENGINES,
        help="place of the users: this process, or Spark's partitions; default: [batch] engine",
    )  # fmt: skip
    verb.add_argument(
        "--master", dest="spark_master", metavar="URL",
        help="Spark's master: local[2], spark://host:7077, yarn; default: [batch] spark_master",
    )  # fmt: skip


def _inputs(options: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Return the options of all verbs that read events, catalogues and profiles."""
    inputs = argparse.ArgumentParser(add_help=False, parents=[options])
    for name, text in (
        ("events", "event files or directories: stream log, delimited text, Parquet"),
        ("catalogue", "catalogues of existing items: movie API, CSV with movieID, MovieLens"),
        ("profiles", "profiles of users: user API, CSV, MovieLens"),
    ):
        inputs.add_argument(f"--{name}", nargs="+", action="extend", metavar="PATH", help=text)
    return inputs


def _options() -> argparse.ArgumentParser:
    """Return the options of all verbs that read files."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--columns", type=columns_option, metavar="ROLE=COLUMN,…",
        help="columns of tables of events, by name or by number from 1: user, item, rating, "
        "minutes, percentage, count, flag, time",
    )  # fmt: skip
    options.add_argument(
        "--config", type=Path, metavar="FILE", help="settings file; default: marquee.toml"
    )
    options.add_argument("--json", action="store_true", help="print one JSON object")
    return options


def columns_option(text: str) -> dict[str, str]:
    """Return the columns of the option `--columns`, by role."""
    try:
        return parse_columns(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("a reason is required; it is written to the journal")
    return text


def _arm(text: str) -> str:
    if not is_arm_name(text):
        raise argparse.ArgumentTypeError(ARM_NAME_RULE)
    return text


def setting_option(text: str) -> tuple[str, Any]:
    """Return name and value of the option `--set`; a value that is not TOML is a text."""
    name, equals, value = text.partition("=")
    if not equals or "." not in name:
        raise argparse.ArgumentTypeError(f"write SECTION.KEY=VALUE, not {text!r}")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a valid ISO 8601 time; write e.g. 2026-11-24T03:30"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


if __name__ == "__main__":
    keep_from_others()
    sys.exit(main())
