"""The command `python -m batch describe`: a page about data, before any training."""

import argparse
import json
import shlex
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from batch.describe.figures import figures
from batch.describe.outlook import outlook
from batch.describe.page import page, summary
from batch.errors import InputError
from batch.inputs import read_inputs
from batch.interactions.aggregate import aggregate_events
from batch.settings import BatchSettings
from batch.stages import Stages
from store.durable import replace_durable

_EXAMPLE: Final = """example:
  python -m batch describe --events ratings.csv --catalogue movies.csv
  python -m batch describe --events views.log --out reports/views.html

Writes the page, and its twin with the same numbers beside it: describe.html, describe.json.
Nothing is trained or published. Exit status: 0 done, 1 failed with a message, 2 wrong usage."""


def add_describe(verbs: Any, inputs: argparse.ArgumentParser) -> None:
    """Add the verb `describe` to the parser of `python -m batch`.

    Args:
        verbs: Subparsers of the commands.
        inputs: Parent parser of the inputs, the configuration and `--json`.
    """
    about = "Make a page about data before any training: users, items, times, what to hope for."
    verb = verbs.add_parser(
        "describe",
        parents=[inputs],
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "--out", type=Path, default=Path("describe.html"), metavar="FILE",
        help="page to write; its twin has the suffix .json; default: describe.html",
    )  # fmt: skip
    verb.set_defaults(run=_describe)


def _describe(arguments: argparse.Namespace, settings: BatchSettings) -> str:
    html: Path = arguments.out
    twin = html.with_suffix(".json")
    if twin == html:
        raise InputError("--out", f"{html} is the name of the twin", "name a file *.html")
    if not html.parent.is_dir():
        raise InputError("--out", f"{html.parent} is not a directory", "make it first")
    found = describe(settings) | {"command": _command(settings, html)}
    written = json.dumps(found, indent=1, allow_nan=False)
    replace_durable(twin, written + "\n")
    replace_durable(html, page(json.loads(written)))  # so that it shows what the file holds
    if arguments.json:
        return json.dumps(found | {"page": str(html)})
    return f"{summary(found)}\n{html}"


def describe(settings: BatchSettings) -> dict[str, Any]:
    """Return all figures of the data that the settings name: the content of `describe.json`.

    Raises:
        BatchError: The input cannot be read, or has fewer than 2 users or items.
    """
    began_at, stages = datetime.now(UTC), Stages()
    inputs = read_inputs(settings, began_at, stages)
    with stages("interactions"):
        runtimes = {name: item.runtime for name, item in inputs.catalogue.items.items()}
        found = aggregate_events(
            copy(inputs.events),  # the figures are of its views
            runtimes if settings.catalogue else None,
            settings.max_rating,
            with_latest=False,
            n_threads=settings.n_threads,
        )
    with stages("figures"):
        counted = figures(inputs, found, settings)
    with stages("outlook"):
        hopes = outlook(found, settings.seed, settings.n_threads)
    return {
        "format_version": 1,
        "made_at": began_at.isoformat(timespec="seconds"),
        "outlook": hopes,
        **counted,
    }


def _command(settings: BatchSettings, html: Path) -> str:
    words = ["python", "-m", "batch", "describe"]
    for name in ("events", "catalogue", "profiles"):
        paths = getattr(settings, name)
        words += [f"--{name}", *map(str, paths)] if paths else []
    if settings.columns:
        words += ["--columns", ",".join(map("=".join, settings.columns.items()))]
    return shlex.join([*words, "--out", str(html)])
