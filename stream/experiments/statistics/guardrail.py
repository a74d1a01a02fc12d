"""Guardrails: metrics that a treatment must not worsen by more than a margin, at any look.

    -margin            0
    ───┼───────────────┼────────► effect
    (──)                          stop: worse than the margin, by the upper sequence
         (──────────)             clear: not worse than the margin, by the lower sequence
    (─────────)                   open

Each side is a one-sided confidence sequence, so an arm may be stopped at any look from
`MIN_USERS` users on.
"""

import math
from typing import Final, NamedTuple

from batch.errors import InputError
from stream.experiments.statistics.confidence_sequences import mixture_scale, one_sided_multiplier
from stream.experiments.statistics.designs import ALPHA, MIN_USERS
from stream.experiments.statistics.effects import Effect

STOP: Final = "stop"
CLEAR: Final = "clear"
OPEN: Final = "open"


class Guardrail(NamedTuple):
    """A limit on the worsening of a metric.

    Attributes:
        margin: Largest worsening that is accepted, in the unit of the effect; at least 0.
        n_planned: Number of users of both arms at which the sequences are narrowest.
        is_higher_better: Whether more is better, as for ratings; not for latency or cost.
        alpha: Error of each side.
    """

    margin: float
    n_planned: int
    is_higher_better: bool = True
    alpha: float = ALPHA

    def check(self, effect: Effect) -> "GuardrailResult":
        """Return the verdict on an effect, treatment less control.

        Raises:
            InputError: The margin is negative or not finite.
        """
        if not 0 <= self.margin < math.inf:
            raise InputError("guardrail", f"{self.margin} is not a valid margin", "give 0 or more")
        multiplier = math.inf
        if effect.n_users >= MIN_USERS:
            scale = mixture_scale(self.n_planned, 2 * self.alpha)
            multiplier = one_sided_multiplier(effect.n_users, scale, self.alpha)
        gain = effect.value if self.is_higher_better else -effect.value
        low, high = effect._replace(value=gain).interval(multiplier)
        verdict = STOP if high < -self.margin else CLEAR if low > -self.margin else OPEN
        return GuardrailResult(verdict, gain, low, high)


class GuardrailResult(NamedTuple):
    """The verdict of a guardrail.

    Attributes:
        verdict: `stop`, `clear` or `open`.
        gain: Effect, positive where the treatment is better.
        low: Lower one-sided bound of the gain.
        high: Upper one-sided bound of the gain.
    """

    verdict: str
    gain: float
    low: float
    high: float
