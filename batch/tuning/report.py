"""Results of tuning, for people and for programs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from batch.evaluation.bootstrap import Interval
from batch.evaluation.evaluate import Evaluation
from batch.tuning.study import TuningTrial


@dataclass(frozen=True, slots=True)
class TuningResult:
    """Result of a run of tuning.

    Attributes:
        model: Name of the tuned model.
        study: Name of the study.
        metric: Metric that was maximised.
        k: Length of the lists.
        n_trials: Trials of the study, those of earlier runs included.
        seconds: Duration of this run.
        default: Trial of the defaults.
        best: Best trial, which may be the same.
        on_test: Evaluations of the defaults and of the best on the test set.
        fixed: Names of the parameters that marquee.toml or the environment sets.
        path: File of the best parameters.
    """

    model: str
    study: str
    metric: str
    k: int
    n_trials: int
    seconds: float
    default: TuningTrial
    best: TuningTrial
    on_test: list[Evaluation]
    fixed: list[str]
    path: Path

    @property
    def difference(self) -> Interval:
        """Best minus default on the test set, paired by user."""
        default, best = self.on_test
        return best.minus(default)[self.metric]

    @property
    def is_worse(self) -> bool:
        """Whether the best is significantly worse on the test set; it is not written then."""
        return self.difference.high < 0

    def about(self) -> dict[str, Any]:
        """Return the provenance of the parameters, for their file."""
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


def as_line(trial: TuningTrial, n_trials: int, defaults: Mapping[str, Any]) -> str:
    """Return one trial on one line."""
    score = "cannot be fitted" if trial.score is None else f"{trial.score:.5f}"
    what = "defaults" if trial.parameters == defaults else _listed(trial.parameters)
    return f"trial {trial.number} of {n_trials}  {score}  {trial.seconds:6.1f} s  {what}"


def as_json(result: TuningResult) -> dict[str, Any]:
    """Return the result as one JSON object."""
    default, best = _test_means(result)
    return {
        "model": result.model,
        **result.about(),
        "n_test_users": _n_users(result),
        "test": best,
        "test_of_defaults": default,
        "best_trial": result.best.number,
        "parameters": result.best.parameters,
        "fixed": result.fixed,
        "seconds": round(result.seconds, 1),
        "written": None if result.is_worse else str(result.path),
    }


def as_text(result: TuningResult) -> str:
    """Return the result as a few lines."""
    default, best = _test_means(result)
    change = result.difference
    significance = "" if change.is_significant or not np.any(change) else ", n.s."
    lines = [
        f"{result.model}: {result.n_trials} trials, this run {result.seconds:.1f} s, "
        f"{result.metric}@{result.k}",
        f"  validation    {result.default.score:.4f} with the defaults, "
        f"{result.best.score:.4f} with the best, trial {result.best.number}",
        f"  test          {default:.4f} with the defaults, {best:.4f} with the best: "
        f"{change.mean:+.4f} ({change.low:+.4f} to {change.high:+.4f}{significance}), "
        f"{_n_users(result):,} users",
        f"  parameters    {_listed(result.best.parameters)}",
    ]
    if result.fixed:
        lines.append(f"  fixed         {', '.join(result.fixed)} (set in the configuration)")
    lines.append(f"  study         {result.study}")
    lines.append(
        "  not written   significantly worse on the test set; the defaults stay in use"
        if result.is_worse
        else f"  written       {result.path}; to use it in a refresh, set "
        f'`tuned = "{result.path}"` in [batch]'
    )
    return "\n".join(lines)


def _test_means(result: TuningResult) -> tuple[float, float]:
    default, best = (float(one.by_user[result.metric].mean()) for one in result.on_test)
    return default, best


def _n_users(result: TuningResult) -> int:
    return len(result.on_test[0].by_user[result.metric])


def _listed(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items())


def _rounded(value: float | None) -> float:
    return round(value or 0.0, 5)
