"""Trust: new accounts move others' lists by little, and everybody keeps their own."""

import dataclasses
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from batch.events.parsed import ACCOUNTS
from batch.interactions.build import Interactions, Ratings
from batch.models.choose import recommender
from batch.settings import MODELS, BatchSettings
from batch.trust.ages import ages_of
from batch.trust.growth import list_limits, unsupported_items
from batch.trust.histories import AllHistories
from batch.trust.influence import influence_of, usual_ratio
from batch.trust.left_out import leave_out, rejoin
from batch.trust.settings import TrustSettings

DAY = 86_400
UNTIL = 100 * DAY
NOT_AFTER = datetime(2026, 11, 21, tzinfo=UTC)
N_USERS, N_ITEMS, N_NEW = 240, 30, 40
NO_ACCOUNTS = ACCOUNTS.empty_table()
SETTINGS = BatchSettings(
    n_factors=4, iterations=3, holdout_users=0, n_neighbours=10, bpr_iterations=20, n_threads=1,
    ials_factors=4, ials_iterations=3, spectral_factors=4, ease_regularization=20.0,
    graph_filter_singular_vectors=4, choice_seconds=0.01,
)  # fmt: skip


def service(*, begin_day=1, target_views=N_NEW):
    """Return interactions: 240 users since `begin_day`, then accounts of the last day on item 0."""
    random = np.random.default_rng(1)
    has = np.zeros((N_USERS + N_NEW, N_ITEMS), np.float32)
    for user in range(N_USERS):
        has[user, 1 + random.choice(N_ITEMS - 1, 8, replace=False)] = 1
    has[:20, 0] = 1
    has[N_USERS : N_USERS + target_views, 0] = 1
    for user in range(N_NEW):
        has[N_USERS + user, 1 + (3 * user + np.arange(3)) % (N_ITEMS - 1)] = 1
    weights = sp.csr_matrix(has)
    n_of = np.diff(weights.indptr)
    first = np.full(len(has), begin_day * DAY)
    first[N_USERS:] = UNTIL - DAY // 2
    at = np.repeat(first, n_of)
    is_last = np.append(np.diff(np.repeat(np.arange(len(has)), n_of)) > 0, True)
    at[is_last] = UNTIL  # the last item of every user
    rows = np.zeros(0, np.int64)
    return Interactions(
        pa.array([f"{row:04}" for row in range(len(has))]),
        pa.array([f"item{row:02}" for row in range(N_ITEMS)]),
        weights,
        Ratings(rows, rows, rows.astype(np.float32), 5.0),
        Counter(),
        0,
        at,
    )


def accounts(**created):
    """Return creations of accounts, by user id and day."""
    ids = pa.array([name.removeprefix("u") for name in created]).dictionary_encode()
    at = [int(day * DAY) for day in created.values()]
    return pa.table([ids.cast(ACCOUNTS.field(0).type), pa.array(at)], schema=ACCOUNTS)


@pytest.mark.parametrize("begin_day", [1, 60, 80])
def test_ages_come_from_first_events_if_these_span_over_30_days(begin_day):
    """In a shorter time, nothing is known, and all accounts are old."""
    ages = ages_of(service(begin_day=begin_day), NO_ACCOUNTS, NOT_AFTER)
    if begin_day == 80:
        assert not ages.are_known
        assert ages.days.min() > 10_000
    else:
        assert ages.source == "first events"
        np.testing.assert_allclose(ages.days[[0, N_USERS]], [100 - begin_day, 0.5])


def test_ages_come_from_the_creation_of_accounts_where_it_is_known():
    """Of two creations the first counts; unknown users and times change nothing."""
    created = pa.concat_tables([accounts(u0001=97, u9999=99), accounts(u0001=98, u0002=99)])
    ages = ages_of(service(begin_day=99), created.unify_dictionaries(), NOT_AFTER)
    assert ages.source == "create_account"
    np.testing.assert_allclose(ages.days[[1, 2]], [3, 1])
    assert ages.days[0] > 10_000  # not created while events were kept


def test_all_interactions_come_back():
    """`rejoin` is the inverse of `leave_out`, for any positions."""
    whole, random = service(), np.random.default_rng(2)
    for share in (0, 0.1, 1):
        positions = np.flatnonzero(random.random(whole.weights.nnz) < share)
        trusted, left_out = leave_out(whole, positions)
        assert trusted.weights.nnz == whole.weights.nnz - len(positions)
        back = rejoin(trusted, left_out)
        assert abs(back.weights - whole.weights).nnz == 0
        np.testing.assert_array_equal(back.began_at, whole.began_at)
        np.testing.assert_array_equal(
            left_out.user_rows, np.unique(whole.weights.nonzero()[0][positions])
        )


def left_out_of(whole, settings=TrustSettings(), suspects=(), doubtful=()):  # noqa: B008
    """Return the (user row, item row) of all interactions that are left out."""
    ages = ages_of(whole, NO_ACCOUNTS, NOT_AFTER)
    rows = (np.array(some, np.int64) for some in (suspects, doubtful))
    found = influence_of(whole, ages, settings, *rows).left_out(whole.weights, seed=7)
    users, items = whole.weights.nonzero()
    return users[found], items[found]


