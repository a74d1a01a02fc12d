"""`auto`: the search for a blend, and the choice that later nights start from."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.sparse as sp

from batch.models import search as search_module
from batch.models.choice import Candidate, Choice, choice_of
from batch.models.choose import auto, recommender
from batch.models.families import FAMILIES, EstimatedCost, Extent, Family, Size, nightly_seconds
from batch.models.search import ChoiceSearch, SearchLimits
from batch.models.selection import Entrant, Margins, Selection
from batch.models.validation import split_validation
from batch.settings import BatchSettings
from batch.unavailable import Unavailable
from tests.batch.made_weights import some_weights

SETTINGS = BatchSettings(
    ials_factors=8, ials_iterations=6, ease_regularization=20.0, graph_filter_singular_vectors=4
)
NAMES = [field.name for field in dataclasses.fields(BatchSettings)]


def alike(n_users=1500, n_items=300):
    """Users who draw items alike: no list is better than the popular one."""
    rng = np.random.default_rng(4)
    share = 1 / np.arange(1, n_items + 1) ** 1.1
    has = sp.lil_matrix((n_users, n_items), dtype=np.float32)
    for user in range(n_users):
        has[user, rng.choice(n_items, 3, replace=False, p=share / share.sum())] = 1
    return sp.csr_matrix(has)


def in_groups():
    """Two groups that share no item."""
    rng = np.random.default_rng(4)
    has = np.zeros((400, 400), np.float32)
    for user in range(400):
        has[user, 200 * (user % 2) + rng.choice(200, 30, replace=False)] = 1
    return sp.csr_matrix(has)


@pytest.fixture
def few_families(monkeypatch):
    """Three families, one of each sort, so that a search takes a moment."""
    kept = [family for family in FAMILIES if family.model in ("popularity", "spectral", "rp3beta")]
    monkeypatch.setattr(search_module, "FAMILIES", kept)


def shares_of(fitted):
    return {
        part.model: share
        for part, share in zip(fitted.choice.parts, fitted.choice.shares, strict=True)
        if share
    }


def test_popularity_is_chosen_where_interactions_are_not_personal():
    """Everything else is n.s. at best; the vectors of the index are made all the same."""
    fitted = auto(SETTINGS).fit(alike(), n_threads=1)
    assert shares_of(fitted) == {"popularity": 1.0}
    assert len(fitted.vectors.item_factors) == 300
    assert any(one.why == "against popularity" for one in fitted.choice.tried)


def test_popularity_is_not_chosen_where_interactions_are_personal():
    """The counterpart: two groups."""
    fitted = auto(SETTINGS).fit(in_groups(), n_threads=1)
    assert "popularity" not in shares_of(fitted)
    rows = fitted.top_k(10).item_rows
    assert ((rows >= 200) == (np.arange(400) % 2 == 1)[:, None]).mean() > 0.97


def test_a_few_users_choose_nothing():
    """With fewer than 200 users to compare on, iALS and popularity are blended."""
    fitted = auto(SETTINGS).fit(in_groups()[:20], n_threads=1)
    assert shares_of(fitted) == {"ials": 1.0, "popularity": 0.25}
    assert "20 users" in fitted.choice.tried[0].why


def test_the_choice_is_the_same_on_any_number_of_threads():
    """So are the lists, to the bit."""
    one, two = (auto(SETTINGS).fit(in_groups(), n_threads=n) for n in (1, 2))
    assert one.choice == two.choice
    assert one.top_k(10).scores.tobytes() == two.top_k(10).scores.tobytes()


def test_a_given_choice_is_not_searched_for():
    """Its parts are fitted with its parameters."""
    parts = (
        Candidate("ease", {"ease_regularization": 5.0}),
        Candidate("ials", {"ials_factors": 3}),
    )
    choice = Choice(parts, (1.0, 0.0))
    fitted = auto(SETTINGS, choice=choice).fit(some_weights(), n_threads=1)
    assert fitted.choice is choice
    alone = recommender("ease", dataclasses.replace(SETTINGS, ease_regularization=5.0))
    expected = alone.fit(some_weights(), n_threads=1).top_k(10).item_rows
    assert np.array_equal(fitted.blend.top_k(10).item_rows, expected)
    assert fitted.vectors.item_factors.shape[1] == 3


def test_refitting_a_sample_gives_lists_for_everybody():
    """With the choice of the trial."""
    weights = some_weights()
    rows = np.arange(0, weights.shape[0], 2)
    model = auto(SETTINGS)
    trial = model.fit(weights[rows], n_threads=1)
    fitted = model.refit(trial, rows, weights, n_threads=1)
    assert fitted.choice == trial.choice
    assert (fitted.top_k(5).item_rows >= 0).all()


def test_a_blend_is_added_while_it_gains_significantly():
    """Two models that each know half of the users' groups: together they know both."""
    rng = np.random.default_rng(0)
    weights = in_groups()
    validation = split_validation(weights, None, 400, 1)
    truth = np.where(np.arange(400)[:, None] % 2 == (np.arange(400) >= 200), 1.0, 0.0)
    noise = rng.random((2, 400, 400))
    known = np.arange(400)[:, None] % 4 < 2
    left, right = (Given(np.where(known == side, truth, noise[side]), weights) for side in (0, 1))
    popular = Given(np.ones((400, 400)) * np.arange(400), weights)
    entrants = [
        entrant(name, model, validation)
        for name, model in (("popularity", popular), ("left", left), ("right", right))
    ]
    shares, found, tried = Selection(entrants, validation, Margins(), 1, 1).select()
    assert set(shares) == {1, 2}
    assert found.mean() > max(one.ndcg.mean() for one in entrants)
    assert tried[0].gain is not None
    assert tried[0].gain.low > 0


