"""The JSON of the looks at an experiment: which arm is ahead, and whether one may stop.

var/online/experiments/NAME.jsonl ─► looks at this experiment ─┬─► all: differences, intervals
  `stream experiment check` appends a line each                └─► the last one: arms, guardrails,
                                                                   and two sentences
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from serve.pages.documents import number, text
from store.experiment import Experiment
from store.figure_names import metric_name
from store.parse import read_end

_MAX_BYTES: Final = 1 << 22  # of the end of the file
_MAX_LOOKS: Final = 60
_CONTINUED: Final = "continued"
_DECIDED: Final = "decided"
_UNDECIDED: Final = "n.s."
_PREFERRED: Final = "treatment"  # side of an interleaving that is compared


class _Difference(NamedTuple):
    """An arm less the control, with the interval of the experiment's design.

    Attributes:
        arm: Name of the arm.
        effect, low, high: Difference in the metric, and the ends of its interval.
        gain: Difference, above 0 where the arm is better.
    """

    arm: str
    effect: float
    low: float
    high: float
    gain: float


def looks_at(online: Path, experiment: Experiment) -> dict[str, Any]:
    """Return the looks at an experiment and what the last one says; sentences in any case."""
    try:
        looks = [*_kept(online / "experiments" / f"{experiment.name}.jsonl", experiment)]
        if not looks:
            ahead = "Not known yet: no look was taken (command: python -m stream experiment check)."
            return {"ahead": ahead, "stop": "Not yet.", "looks": [], "last": None}
        drawn = [
            {"at": text(look["at"]), "differences": [one._asdict() for one in _differences(look)]}
            for look in looks[-_MAX_LOOKS:]
        ]
        ahead, stop = _ahead(experiment, looks[-1]), _stop(experiment, looks[-1])
        return {"ahead": ahead, "stop": stop, "looks": drawn, "last": _last(looks[-1])} | {
            "level": _percent(1 - experiment.alpha),
            "difference_level": _level(experiment, looks[-1]),
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        said = f"The looks are not valid: {error!r}."
        return {"ahead": said, "stop": "Not known.", "looks": [], "last": None}


def _kept(path: Path, experiment: Experiment) -> Iterator[dict[str, Any]]:
    """Yield the looks at the experiment; torn lines and those at others are left out."""
    try:
        lines = read_end(path, _MAX_BYTES).splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    for line in lines:
        try:
            look = json.loads(line)
        except ValueError:
            continue
        if isinstance(look, dict) and look.get("experiment") == f"{experiment.identity:016x}":
            yield look


def _differences(look: dict[str, Any]) -> list[_Difference]:
    """Return the arms beside the control; one without a finite interval is left out."""
    figures = look["figures"]
    sign = 1 if figures.get("is_higher_better", True) else -1
    rows = [
        (text(one["arm"]), one["effect"], one["effect_low"], one["effect_high"])
        for one in figures["comparisons"]
    ]
    if found := figures["preference"]:
        sign, rows = 1, [(_PREFERRED, found["net_share"], found["low"], found["high"])]
    return [
        _Difference(arm, number(effect), number(low), number(high), sign * number(effect))
        for arm, effect, low, high in rows
        if low is not None and high is not None
    ]


def _ahead(experiment: Experiment, look: dict[str, Any]) -> str:
    """Return which arm is ahead by the last look, and whether that is sure."""
    found = _differences(look)
    if not found:
        return "No arm can be compared yet: too few users."
    best = max(found, key=lambda one: one.gain)
    preference = "net share of users who prefer it"
    metric = preference if experiment.teams else metric_name(experiment.metric)
    interval = f"{_level(experiment, look)} interval {best.low:+.3g} to {best.high:+.3g}"
    verdict = text(look["verdicts"].get(best.arm, _UNDECIDED))
    where = "ahead of" if best.gain > 0 else "behind" if best.gain < 0 else "level with"
    said = f"“{best.arm}” is {where} “{experiment.control.name}”"
    if verdict == _UNDECIDED:
        said = f"None for sure: {said} so far, not significantly"
    else:
        said += f", significantly {verdict}"
    return f"{said}: {metric} {best.effect:+.3g}, {interval}."


def _level(experiment: Experiment, look: dict[str, Any]) -> str:
    """Return the level of the interval of a difference; several arms share the error."""
    n_compared = 1 if look["figures"]["preference"] else max(len(experiment.arms) - 1, 1)
    return _percent(1 - experiment.alpha / n_compared)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _stop(experiment: Experiment, look: dict[str, Any]) -> str:
    """Return whether the experiment may be stopped by the last look."""
    outcome, why = text(look["outcome"]), text(look.get("why", ""))
    for key in (experiment.metric, *(one.metric for one in experiment.guardrails)):
        why = why.replace(key, metric_name(key))  # looks of earlier versions have the key
    why = f": {why}" if why else ""
    ratio = " The arms do not have the users that their shares promise: look for a defect first."
    warning = ratio if look["figures"]["sample_ratio"]["alarm"] else ""
    if outcome == _CONTINUED:
        return f"Not yet{why}; {number(look['elapsed']):.0%} of the planned time.{warning}"
    if outcome == _DECIDED:
        return f"Yes{why}. A person has to promote an arm, or to stop it.{warning}"
    return f"It was {outcome}{why}.{warning}"


def _last(look: dict[str, Any]) -> dict[str, Any]:
    figures = look["figures"]
    return {
        "at": text(look["at"]),
        "elapsed": number(look["elapsed"]),
        "arms": [
            {"name": text(one["name"]), "n_users": number(one["n_users"])}
            | {
                key: one[key] if one[key] is None else number(one[key])
                for key in ("rate", "low", "high")
            }
            for one in figures["arms"]
        ],
        "guardrails": [
            {key: text(one[key]) for key in ("arm", "metric", "verdict")}
            | {"margin": number(one["margin"]), "metric_words": metric_name(one["metric"])}
            for one in figures["guardrails"]
        ],
    }
