"""The trial: the choice of the last day and its users, and the quality of the lists."""

from datetime import UTC, datetime

import numpy as np
import pytest
import scipy.sparse as sp

from batch.gate.settings import GateSettings
from batch.gate.trial import LastDay, evaluate_last_day, last_day
from batch.learn import known_times
from batch.models.popularity import Popularity
from batch.topk import NO_ITEM
from batch.unavailable import Unavailable

DAY = 86_400
N_USERS, N_ITEMS = 300, 40
GATE = GateSettings()


def two_weeks(seed: int = 1) -> tuple[sp.csr_matrix, np.ndarray]:
    """Each user has 6 items, at any time of 14 days; the latest moment is 14 · DAY."""
    random = np.random.default_rng(seed)
    items = np.stack([np.sort(random.choice(N_ITEMS, 6, replace=False)) for _ in range(N_USERS)])
    weights = sp.csr_matrix(
        (np.ones(items.size, np.float32), items.ravel(), np.arange(0, items.size + 1, 6)),
        shape=(N_USERS, N_ITEMS),
    )
    at = random.integers(1, 14 * DAY, items.size)
    at[0] = 14 * DAY
    return weights, at


def split(seen_until: int | None, **settings) -> LastDay:
    day = last_day(
        *two_weeks(), seen_until, GateSettings(min_evaluated_users=20, **settings), seed=1
    )
    assert isinstance(day, LastDay), day
    return day


def latest_of(day: LastDay) -> int:
    """Return the time of the latest training interaction."""
    assert day.split.at is not None
    return int(day.split.at.max())


# Which day


def test_the_last_day_is_the_test_side():
    """Everything of the last 24 hours is on the test side, the rest on the training side."""
    weights, at = two_weeks()
    day = split(None)
    n_last = int((at > 13 * DAY).sum())
    assert day.split.train.nnz == weights.nnz - n_last
    assert latest_of(day) <= 13 * DAY
    assert 20 <= len(day.split.user_rows) <= n_last
    assert not day.is_new_to_served


def test_served_lists_are_evaluated_on_events_after_their_training():
    """If the parent was trained on half of the last day, both are evaluated on the other half."""
    day = split(13 * DAY + DAY // 2)
    assert day.is_new_to_served
    assert latest_of(day) > 13 * DAY


def test_an_old_parent_is_evaluated_on_the_last_day_alone():
    """The days between its training and the last day are training data."""
    day = split(7 * DAY)
    assert day.is_new_to_served
    assert latest_of(day) <= 13 * DAY


def test_a_parent_trained_on_everything_is_not_evaluated():
    """The new model still is evaluated on the last day."""
    day = split(14 * DAY)
    assert not day.is_new_to_served
    assert latest_of(day) <= 13 * DAY


def test_the_number_of_evaluated_users_is_limited():
    """The sample is the same for the same seed."""
    days = [split(None, max_evaluated_users=25) for _ in range(2)]
    assert [len(day.split.user_rows) for day in days] == [25, 25]
    assert np.array_equal(days[0].split.user_rows, days[1].split.user_rows)
    assert days[0].split.test.shape == days[0].split.fold_in.shape == (25, N_ITEMS)


def test_a_missing_trial_has_a_reason():
    """No times, a single day, too few users, no user on both sides: a reason each."""
    weights, at = two_weeks()
    assert last_day(weights, np.zeros_like(at), None, GATE, 1) == Unavailable(
        "the events have no times"
    )
    assert last_day(weights, at % DAY + 1, None, GATE, 1) == Unavailable(
        "no user has events both on the last day and before it"
    )
    late = np.where(np.arange(len(at)) % 6 > 1, 14 * DAY - 5, at % DAY + 1)
    assert last_day(weights, late, None, GATE, 1) == Unavailable("most events are of the last day")
    few = last_day(
        weights, at, None, GateSettings(min_evaluated_users=N_USERS, max_evaluated_users=N_USERS), 1
    )
    assert isinstance(few, Unavailable)
    assert few.reason.startswith("only ")


def test_times_in_the_future_are_unknown():
    """An event of the year 2099 must not make every other event old."""
    at = np.array([5, 10 * DAY, 10 * DAY + 1, 4_000_000_000])
    now = datetime.fromtimestamp(9 * DAY, UTC)
    times = known_times(at, not_after=now)
    assert times is not None
    assert times.tolist() == [5, 10 * DAY, 0, 0]


# The quality of the lists


def test_lists_are_evaluated_on_the_last_day():
    """Served lists of exactly the watched items have an NDCG of 1, empty ones of 0."""
    day = split(13 * DAY)
    popular = Popularity().fit(day.split.train)
    perfect = np.full((len(day.split.user_rows), 20), NO_ITEM, np.int32)
    for row, place in zip(*day.split.test.nonzero(), strict=True):
        perfect[row, np.argmin(perfect[row])] = place
    found = evaluate_last_day(popular, day, perfect)
    assert found.ndcg["served"].mean == pytest.approx(1)
    assert found.change["served"].high < 0
    assert found.change["popular"] == (0, 0, 0)  # the new model is popularity itself here
    found = evaluate_last_day(popular, day, np.full_like(perfect, NO_ITEM))
    assert found.ndcg["served"].mean == 0
    assert found.change["served"].mean == found.ndcg["new"].mean > 0


def test_served_lists_trained_on_the_day_are_left_out():
    """The trial has the reason, and so it does without a parent."""
    day = split(14 * DAY)
    popular = Popularity().fit(day.split.train)
    lists = np.zeros((len(day.split.user_rows), 20), np.int32)
    found = evaluate_last_day(popular, day, lists)
    assert found.missing == {"served": "the served snapshot was trained on the last day"}
    assert set(found.ndcg) == {"new", "popular"}
    found = evaluate_last_day(popular, day, None)
    assert found.missing == {"served": "no snapshot is served yet"}
