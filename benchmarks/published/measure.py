"""One subject on one protocol: choose parameters, fit once a seed, average over the seeds."""

import dataclasses
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from batch.evaluation.bootstrap import Interval, intervals
from batch.models.choose import recommender
from batch.settings import BatchSettings
from benchmarks.published.candidates import candidates, parameters
from benchmarks.published.tasks import EvaluationProtocol, Task, Tasks


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is tried.

    Attributes:
        settings: Settings that the parameters of the models are set in.
        n_seeds: Number of seeds to average over, from that of the settings.
        is_quick: Whether only the first parameters of each model are tried.
    """

    settings: BatchSettings
    n_seeds: int
    is_quick: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """Metrics of one subject.

    Attributes:
        values: Mean over users and seeds by metric, with its 95 % interval over the users.
        n_users: Number of evaluated users.
        seeds: Random seeds, one alone if the model does not depend on it.
        parameters: Parameters that were chosen.
        train_seconds: Median time of one training.
        about: Figures that the first training reports.
    """

    values: Mapping[str, Interval]
    n_users: int
    seeds: Sequence[int]
    parameters: dict[str, Any]
    train_seconds: float
    about: Mapping[str, float]


def measure(subject: str, protocol: EvaluationProtocol, tasks: Tasks[Task], plan: Plan) -> Measured:
    """Choose parameters on the validation task, then measure them on the test task.

    Args:
        subject: Name of a model, or `marquee`.
        protocol: Protocol of the tasks.
        tasks: Tasks to choose on and to report.
        plan: Settings, seeds and number of candidates.
    """
    chosen = _choose(subject, protocol, tasks, plan)
    seeds = _distinct_seeds(chosen, plan.n_seeds)
    by_seed, seconds = [], []
    about: dict[str, float] = {}
    for seed in seeds:
        model = recommender(chosen.model, dataclasses.replace(chosen, seed=seed))
        began = time.perf_counter()
        fitted = model.fit(tasks.test.train, n_threads=chosen.n_threads)
        seconds.append(time.perf_counter() - began)
        by_seed.append(tasks.test.per_user(fitted, chosen.n_threads))
        about = about or dict(fitted.about)
    table = np.stack(
        [np.mean([found[metric] for found in by_seed], axis=0) for metric in by_seed[0]], axis=1
    )
    found = intervals(table, np.ones((len(table), 1), dtype=bool))[0]
    return Measured(
        values=dict(zip(by_seed[0], found, strict=True)),
        n_users=len(table),
        seeds=seeds,
        parameters=parameters(chosen),
        train_seconds=float(np.median(seconds)),
        about=about,
    )


def _choose(
    subject: str, protocol: EvaluationProtocol, tasks: Tasks[Task], plan: Plan
) -> BatchSettings:
    """Return the candidate with the best mean on the validation task; the first of equal ones."""
    tried = candidates(subject, plan.settings)
    if plan.is_quick or len(tried) == 1:
        return tried[0]
    task, means = tasks.validation, []
    for settings in tried:
        fitted = recommender(settings.model, settings).fit(task.train, n_threads=settings.n_threads)
        means.append(float(task.per_user(fitted, settings.n_threads)[protocol.choose_by].mean()))
        print(
            f"{protocol.name}: {subject} {parameters(settings)}: validation "
            f"{protocol.choose_by} {means[-1]:.4f}",
            file=sys.stderr,
            flush=True,
        )
    return tried[int(np.argmax(means))]


def _distinct_seeds(settings: BatchSettings, n_seeds: int) -> list[int]:
    """Return the seeds that give different models: one alone where the seed is not used."""
    seeds = [settings.seed + place for place in range(n_seeds)]
    models = [
        recommender(settings.model, dataclasses.replace(settings, seed=seed)) for seed in seeds
    ]
    return [seed for place, seed in enumerate(seeds) if models[place] not in models[:place]]
