"""The learning curve: what is measured, at which sweeps, and of which models."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp

from batch.evaluation.splits import Split
from batch.gate.learning_curve import LearningCurve
from batch.gate.trial import LastDay
from batch.models.choose import recommender
from batch.models.factors import Factors
from batch.models.sweep import Sweep
from batch.settings import MODELS, BatchSettings
from batch.unavailable import Unavailable

N_USERS, N_ITEMS = 60, 30
SETTINGS = BatchSettings(n_factors=4, ials_factors=4, iterations=5, ials_iterations=4,
                         bpr_iterations=6, holdout_users=0, n_threads=1)  # fmt: skip


@pytest.fixture(scope="module")
def day():
    """Each user has one item in training, and watches the next one on the last day."""
    user_rows = np.arange(N_USERS)
    train, test = (
        sp.csr_matrix((np.ones(N_USERS, np.float32), (user_rows, (user_rows + later) % N_ITEMS)),
                      shape=(N_USERS, N_ITEMS))
        for later in (0, 1)
    )  # fmt: skip
    return LastDay(Split("time", train, None, user_rows, train, test), is_new_to_served=False)


def sweep_of(day, ranks):
    """Return a sweep after which the item of the last day has a rank, of each user."""
    scores = np.zeros((N_USERS, N_ITEMS), np.float32)
    for user, rank in enumerate(ranks):
        seen, relevant = (side[user].indices[0] for side in (day.split.train, day.split.test))
        others = [item for item in range(N_ITEMS) if item not in (seen, relevant)]
        order = [*others[: rank - 1], relevant, *others[rank - 1 :], seen]
        scores[user, order] = np.arange(N_ITEMS, 0, -1)
    return Sweep("als", Factors(np.eye(N_USERS, dtype=np.float32), np.ascontiguousarray(scores.T)))


def test_the_values_are_the_ndcg_of_the_rank_on_the_last_day(day):
    curve = LearningCurve(day, seed=1, n_threads=1)
    for ranks in ([25] * N_USERS, [1] * 30 + [3] * 30, [1] * N_USERS):
        curve(sweep_of(day, ranks))
        curve()  # a step that is not a sweep
    assert curve.metrics() == {
        "learning_curve": {"n_users": N_USERS, "models": {"als": [[1, 0.0], [2, 0.75], [3, 1.0]]}}
    }


def test_long_trainings_are_measured_at_ever_fewer_sweeps(day):
    curve = LearningCurve(day, seed=1, n_threads=1)
    sweep = sweep_of(day, [1] * N_USERS)
    for _ in range(100):
        curve(sweep)
    points = curve.metrics()["learning_curve"]["models"]["als"]
    assert [sweep for sweep, _ in points] == [
        1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 27, 33, 41, 51, 63, 78, 97
    ]  # fmt: skip


def test_without_a_last_day_nothing_is_measured(day):
    curve = LearningCurve(Unavailable("the events have no times"), seed=1, n_threads=1)
    curve(sweep_of(day, [1] * N_USERS))
    assert curve.metrics() == {}


@pytest.mark.parametrize("name", [name for name in MODELS if name != "auto"])
def test_models_with_sweeps_report_each(name):
    """The factors are those of the sweep: they change, and the last ones are the model's."""
    random = np.random.default_rng(1)
    weights = sp.csr_matrix((random.random((40, 20)) < 0.3).astype(np.float32))
    found = []

    def on_step(sweep: Sweep | None = None) -> None:
        if sweep is not None:
            users, items = sweep.factors
            found.append((sweep.model, np.asarray(users) @ np.asarray(items).T))

    fitted = recommender(name, SETTINGS).fit(weights, n_threads=1, on_step=on_step)
    n_sweeps = {"als": 5, "ials": 4, "bpr": 6}.get(name, 0)
    assert [model for model, _ in found] == [name] * n_sweeps
    if n_sweeps:
        scores = [found for _, found in found]
        assert not any(np.array_equal(a, b) for a, b in pairwise(scores))
        is_close = np.corrcoef(scores[-1].ravel(), fitted.scores(np.arange(40)).ravel())[0, 1]
        assert is_close > 0.97
