"""The figures of an experiment as lines for a terminal."""

import math
from collections.abc import Iterator

from stream.experiments.figures import ArmComparison, ArmGuardrail, ExperimentFigures


def figures_as_text(figures: ExperimentFigures) -> Iterator[str]:
    """Yield the lines that show the figures of a look."""
    yield f"figures until {figures.until}, {figures.elapsed:.1%} of the planned time"
    for arm in figures.arms:
        rate = "too few users" if arm.rate is None else _interval(arm.rate, arm.low, arm.high)
        wrong = f"  {arm.contaminated_share:.2%} with another arm's lists"
        shown = wrong if arm.contaminated_share else ""
        counts = f"{arm.n_users:>9,} users {arm.n_requests:>10,} requests"
        yield f"  {arm.name:<12} {counts}  {rate}{shown}"
    for comparison in figures.comparisons:
        yield f"  {_comparison(comparison)}"
    if preference := figures.preference:
        value = _interval(preference.net_share, preference.low, preference.high)
        decided = f"{preference.n_decided:,} of {preference.n_users:,} users prefer one side"
        yield f"  treatment preferred by a net share of {value}; {decided}"
    for guardrail in figures.guardrails:
        yield f"  {_guardrail(guardrail)}"
    p_value = figures.sample_ratio_p
    if figures.is_sample_ratio_alarm:
        yield f"! users of the arms are not as their shares promise, p = {p_value:.2g}"
    else:
        yield f"  users of the arms are as their shares promise, p = {p_value:.2g}"


def _comparison(one: ArmComparison) -> str:
    found = one.found
    gain = f"{found.effect:+.4g} ({found.effect_low:+.4g} to {found.effect_high:+.4g})"
    lift = f"lift {found.lift:+.1%} ({found.low:+.1%} to {found.high:+.1%})"
    adjusted = ", adjusted by the time before" if one.is_adjusted else ""
    spent = "always valid" if one.spent is None else f"error spent {one.spent:.2g}"
    shown = f"{gain}, {lift}, p = {found.p_value:.2g}, bound {one.bound:.2f}, {spent}{adjusted}"
    return f"{one.arm:<12} {one.verdict:<6} {shown}"


def _guardrail(one: ArmGuardrail) -> str:
    low, high = one.found.low, one.found.high
    gain = f"gain {one.found.gain:+.4g} (one-sided {low:+.4g}, {high:+.4g})"
    rule = f"guardrail {one.metric}, margin {one.margin:g}"
    return f"{one.arm:<12} {one.found.verdict:<6} {rule}: {gain}"


def _interval(value: float, low: float | None, high: float | None) -> str:
    ends = [math.nan if end is None else end for end in (low, high)]
    return f"{value:.4g} ({ends[0]:.4g} to {ends[1]:.4g})"
