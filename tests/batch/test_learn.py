"""Learning where not everybody is drawn for the trial: nobody is taken for somebody else."""

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

import batch.learn as learn_module
from batch.gate.settings import GateSettings
from batch.interactions.build import Interactions, Ratings
from batch.learn import learn
from batch.settings import BatchSettings
from batch.stages import Stages

N_USERS, N_ITEMS = 400, 40
DAY = 86_400
GATE = GateSettings(min_evaluated_users=20)


def two_tastes(*, with_times=True):
    """Even users have twelve even items, odd users odd ones; two of each on the last day."""
    rng = np.random.default_rng(3)
    has = np.zeros((N_USERS, N_ITEMS), np.float32)
    for user in range(N_USERS):
        has[user, rng.choice(np.arange(user % 2, N_ITEMS, 2), 12, replace=False)] = 1
    weights = sp.csr_matrix(has)
    began_at = np.tile(np.r_[np.full(10, DAY), np.full(2, 10 * DAY)], N_USERS)
    nothing = np.zeros(0, np.int64)
    return Interactions(
        pa.array([f"user{row:03}" for row in range(N_USERS)]),
        pa.array([f"item{row:02}" for row in range(N_ITEMS)]),
        weights,
        Ratings(nothing, nothing, nothing.astype(np.float32), 5.0),
        {},
        0,
        began_at if with_times else None,
    )


def learned(made, monkeypatch, *, few, model="auto", served="nothing is served yet"):
    """Learn, with a trial of so many interactions."""
    monkeypatch.setattr(learn_module, "_PER_ITEM", 1)
    monkeypatch.setattr(learn_module, "_FEW", few)
    settings = BatchSettings(
        model=model, n_factors=4, holdout_users=50, n_neighbours=20, bpr_iterations=60, n_threads=1
    )
    return learn(made, made.began_at, {}, served, settings, GATE, Stages())


def share_of_their_taste(fitted):
    lists = fitted.top_k(8, n_threads=1).item_rows
    return (lists % 2 == np.arange(N_USERS)[:, None] % 2).mean()


@pytest.mark.parametrize("model", ["auto", "als", "item_knn", "bpr"])
@pytest.mark.parametrize("with_times", [True, False])
def test_everybody_gets_lists_of_their_taste(with_times, model, monkeypatch):
    """With a trial of a hundred users, and where there can be no trial."""
    made = two_tastes(with_times=with_times)
    found = learned(made, monkeypatch, few=1200, model=model)
    assert isinstance(found.trial, str) is not with_times
    assert share_of_their_taste(found.fitted) > 0.97
    assert share_of_their_taste(found.taste) > 0.97


def test_the_trial_hears_only_who_was_drawn(monkeypatch):
    """A hundred of four hundred; all of them, if the lot is as large."""
    made = two_tastes()
    assert learned(made, monkeypatch, few=1200).trial.n_judged == 100
    assert learned(made, monkeypatch, few=10**6).trial.n_judged == N_USERS


def test_the_served_lists_are_those_of_the_users_judged(monkeypatch):
    """Served is what each had on the last day, and that is judged as perfect."""
    made = two_tastes()
    last = made.weights.copy()
    last.data[:] = made.began_at == 10 * DAY
    last.eliminate_zeros()

    def served_lists(served, user_ids, item_ids):
        rows = [int(name.removeprefix("user")) for name in user_ids]
        lists = np.full((len(rows), 20), -1, np.int32)
        lists[:, :2] = last.indices.reshape(N_USERS, 2)[rows]
        return lists

    monkeypatch.setattr(learn_module, "served_lists", served_lists)
    monkeypatch.setattr(learn_module, "seen_until", lambda served: 5 * DAY)
    monkeypatch.setattr(learn_module, "start_from", lambda *args: None)

    class Served:
        generation = 7

    assert learned(made, monkeypatch, few=1200, served=Served()).trial.ndcg["served"].mean == 1


def test_who_was_not_drawn_ends_beside_the_items_last_vectors(monkeypatch):
    """Their vectors are about what they would be if they came anew."""
    made = two_tastes()
    fitted = learned(made, monkeypatch, few=1200, model="als").fitted
    anew = fitted.fold_in(made.weights)
    assert np.allclose(fitted.user_factors, anew.user_factors, atol=0.02)
