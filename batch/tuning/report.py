"""What tuning found, for people and for programs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from batch.evaluation.bootstrap import Interval
from batch.evaluation.judge import Judged
from batch.tuning.study import Tried


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of tuning has come to.

    Attributes:
        model: That was tuned.
        study: Its name.
        metric: That was made large.
        k: Length of the lists.
        n_trials: Of the study, those of earlier runs included.
        seconds: Of this run.
        default: The trial of the defaults.
        best: The best trial, which may be the same.
        on_test: Both of them, in this order, on the side that no trial has seen.
        fixed: Parameters that were not touched, as marquee.toml or the environment sets them.
        path: The file of the best parameters.
    """

    model: str
    study: str
    metric: str
    k: int
    n_trials: int
    seconds: float
    default: Tried
    best: Tried
    on_test: list[Judged]
    fixed: list[str]
    path: Path

    @property
    def difference(self) -> Interval:
        """Of the test side: the best less the default, over the same users."""
        default, best = self.on_test
        return best.better_than(default)[self.metric]

    @property
    def is_worse(self) -> bool:
        """Whether the test side is sure that the best is worse: it is not to be used then."""
        return self.difference.high < 0

    def about(self) -> dict[str, Any]:
        """Return where the parameters come from, for their file."""
        return {
            "study": self.study,
            "metric": f"{self.metric}@{self.k}",
            "trials": self.n_trials,
            "validation": _rounded(self.best.score),
            "validation_of_defaults": _rounded(self.default.score),
            "test_minus_defaults": _rounded(self.difference.mean),
            "test_low": _rounded(self.difference.low),
            "test_high": _rounded(self.difference.high),
        }


def as_line(tried: Tried, n_trials: int, defaults: Mapping[str, Any]) -> str:
    """Return one trial on one line."""
    score = "cannot be fitted" if tried.score is None else f"{tried.score:.5f}"
    what = "defaults" if tried.parameters == defaults else _listed(tried.parameters)
    return f"trial {tried.number} of {n_trials}  {score}  {tried.seconds:6.1f} s  {what}"


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome as one JSON object."""
    default, best = (float(one.figures[outcome.metric].mean()) for one in outcome.on_test)
    return {
        "model": outcome.model,
        **outcome.about(),
        "n_test_users": _n_users(outcome),
        "test": best,
        "test_of_defaults": default,
        "best_trial": outcome.best.number,
        "parameters": outcome.best.parameters,
        "fixed": outcome.fixed,
        "seconds": round(outcome.seconds, 1),
        "written": None if outcome.is_worse else str(outcome.path),
    }


def as_text(outcome: Outcome) -> str:
    """Return the outcome as a few lines."""
    default, best = (float(one.figures[outcome.metric].mean()) for one in outcome.on_test)
    change = outcome.difference
    sure = "" if change.is_sure or not np.any(change) else ", unsure"
    lines = [
        f"{outcome.model}: {outcome.n_trials} trials, this run {outcome.seconds:.1f} s, "
        f"{outcome.metric}@{outcome.k}",
        f"  validation    {outcome.default.score:.4f} with the defaults, "
        f"{outcome.best.score:.4f} with the best, trial {outcome.best.number}",
        f"  test          {default:.4f} with the defaults, {best:.4f} with the best: "
        f"{change.mean:+.4f} ({change.low:+.4f} to {change.high:+.4f}{sure}), "
        f"{_n_users(outcome):,} users",
        f"  parameters    {_listed(outcome.best.parameters)}",
    ]
    if outcome.fixed:
        lines.append(f"  not touched   {', '.join(outcome.fixed)}, which the configuration sets")
    lines.append(f"  study         {outcome.study}")
    lines.append(
        "  not written   the test side is sure that they are worse: the defaults stand"
        if outcome.is_worse
        else f"  written       {outcome.path}; the refresh takes it by "
        f'`tuned = "{outcome.path}"` in [batch]'
    )
    return "\n".join(lines)


def _n_users(outcome: Outcome) -> int:
    return len(outcome.on_test[0].figures[outcome.metric])


def _listed(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items())


def _rounded(value: float | None) -> float:
    return round(value or 0.0, 5)