def test_what_takes_longer_every_night_must_gain_more():
    """An addition that is worth 10 s is not worth 1,000 s, nor one above the limit."""
    weights = in_groups()
    validation = split_validation(weights, None, 400, 1)
    truth = np.where(np.arange(400)[:, None] % 2 == (np.arange(400) >= 200), 1.0, 0.0)
    noise = np.random.default_rng(0).random((400, 400))
    half = Given(np.where(np.arange(400)[:, None] % 4 < 2, truth, noise), weights)
    popular = Given(np.ones((400, 400)) * np.arange(400), weights)

    def selected(max_seconds, seconds_of_better):
        entrants = [
            entrant("popularity", popular, validation),
            entrant("half", half, validation),
            dataclasses.replace(
                entrant("all", Given(truth, weights), validation),
                cost=EstimatedCost(last_seconds=seconds_of_better),
            ),
        ]
        selection = Selection(entrants, validation, Margins(max_seconds, 0.002, 1e-3), 1, 1)
        return set(selection.select()[0])

    assert 2 in selected(5_000.0, 10.0)
    assert 2 not in selected(5_000.0, 1_000.0)
    assert 2 not in selected(150.0, 151.0)


def test_one_model_that_scores_every_item_makes_the_blend_score_every_item():
    """Factors alone are searched together; beside such a model each scores all."""
    factors = EstimatedCost(scores_seconds=10.0, pruned_seconds=1.0)
    dense = EstimatedCost(scores_seconds=20.0, pruned_seconds=None)
    assert nightly_seconds([factors, factors]) == 2
    assert nightly_seconds([factors, factors, dense]) == 40


class Given:
    """A model of given scores."""

    def __init__(self, scores, seen):
        self.given = scores.astype(np.float32)
        self.seen = seen

    def scores(self, user_rows):
        return self.given[user_rows]


def entrant(name, model, validation):
    unknown = np.zeros(len(validation.user_rows))
    selection = Selection(
        [Entrant(Candidate(name, {}), model, unknown)], validation, Margins(), 1, 1
    )
    return Entrant(Candidate(name, {}), model, selection.evaluate([{0: 1.0}])[0])


def only(model):
    return lambda _: (Candidate(model, {}),)


def test_a_family_that_costs_too_much_is_left_out(monkeypatch):
    """The choice says so, with the estimate and the limit; the others are tried."""
    families = (
        Family("popularity", only("popularity"), lambda _: EstimatedCost()),
        Family("ials", only("ials"), lambda _: EstimatedCost(1, 1, 1)),
        Family("ease", only("ease"), lambda _: EstimatedCost(1, 9000, 1)),
        Family("rp3beta", only("rp3beta"), lambda _: EstimatedCost(700, 1, 1)),
        Family("item_knn", only("item_knn"), lambda _: EstimatedCost(1, 1, 100, 200, None)),
    )
    monkeypatch.setattr(search_module, "FAMILIES", families)
    choice = auto(SETTINGS).search(in_groups(), None, n_threads=1)
    why = {one.name: one.why for one in choice.tried if one.ndcg is None}
    assert why == {
        "ease": "memory: about 9,000 MiB, limit 4,000",
        "rp3beta": "training: about 700 s, limit 599",
        "item_knn": "every night: about 301 s, limit 300",
    }
    assert {"popularity", "ials"} <= {one.name.split()[0] for one in choice.tried if one.ndcg}


