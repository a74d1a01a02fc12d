"""The commands `python -m batch evaluate` and `python -m batch compare`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from batch.evaluation.data import read_split
from batch.evaluation.groups import groups_of
from batch.evaluation.judge import Judged, judge
from batch.evaluation.report import (
    one_as_json,
    one_as_text,
    several_as_json,
    several_as_text,
)
from batch.evaluation.splits import SPLITS, Split
from batch.models.choose import recommender
from batch.settings import MODELS, BatchSettings
from batch.stages import Stages
from store.layout import LIST_LENGTH

_EXAMPLES = """examples:
  python -m batch evaluate --events ratings.csv --split time
  python -m batch compare --events views.tsv.gz --split last-out --models als popularity
  python -m batch compare --events train.txt --test test.txt --split pairs --json

Nothing is published. Exit status: 0 done, 1 not (the message says why), 2 wrong usage."""


def add_verbs(verbs: Any, inputs: argparse.ArgumentParser) -> None:
    """Add both verbs to the parser of `python -m batch`.

    Args:
        verbs: The subparsers.
        inputs: A parser of the inputs, the configuration and `--json`.
    """
    for name, what, run in (
        ("evaluate", "judge one model on data that it has not seen", _evaluate),
        ("compare", "judge several models on the same split", _compare),
    ):
        verb = verbs.add_parser(
            name,
            parents=[inputs],
            help=what,
            description=f"{what.capitalize()}.",
            epilog=_EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_split(verb)
        verb.set_defaults(run=run)
        if name == "evaluate":
            verb.add_argument("--model", choices=MODELS, help="default: [batch] model")
        else:
            verb.add_argument(
                "--models", nargs="+", choices=MODELS, default=list(MODELS),
                metavar="MODEL", help=f"of {', '.join(MODELS)}; the first is what others are "
                "measured against; default: all",
            )  # fmt: skip


def add_split(verb: argparse.ArgumentParser) -> None:
    """Add what says how to split, and how long the lists are that are judged."""
    verb.add_argument("--split", choices=SPLITS, default="time", help="default: time")
    verb.add_argument(
        "--test", type=Path, metavar="FILE",
        help="with --split pairs, what to judge by: on each line a user and their items",
    )  # fmt: skip
    verb.add_argument(
        "--k", type=at_least_1, default=LIST_LENGTH, metavar="N", help="length of the lists"
    )


def at_least_1(text: str) -> int:
    """Read a number for argparse, which makes an error of usage of anything else."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _evaluate(given: argparse.Namespace, settings: BatchSettings) -> str:
    split, data = read_split(given.split, settings, given.test)
    judged = _judge_all([given.model or settings.model], split, settings, given.k)[0]
    groups = groups_of(
        [data.user_ids[row] for row in split.user_rows], np.diff(split.given.indptr), data.profiles
    )
    if given.json:
        return json.dumps(one_as_json(judged, split, given.k, groups))
    return one_as_text(judged, split, given.k, groups)


def _compare(given: argparse.Namespace, settings: BatchSettings) -> str:
    split, _ = read_split(given.split, settings, given.test)
    models = _judge_all(list(dict.fromkeys(given.models)), split, settings, given.k)
    if given.json:
        return json.dumps(several_as_json(models, split, given.k))
    return several_as_text(models, split, given.k)


def _judge_all(names: Sequence[str], split: Split, settings: BatchSettings, k: int) -> list[Judged]:
    stages = Stages()
    found = []
    for name in names:
        with stages(name, unit="sweep") as advance:
            model = recommender(name, settings)
            found.append(
                judge(model, split, k, n_threads=settings.n_threads, on_step=lambda: advance(1))
            )
    return found
