"""Estimates from logs: the click-through of a new generation, from what an old one answered.

    old generation   1 2 … 17 │ a b c    the last places drawn, by known weights
    new generation   1 2 … 17 │ …        the same candidates, drawn by other weights
    clicks on a, b, c  ×  weight P_new / P_old  ─►  clicks as if the new one had answered

| weights   | of rank l                                | exact if a click depends on         |
| --------- | ---------------------------------------- | ----------------------------------- |
| rank-wise | P(item at l) new ÷ old                   | the item and its rank               |
| cascade   | product over the ranks down to l         | the items above as well             |

Weights are clipped. There is no answer where few users carry the estimate, or where the new
lists lie outside of what the old generation could have drawn.

Source:
    Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay and Wen, "Offline Evaluation of Ranking
    Policies with Click Models", KDD 2018 (rank-wise); McInerney, Brost, Chandar, Mehrotra and
    Carterette, "Counterfactual Evaluation of Slate Recommendations with Sequential Reward
    Interactions", KDD 2020 (cascade).
"""

from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Doubles, Flags, Rows
from stream.experiments.statistics.rates import ArmRate, user_sums

MAX_WEIGHT: Final = 10.0
MIN_EFFECTIVE_USERS: Final = 1000.0
MIN_EFFECTIVE_SHARE: Final = 0.1
MAX_UNSUPPORTED: Final = 0.1
_Z: Final = 1.959964


class LogEntries(NamedTuple):
    """What an old generation's lists got, one row a user.

    Attributes:
        requests: (n_users,) requests of the user.
        fixed_clicks: (n_users,) clicks on the places that are not drawn.
        drawn_clicks: (n_users, n_places) clicks on each drawn place.
    """

    requests: Doubles
    fixed_clicks: Doubles
    drawn_clicks: Doubles


class LogEstimate(NamedTuple):
    """The expected click-through of a new generation.

    Attributes:
        value: Estimate; NaN without an answer.
        low: Lower end of its 95 % interval, by user; NaN without an answer.
        high: Upper end; NaN without an answer.
        effective_users: Effective sample size, of the rank where it is smallest.
        clipped_share: Share of the weights' sum that was cut off.
        unsupported_share: Share of the new lists that the old generation could not draw.
        reason: Reason why there is no answer; empty with one.
    """

    value: float
    low: float
    high: float
    effective_users: float
    clipped_share: float
    unsupported_share: float
    reason: str


def cascade_weights(new: Doubles, old: Doubles) -> Doubles:
    """Return (n_users, n_places) weights from probabilities given the ranks above."""
    return np.asarray(np.cumprod(new / old, axis=1))


def estimate(entries: LogEntries, weights: Doubles, is_supported: Flags) -> LogEstimate:
    """Return the estimate, or the reason why there is none.

    Args:
        entries: Clicks and requests of the old generation's users.
        weights: (n_users, n_places) P_new / P_old of what was shown: a quotient of
            `rank_propensities`, or `cascade_weights`.
        is_supported: (n_users,) whether the old generation could have drawn the user's new
            list: equal places before the drawn ones, and the same candidates. Others are
            left out.
    """
    unsupported = 1 - float(is_supported.mean()) if len(is_supported) else 1.0
    kept = weights[is_supported]
    clipped = np.minimum(kept, MAX_WEIGHT)
    total = float(kept.sum())
    cut = 1 - float(clipped.sum()) / total if total else 0.0
    effective = _effective_users(clipped)
    reason = _refusal(effective, len(kept), unsupported)
    if reason:
        return LogEstimate(np.nan, np.nan, np.nan, effective, cut, unsupported, reason)
    clicks = entries.fixed_clicks[is_supported] + (
        clipped * entries.drawn_clicks[is_supported]
    ).sum(axis=1)
    rate = user_sums(clicks, entries.requests[is_supported]).rate()
    width = _Z * np.sqrt(rate.squared_error)
    return LogEstimate(
        rate.rate, rate.rate - width, rate.rate + width, effective, cut, unsupported, ""
    )


def position_curve(entries: LogEntries, old: Doubles, n_candidates: int | Rows) -> list[ArmRate]:
    """Return the click-through of each drawn place, as if all candidates were equally likely.

    The quotient of two places is that of their examination: the items are the same.

    Args:
        entries: Clicks and requests of the old generation's users.
        old: (n_users, n_places) probability of what was shown at each rank, from
            `rank_propensities`.
        n_candidates: Number of candidates of a user, or (n_users, 1) one for each.
    """
    weights = 1 / (n_candidates * old)
    return [
        user_sums(weights[:, rank] * entries.drawn_clicks[:, rank], entries.requests).rate()
        for rank in range(old.shape[1])
    ]


def _effective_users(weights: Doubles) -> float:
    """Return (Σ w)² / Σ w² of the rank where it is smallest."""
    squares = (weights**2).sum(axis=0)
    sizes = weights.sum(axis=0) ** 2 / np.where(squares > 0, squares, 1)
    return float(sizes.min()) if len(weights) else 0.0


def _refusal(effective: float, n_users: int, unsupported: float) -> str:
    if unsupported > MAX_UNSUPPORTED:
        return f"{unsupported:.0%} of the new lists could not have been drawn before"
    if effective < MIN_EFFECTIVE_USERS:
        return f"only {effective:,.0f} effective users, fewer than {MIN_EFFECTIVE_USERS:,.0f}"
    if effective < MIN_EFFECTIVE_SHARE * n_users:
        return f"only {effective / n_users:.0%} of the users carry the estimate"
    return ""