def test_a_model_that_does_not_fit_the_memory_is_left_out(monkeypatch):
    """The choice says so, and the others are compared."""
    monkeypatch.setattr("batch.models.ease.available_bytes", lambda: 1000)
    choice = auto(SETTINGS).search(in_groups(), None, n_threads=1)
    [why] = [one.why for one in choice.tried if one.name == "ease"]
    assert "GiB" in why
    assert all(part.model != "ease" for part in choice.parts)


def test_costs_grow_with_the_data():
    """They are estimates of the size alone, the same on every machine."""
    sizes = (in_groups(), sp.vstack([in_groups()] * 4))
    small, large = (Size.of(one, Extent(one.shape[0], one.nnz)) for one in sizes)
    for family in FAMILIES:
        if "popularity" in family.model:
            continue
        assert nightly_seconds([family.cost(small)]) < nightly_seconds([family.cost(large)])


def test_the_incumbent_stays_unless_another_choice_is_significantly_better(few_families):
    """The shares of a choice that is as good do not change; a bad choice is replaced."""
    weights = in_groups()
    make = auto(SETTINGS).search.make
    limits = SearchLimits()
    found = ChoiceSearch(make, limits)(weights, None, n_threads=1)
    as_good = dataclasses.replace(found, shares=tuple(1.01 * share for share in found.shares))
    kept = ChoiceSearch(make, limits, as_good)(weights, None, n_threads=1)
    assert kept.shares == as_good.shares
    bad = Choice((Candidate("popularity", {}), Candidate("ials", {})), (1.0, 0.0))
    groups = in_groups()
    replaced = ChoiceSearch(make, limits, bad)(groups, None, n_threads=1)
    assert replaced.parts[0].model != "popularity"
    assert any(one.why.startswith("against the choice so far") for one in replaced.tried)


def test_a_choice_in_a_manifest_is_read_back(few_families):
    """JSON keeps all that a later night needs."""
    choice = auto(SETTINGS).search(in_groups(), None, n_threads=1)
    document = json.loads(json.dumps(choice.as_json()))
    assert choice_of(document, NAMES) == choice
    assert document["tried"][0]["ndcg"]
    for one in document["tried"]:
        is_blend = " × " in one["name"]
        assert is_blend or one["ndcg"] is None or min(one["cost"].values()) > 0
        assert not is_blend or one["cost"] is None


@pytest.mark.parametrize(
    "document",
    [
        None, 7, "x", {}, {"parts": 1}, {"parts": [[]]}, {"parts": [{"model": "ials"}]},
        {"parts": [], "n_users": 1, "n_interactions": 1, "made_at": 0, "ndcg": 0},
        {"parts": [{"model": "ials", "parameters": {"gone": 1}, "share": 1}],
         "n_users": 1, "n_interactions": 1, "made_at": 0, "ndcg": 0},
        {"parts": [{"model": "ials", "parameters": 3, "share": "a"}]},
    ],
)  # fmt: skip
def test_a_choice_that_cannot_be_used_is_unavailable(document):
    """Of another version, damaged, or of a snapshot without one: a search is made."""
    assert isinstance(choice_of(document, NAMES), Unavailable)


def test_validation_holds_the_latest_tenth_of_the_items():
    """At least one of each user; without times a random one."""
    weights = in_groups()
    at = np.arange(weights.nnz)
    validation = split_validation(weights, at, 100, 3)
    assert len(validation.user_rows) == 100
    assert np.diff(validation.relevant.indptr).tolist() == [3] * 100
    for row, user in enumerate(validation.user_rows):
        last = weights.indices[weights.indptr[user + 1] - 3 : weights.indptr[user + 1]]
        assert set(validation.relevant[row].indices) == set(last)
        assert not set(validation.weights[user].indices) & set(last)
    assert validation.at is not None
    assert validation.weights.nnz == len(validation.at) == weights.nnz - 300
    no_times = split_validation(weights, None, 100, 3)
    assert no_times.relevant.indices.tolist() != validation.relevant.indices.tolist()
