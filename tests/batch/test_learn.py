"""Training with a trial on a sample of users: rows are never mixed up."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

import batch.learn as learn_module
from batch.gate.settings import GateSettings
from batch.gate.trial import Trial
from batch.interactions.build import Interactions, Ratings
from batch.learn import Learned, TrainingData, learn
from batch.models.factors import FittedFactors
from batch.settings import BatchSettings
from batch.stages import Stages
from batch.unavailable import Unavailable

N_USERS, N_ITEMS = 400, 40
DAY = 86_400
GATE = GateSettings(min_evaluated_users=20)
NO_PARENT = Unavailable("no snapshot is served yet")


def two_groups(*, with_times=True) -> Interactions:
    """Even users have twelve even items, odd users odd ones; two of each on the last day."""
    rng = np.random.default_rng(3)
    has = np.zeros((N_USERS, N_ITEMS), np.float32)
    for user in range(N_USERS):
        has[user, rng.choice(np.arange(user % 2, N_ITEMS, 2), 12, replace=False)] = 1
    weights = sp.csr_matrix(has)
    began_at = np.tile(np.r_[np.full(10, DAY), np.full(2, 10 * DAY)], N_USERS)
    no_rows = np.zeros(0, np.int64)
    return Interactions(
        pa.array([f"user{row:03}" for row in range(N_USERS)]),
        pa.array([f"item{row:02}" for row in range(N_ITEMS)]),
        weights,
        Ratings(no_rows, no_rows, no_rows.astype(np.float32), 5.0),
        Counter(),
        0,
        began_at if with_times else None,
    )


def learned(interactions, *, max_trial_interactions, model="auto", parent=NO_PARENT) -> Learned:
    """Train with a trial of at most so many interactions."""
    settings = BatchSettings(
        model=model, n_factors=4, holdout_users=50, n_neighbours=20, bpr_iterations=60, n_threads=1
    )
    return learn(
        TrainingData(interactions, interactions.began_at, {}),
        parent,
        settings,
        GATE,
        Stages(),
        max_trial_interactions=max_trial_interactions,
    )


def share_of_own_group(fitted):
    lists = fitted.top_k(8, n_threads=1).item_rows
    return (lists % 2 == np.arange(N_USERS)[:, None] % 2).mean()


def trial_of(found: Learned) -> Trial:
    assert isinstance(found.trial, Trial)
    return found.trial


@pytest.mark.parametrize("model", ["auto", "als", "item_knn", "bpr"])
@pytest.mark.parametrize("with_times", [True, False])
def test_all_users_get_lists_of_their_own_group(with_times, model):
    """With a trial of a hundred users, and without times, where no trial is possible."""
    interactions = two_groups(with_times=with_times)
    found = learned(interactions, max_trial_interactions=1200, model=model)
    assert isinstance(found.trial, Unavailable) is not with_times
    assert share_of_own_group(found.ranker) > 0.97
    assert share_of_own_group(found.vectors) > 0.97


def test_the_trial_evaluates_the_sampled_users_alone():
    """A hundred of four hundred users; all of them if the limit allows it."""
    interactions = two_groups()
    some, everyone = (
        trial_of(learned(interactions, max_trial_interactions=n)) for n in (1200, 10**6)
    )
    assert some.n_users == 100
    assert everyone.n_users == N_USERS


def test_served_lists_are_those_of_the_evaluated_users(monkeypatch):
    """Each user is served the items of their own last day, and NDCG is 1."""
    interactions = two_groups()
    last = interactions.weights.copy()
    last.data[:] = interactions.began_at == 10 * DAY
    last.eliminate_zeros()

    def served_lists(parent, user_ids, item_ids):
        rows = [int(name.removeprefix("user")) for name in user_ids]
        lists = np.full((len(rows), 20), -1, np.int32)
        lists[:, :2] = last.indices.reshape(N_USERS, 2)[rows]
        return lists

    monkeypatch.setattr(learn_module, "served_lists", served_lists)
    monkeypatch.setattr(learn_module, "seen_until", lambda parent: 5 * DAY)
    monkeypatch.setattr(learn_module, "initial_factors", lambda *_: Unavailable("none stored"))

    class Parent:
        generation = 7
        manifest = SimpleNamespace(parameters={})

    found = learned(interactions, max_trial_interactions=1200, parent=Parent())
    assert trial_of(found).ndcg["served"].mean == 1
    assert found.warm_start == "none: none stored"


def test_users_outside_of_the_sample_match_the_final_items():
    """Their vectors are close to those of folding them in."""
    interactions = two_groups()
    fitted = learned(interactions, max_trial_interactions=1200, model="als").ranker
    assert isinstance(fitted, FittedFactors)
    folded_in = fitted.fold_in(interactions.weights)
    assert np.allclose(fitted.user_factors, folded_in.user_factors, atol=0.02)
