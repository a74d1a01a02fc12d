"""The commands of the batch: `python -m batch inspect|ingest|refresh|trust|report|evaluate …`."""

import argparse
import dataclasses
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from batch.columns.roles import parse_columns
from batch.errors import BatchError, GateRefusedError, UnreadKindError
from batch.fetch.settings import FetchSettings
from batch.gate.settings import GateSettings
from batch.report.settings import ReportSettings
from batch.rules.settings import RuleSettings
from batch.settings import BatchSettings
from batch.tracking.settings import TrackingSettings
from batch.trust.settings import TrustSettings
from batch.tuning.tuned import load_settings
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

# Verbs, the function of a module that adds their parsers, and the parent parser that it takes. Only
# what runs is imported: the models and pandas take a second, which most verbs do without.
_VERBS: Final = (
    (("refresh",), "batch.refresh_command", "add_refresh", "inputs"),
    (("describe",), "batch.describe.command", "add_describe", "inputs"),
    (("evaluate", "compare"), "batch.evaluation.command", "add_verbs", "inputs"),
    (("tune",), "batch.tuning.command", "add_tune", "inputs"),
    (("inspect",), "batch.inspection.command", "add_inspect", "options"),
    (("ingest",), "batch.events.command", "add_ingest", ""),
    (("rows",), "batch.sql.count", "add_rows", ""),
    (("fetch",), "batch.fetch.command", "add_fetch", ""),
    (("forget",), "batch.events.command", "add_forget", ""),
    (("trust",), "batch.trust.command", "add_trust", ""),
    (("track",), "batch.tracking.command", "add_track", ""),
    (("report",), "batch.report.command", "add_report", ""),
)
_EPILOG: Final = """example:
  python -m batch refresh --events events.log --catalogue movies.jsonl --profiles users.csv

Options override marquee.toml, which overrides the defaults. `VERB --help` has examples."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    args = _parser(given).parse_args(given)
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
            from batch.inspection.command import show_unread  # slow, and seldom needed

            print(show_unread(error, settings), file=sys.stderr)
        raise
    return answer


def _parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of the verb that is asked for, or of all, which are slow to import."""
    parser = argparse.ArgumentParser(
        prog="python -m batch",
        description="Build recommendation snapshots.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options = _options()
    parents = {"": (), "options": (options,), "inputs": (_inputs(options),)}
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    verb = next((argument for argument in arguments if not argument.startswith("-")), "")
    is_known = verb == "config" or any(verb in names for names, *_ in _VERBS)
    for names, module, function, parent in _VERBS:
        if verb in names or not is_known:
            getattr(importlib.import_module(module), function)(verbs, *parents[parent])
    parser.set_defaults(load=load_settings)
    add_config(verbs, SECTIONS)
    return parser


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


if __name__ == "__main__":
    keep_from_others()
    sys.exit(main())
