"""The command `python -m batch tune`."""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from batch.errors import BatchError
from batch.evaluation.command import add_split, at_least_1
from batch.evaluation.data import read_data
from batch.evaluation.evaluate import Evaluation, evaluate
from batch.evaluation.metrics import METRICS, per_user
from batch.models.choose import recommender
from batch.settings import MODELS, BatchSettings
from batch.tuning.nested import NestedSplit, nested_split
from batch.tuning.report import TuningResult, as_json, as_line, as_text
from batch.tuning.space import Space, space_of
from batch.tuning.study import (
    Parameters,
    StudyLimits,
    StudyPlan,
    TuningTrial,
    best_of,
    check_installed,
    fingerprint,
    search,
)
from batch.tuning.tuned import write_tuned
from store.config import keys_given, load_section

_EXAMPLES: Final = """examples:
  python -m batch tune --events ratings.csv --trials 50
  python -m batch tune --events views.tsv.gz --split leave-last-out --seconds 600
  python -m batch tune --events var/events --metric recall --sample 20000

Each trial is stored when it ends: Ctrl-C loses only the running one, and the same command
continues the study up to --trials of all runs together. Parameters that marquee.toml or
the environment sets are not tuned. Nothing is published; to use the result in a refresh, set
  [batch]
  tuned = "var/tune/best.toml"

Exit status: 0 done, 1 failed with a message, 2 wrong usage."""


def add_tune(verbs: Any, inputs: argparse.ArgumentParser) -> None:
    """Add the verb to the parser of `python -m batch`."""
    verb = verbs.add_parser(
        "tune",
        parents=[inputs],
        help="search the best parameters for this data",
        description="Try parameters of the model, and write the best to a file for the refresh.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_split(verb)
    verb.add_argument("--model", choices=MODELS, help="default: [batch] model")
    verb.add_argument("--metric", choices=METRICS, default="ndcg", help="default: ndcg")
    verb.add_argument(
        "--sample", type=at_least_1, default=50_000, metavar="N",
        help="size of the random sample of users; default: 50000",
    )  # fmt: skip
    verb.add_argument(
        "--trials", type=at_least_1, default=50, metavar="N",
        help="trials of the study, earlier runs included; default: 50",
    )  # fmt: skip
    verb.add_argument(
        "--seconds", type=at_least_1, default=0, metavar="N",
        help="time limit for beginning another trial; default: no limit",
    )  # fmt: skip
    verb.add_argument("--seed", type=int, metavar="N", help="random seed; default: [batch] seed")
    verb.add_argument(
        "--out", type=Path, default=Path("var/tune"), metavar="DIR",
        help="directory of the studies and of best.toml; default: var/tune",
    )  # fmt: skip
    verb.set_defaults(run=_tune, load=_load_untuned)


def _load_untuned(config: Path | None) -> BatchSettings:
    """Return the settings without an earlier tuned file: the new study starts from the defaults."""
    return load_section("batch", BatchSettings, config)


def _tune(arguments: argparse.Namespace, settings: BatchSettings) -> str:
    check_installed()
    began = time.monotonic()
    settings = dataclasses.replace(
        settings,
        model=arguments.model or settings.model,
        seed=settings.seed if arguments.seed is None else arguments.seed,
    )
    fixed = keys_given("batch", BatchSettings, arguments.config)
    data = read_data(arguments.split, settings, arguments.test).sample(
        arguments.sample, settings.seed
    )
    space = space_of(settings.model, data, fixed)
    if not space:
        problem = f"no tunable parameter of {settings.model} is left"
        raise BatchError("tune", problem, "remove some from marquee.toml, or use another --model")
    nested = nested_split(arguments.split, data, settings.seed)
    trials, study = _search(arguments, settings, nested, space)
    best = best_of(trials)
    result = TuningResult(
        model=settings.model,
        study=study,
        metric=arguments.metric,
        k=arguments.k,
        n_trials=len(trials),
        seconds=time.monotonic() - began,
        default=trials[0],
        best=best,
        on_test=_on_test(nested, settings, [trials[0], best], arguments.k),
        fixed=sorted(fixed.keys() & space_of(settings.model, data, ()).keys()),
        path=arguments.out / "best.toml",
    )
    if not result.is_worse:
        write_tuned(result.path, settings.model, result.best.parameters, result.about())
    return json.dumps(as_json(result)) if arguments.json else as_text(result)


def _search(
    arguments: argparse.Namespace, settings: BatchSettings, nested: NestedSplit, space: Space
) -> tuple[list[TuningTrial], str]:
    """Return the trials of the study, and its name."""
    defaults = {name: getattr(settings, name) for name in space}

    def score(parameters: Parameters) -> float:
        changed = dataclasses.replace(settings, **parameters)
        return _on_validation(nested, changed, arguments.metric, arguments.k)

    def show(trial: TuningTrial) -> None:
        tqdm.write(as_line(trial, arguments.trials, defaults), file=sys.stderr)

    study = fingerprint(nested, settings, space, f"{arguments.metric}@{arguments.k}")
    plan = StudyPlan(arguments.out, study, space, defaults, settings.seed)
    limits = StudyLimits(arguments.trials, arguments.seconds)
    return search(plan, score, limits, on_trial=show), study


def _on_validation(nested: NestedSplit, settings: BatchSettings, metric: str, k: int) -> float:
    split = nested.for_validation(settings)
    model = recommender(settings.model, settings)
    fitted = model.fit(split.train, at=split.at, n_threads=settings.n_threads)
    lists = split.lists(fitted, k, settings.n_threads)
    return float(per_user(lists.item_rows, split.test)[metric].mean())


def _on_test(
    nested: NestedSplit, settings: BatchSettings, trials: Sequence[TuningTrial], k: int
) -> list[Evaluation]:
    evaluations = []
    for trial in trials:
        changed = dataclasses.replace(settings, **trial.parameters)
        model = recommender(changed.model, changed)
        split = nested.for_test(changed)
        evaluations.append(evaluate(model, split, k, n_threads=changed.n_threads))
    return evaluations
