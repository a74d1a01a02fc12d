"""The command `python -m batch tune`."""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from batch.errors import BatchError
from batch.evaluation.command import add_split, at_least_1
from batch.evaluation.data import read_data
from batch.evaluation.judge import Judged, judge
from batch.evaluation.metrics import METRICS, per_user
from batch.models.choose import recommender
from batch.settings import MODELS, BatchSettings
from batch.tuning.nested import Nested, nest
from batch.tuning.report import Outcome, as_json, as_line, as_text
from batch.tuning.space import space_of
from batch.tuning.study import (
    Limits,
    Parameters,
    Tried,
    best_of,
    check_installed,
    fingerprint,
    search,
)
from batch.tuning.tuned import write_tuned
from store.config import keys_given, load_section

_EXAMPLES: Final = """examples:
  python -m batch tune --events ratings.csv --trials 50
  python -m batch tune --events views.tsv.gz --split last-out --seconds 600
  python -m batch tune --events var/events --metric recall --sample 20000

Every trial is kept at once: Ctrl-C loses nothing but the one under way, and the same
command goes on, up to --trials of all runs together. What marquee.toml or the
environment sets is not tuned. Nothing is published; the refresh takes what was found by
  [batch]
  tuned = "var/tune/best.toml"

Exit status: 0 done, 1 not (the message says why), 2 wrong usage."""


def add_tune(verbs: Any, inputs: argparse.ArgumentParser) -> None:
    """Add the verb to the parser of `python -m batch`."""
    verb = verbs.add_parser(
        "tune",
        parents=[inputs],
        help="find parameters that suit this data",
        description="Try parameters of the model, and write the best to a file for the refresh.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_split(verb)
    verb.add_argument("--model", choices=MODELS, help="default: [batch] model")
    verb.add_argument("--metric", choices=METRICS, default="ndcg", help="default: ndcg")
    verb.add_argument(
        "--sample", type=at_least_1, default=50_000, metavar="N",
        help="users drawn to tune on; default: 50000",
    )  # fmt: skip
    verb.add_argument(
        "--trials", type=at_least_1, default=50, metavar="N",
        help="of the study, those of earlier runs included; default: 50",
    )  # fmt: skip
    verb.add_argument(
        "--seconds", type=at_least_1, default=0, metavar="N",
        help="begin no other trial after so many; default: no limit",
    )  # fmt: skip
    verb.add_argument("--seed", type=int, metavar="N", help="default: [batch] seed")
    verb.add_argument(
        "--out", type=Path, default=Path("var/tune"), metavar="DIR",
        help="of the studies and of best.toml; default: var/tune",
    )  # fmt: skip
    verb.set_defaults(run=_tune, load=_untuned)


def _untuned(config: Path | None) -> BatchSettings:
    """Return the settings without what was tuned before, to be measured against it."""
    return load_section("batch", BatchSettings, config)


def _tune(given: argparse.Namespace, settings: BatchSettings) -> str:
    check_installed()
    began = time.monotonic()
    settings = dataclasses.replace(
        settings,
        model=given.model or settings.model,
        seed=settings.seed if given.seed is None else given.seed,
    )
    fixed = keys_given("batch", BatchSettings, given.config)
    data = read_data(given.split, settings, given.test).sample(given.sample, settings.seed)
    space = space_of(settings.model, data, fixed)
    if not space:
        what = f"{settings.model} has no parameter that is left to tune"
        raise BatchError("tune", what, "take some out of marquee.toml, or name another --model")
    nested = nest(given.split, data, settings.seed)

    def figure(parameters: Parameters) -> float:
        return _on_validation(nested, _with(settings, parameters), given.metric, given.k)

    defaults = {name: getattr(settings, name) for name in space}

    def show(tried: Tried) -> None:
        tqdm.write(as_line(tried, given.trials, defaults), file=sys.stderr)

    study = fingerprint(nested, settings, space, f"{given.metric}@{given.k}")
    limits = Limits(given.trials, given.seconds)
    done = search(
        given.out, study, space, defaults, figure, limits, seed=settings.seed, on_trial=show
    )
    outcome = Outcome(
        model=settings.model,
        study=study,
        metric=given.metric,
        k=given.k,
        n_trials=len(done),
        seconds=time.monotonic() - began,
        default=done[0],
        best=best_of(done),
        on_test=_on_test(nested, settings, [done[0], best_of(done)], given.k),
        fixed=sorted(fixed.keys() & space_of(settings.model, data, ()).keys()),
        path=given.out / "best.toml",
    )
    if not outcome.is_worse:
        write_tuned(outcome.path, settings.model, outcome.best.parameters, outcome.about())
    return json.dumps(as_json(outcome)) if given.json else as_text(outcome)


def _with(settings: BatchSettings, parameters: Parameters) -> BatchSettings:
    return dataclasses.replace(settings, **parameters)


def _on_validation(nested: Nested, settings: BatchSettings, metric: str, k: int) -> float:
    split = nested.to_choose_by(settings)
    model = recommender(settings.model, settings)
    fitted = model.fit(split.train, at=split.at, n_threads=settings.n_threads)
    lists = split.lists(fitted, k, settings.n_threads)
    return float(per_user(lists.item_rows, split.test)[metric].mean())


def _on_test(nested: Nested, settings: BatchSettings, tried: list[Tried], k: int) -> list[Judged]:
    judged = []
    for one in tried:
        chosen = _with(settings, one.parameters)
        model = recommender(chosen.model, chosen)
        split = nested.to_judge_by(chosen)
        judged.append(judge(model, split, k, n_threads=chosen.n_threads))
    return judged
