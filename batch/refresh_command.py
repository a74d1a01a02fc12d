"""The command `python -m batch refresh`."""

import argparse
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from batch.errors import InputError
from batch.gate.settings import GateSettings
from batch.options import RefreshOptions
from batch.refresh import refresh
from batch.report.settings import ReportSettings
from batch.rules.settings import RuleSettings
from batch.settings import ENGINES, BatchSettings
from batch.tracking.around import tracked
from batch.tracking.settings import TrackingSettings
from batch.trust.settings import TrustSettings
from store.arm_name import ARM_NAME_RULE, is_arm_name
from store.config import StoreSettings, load_section

_EXAMPLE: Final = """example:
  python -m batch refresh --events events.log --catalogue movies.jsonl --profiles users.csv

Options override marquee.toml, which overrides the defaults.
Exit status: 0 published, 1 failed (with a message), 2 wrong usage,
3 built and kept, but refused by the gate: the current generation stays in service."""


def add_refresh(verbs: Any, inputs: argparse.ArgumentParser) -> None:
    """Add the verb `refresh` to the parser of `python -m batch`.

    Args:
        verbs: Subparsers of the commands.
        inputs: Parent parser of the inputs, the configuration and `--json`.
    """
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