def test_young_accounts_are_left_out_and_others_are_not():
    """Accounts of half a day have a fourteenth of their influence; old ones have all of it."""
    users, _ = left_out_of(service())
    n_new = 4 * N_NEW
    assert users.min() >= N_USERS
    assert 0.85 * n_new < len(users) < n_new
    assert len(left_out_of(service(), TrustSettings(bounded=False))[0]) == 0


def test_young_accounts_weigh_little_on_an_item_that_few_others_have():
    """Accounts of nearly full influence: item 0, of 20 others, is held at 3 times the usual."""
    whole, settings = service(), TrustSettings(young_days=0.51)
    users, items = left_out_of(whole, settings)
    assert len(users)
    n_left = N_NEW - (items == 0).sum()
    assert n_left <= 12
    _, items = left_out_of(whole, TrustSettings(young_days=0.51, max_young_ratio=1000))
    assert (items == 0).sum() <= 3


def test_suspects_weigh_nothing_and_items_in_doubt_half():
    users, items = left_out_of(service(), TrustSettings(young_days=0), [3], [5])
    whole = service().weights
    assert (users == 3).sum() == whole[3].nnz
    n_of_item = whole[:, 5].nnz
    assert 0.3 * n_of_item < (items == 5).sum() < 0.7 * n_of_item
    assert set(items[users != 3]) == {5}


def test_the_usual_ratio_is_the_median_by_older_accounts():
    older, newer = np.array([100.0, 100, 100, 5]), np.array([3.0, 5, 4, 500])
    assert usual_ratio(newer, older) == 0.04
    assert usual_ratio(newer, np.zeros(4)) == np.inf


def test_items_without_old_accounts_are_not_supported():
    """Item 0 has 20 old accounts and 40 new ones, the others 66 and 4."""
    whole = service()
    ages = ages_of(whole, NO_ACCOUNTS, NOT_AFTER)
    rows = unsupported_items(whole, ages, TrustSettings())
    assert rows.tolist() == [0]
    no_ages = ages_of(service(begin_day=90), NO_ACCOUNTS, NOT_AFTER)
    assert not len(unsupported_items(whole, no_ages, TrustSettings()))


def test_limits_are_a_tenth_more_than_now_or_a_thousandth_of_all():
    now = {"held": 100, "rare": 3}
    assert list_limits(now, ["held", "rare", "new"], 20_000, TrustSettings()) == [110, 20, 20]
    assert list_limits({}, ["new"], 10, TrustSettings(max_growth=9)) == [1]


@pytest.mark.parametrize("model", MODELS)
def test_lists_are_made_from_all_items_of_each_user(model):
    """A model of trusted interactions: users with all items of theirs, the others unchanged."""
    whole = service()
    ages = ages_of(whole, NO_ACCOUNTS, NOT_AFTER)
    nothing = np.zeros(0, np.int64)
    influence = influence_of(whole, ages, TrustSettings(), nothing, nothing)
    trusted, left_out = leave_out(whole, influence.left_out(whole.weights, 7))
    assert len(left_out.user_rows)
    fitted = recommender(model, SETTINGS).fit(trusted.weights, at=trusted.began_at, n_threads=1)
    histories = AllHistories(whole.weights, whole.began_at, left_out.user_rows, 1)
    lists = histories.model(fitted).top_k(10, n_threads=1).item_rows
    is_seen = whole.weights.toarray() > 0
    assert not any(is_seen[user, items[items >= 0]].any() for user, items in enumerate(lists))
    others = np.setdiff1d(np.arange(len(lists)), left_out.user_rows)
    before = fitted.top_k(10, user_rows=others, n_threads=1).item_rows
    np.testing.assert_array_equal(lists[others], before)
    if model not in ("bpr", "last_items", "auto"):
        folded = fitted.fold_in(whole.weights).top_k(10, n_threads=1).item_rows
        np.testing.assert_array_equal(lists, folded)


def test_a_release_that_all_ages_watch_is_supported():
    """Old accounts have many items of long ago: new ones are few on all but the release."""
    whole, random = service(), np.random.default_rng(3)
    has = whole.weights.toarray()
    has[:, 0] = random.random(len(has)) < 0.4
    has[:N_USERS, 1:] = random.random((N_USERS, N_ITEMS - 1)) < 0.8
    weights = sp.csr_matrix(has)
    users, items = weights.nonzero()
    at = np.where((items == 0) | (users >= N_USERS), UNTIL - 1000, DAY)
    at[-1] = UNTIL
    released = dataclasses.replace(whole, weights=weights, began_at=at)
    ages = ages_of(released, NO_ACCOUNTS, NOT_AFTER)
    assert (ages.days < 1).sum() == N_NEW
    assert 0 not in unsupported_items(released, ages, TrustSettings())
