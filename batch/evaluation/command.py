"""The commands `python -m batch evaluate` and `python -m batch compare`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from batch.evaluation.data import read_split
from batch.evaluation.evaluate import Evaluation, evaluate
from batch.evaluation.groups import groups_of
from batch.evaluation.report import (
    comparison_as_json,
    comparison_as_text,
    evaluation_as_json,
    evaluation_as_text,
)
from batch.evaluation.splits import SPLITS, Split
from batch.models.choose import recommender
from batch.settings import MODELS, BatchSettings
from batch.stages import Stages
from store.layout import LIST_LENGTH

_RENAMED_SPLITS: Final = {"last-out": "leave-last-out"}
_EXAMPLES: Final = """examples:
  python -m batch evaluate --events ratings.csv --split time
  python -m batch compare --events views.tsv.gz --split leave-last-out --models als popularity
  python -m batch compare --events train.txt --test test.txt --split pairs --json

Nothing is published. Exit status: 0 done, 1 failed with a message, 2 wrong usage."""


def add_verbs(verbs: Any, inputs: argparse.ArgumentParser) -> None:
    """Add both verbs to the parser of `python -m batch`.

    Args:
        verbs: Subparsers of the commands.
        inputs: Parent parser of the inputs, the configuration and `--json`.
    """
    for name, summary, run in (
        ("evaluate", "measure the lists of one model on held-out data", _evaluate),
        ("compare", "measure several models on the same split", _compare),
    ):
        verb = verbs.add_parser(
            name,
            parents=[inputs],
            help=summary,
            description=f"{summary.capitalize()}.",
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
                metavar="MODEL", help=f"models out of {', '.join(MODELS)}; the others are "
                "compared with the first; default: all",
            )  # fmt: skip


def add_split(verb: argparse.ArgumentParser) -> None:
    """Add the options of the split and of the length of the lists."""
    verb.add_argument(
        "--split", type=_split_name, choices=SPLITS, default="time", help="default: time"
    )  # fmt: skip
    verb.add_argument(
        "--test", type=Path, metavar="FILE",
        help="test side of --split pairs: on each line a user and their items",
    )  # fmt: skip
    verb.add_argument(
        "--k", type=at_least_1, default=LIST_LENGTH, metavar="N", help="length of the lists"
    )


def _split_name(text: str) -> str:
    if text in _RENAMED_SPLITS:
        raise argparse.ArgumentTypeError(f"{text}: renamed; use {_RENAMED_SPLITS[text]}")
    return text


def at_least_1(text: str) -> int:
    """Parse a positive whole number; argparse reports anything else as wrong usage."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _evaluate(arguments: argparse.Namespace, settings: BatchSettings) -> str:
    split, data = read_split(arguments.split, settings, arguments.test)
    evaluation = _evaluate_all([arguments.model or settings.model], split, settings, arguments.k)[0]
    user_ids = [data.user_ids[row] for row in split.user_rows]
    groups = groups_of(user_ids, np.diff(split.fold_in.indptr), data.profiles)
    if arguments.json:
        return json.dumps(evaluation_as_json(evaluation, split, arguments.k, groups))
    return evaluation_as_text(evaluation, split, arguments.k, groups)


def _compare(arguments: argparse.Namespace, settings: BatchSettings) -> str:
    split, _ = read_split(arguments.split, settings, arguments.test)
    names = list(dict.fromkeys(arguments.models))
    evaluations = _evaluate_all(names, split, settings, arguments.k)
    if arguments.json:
        return json.dumps(comparison_as_json(evaluations, split, arguments.k))
    return comparison_as_text(evaluations, split, arguments.k)


def _evaluate_all(
    names: Sequence[str], split: Split, settings: BatchSettings, k: int
) -> list[Evaluation]:
    stages = Stages()
    evaluations = []
    for name in names:
        with stages(name, unit="sweep") as advance:
            model = recommender(name, settings)
            evaluations.append(
                evaluate(
                    model, split, k, n_threads=settings.n_threads, on_step=lambda _=None: advance(1)
                )
            )
    return evaluations
