"""The rules that reorder candidates, one by one: properties of any lists."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.rules.boost import boosted, factors
from batch.rules.cost import cheaper, standard_costs
from batch.rules.diversity import diversified, genre_vectors, of_length_1
from batch.rules.exploration import Draw, explored
from batch.rules.lists import standardised
from batch.rules.parse_boost import parse_boost
from batch.topk import NO_ITEM, TopK
from stream.experiments.statistics.plackett_luce import conditional_propensities
from tests.batch.made_rules import N_ITEMS, SEEDS, made_context, made_item, made_lists, names_of

SHARES = st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0])
GENRES = ("Comedy", "Drama", "Horror", "War")
N_LIST, N_KEPT = 5, 8


def costs_of(seed):
    random = np.random.default_rng(seed)
    costs = [None if row % 7 == 0 else float(random.integers(0, 5)) for row in range(N_ITEMS)]
    return [made_item(cost=cost) for cost in costs]


def genres_of(seed):
    random = np.random.default_rng(seed)
    return [
        made_item(genres=tuple(np.array(GENRES)[random.random(4) < 0.4])) for _ in range(N_ITEMS)
    ]


def explore(lists, n=2, seed=3, temperature=5.0, first=0):
    """Explore the lists of the users `first`, `first` + 1 and so on."""
    user_ids = [f"u{first + row}" for row in range(len(lists.item_rows))]
    draw = Draw(n, temperature, str(seed))
    return explored(lists, draw, user_ids, n_list=N_LIST, n_kept=N_KEPT)


def factor_of(seed):
    return np.random.default_rng(seed).choice([0.1, 1, 1, 3], N_ITEMS)


RULES = {
    "boost": lambda lists, seed: boosted(standardised(lists), factor_of(seed)),
    "cost": lambda lists, seed: cheaper(standardised(lists), standard_costs(costs_of(seed)), 0.4),
    "diversity": lambda lists, seed: diversified(
        lists, genre_vectors(genres_of(seed)), N_KEPT, 0.4
    ),
    "exploration": lambda lists, seed: explore(lists, 2, seed),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@given(SEEDS)
def test_a_rule_only_reorders(rule, seed):
    """Each user keeps the same items, without repeats, and with empty places last."""
    lists = made_lists(seed)
    found = rule(lists, seed)
    assert np.array_equal(np.sort(found.item_rows), np.sort(lists.item_rows))
    is_item = found.item_rows != NO_ITEM
    assert (np.diff(is_item.astype(int), axis=1) <= 0).all()
    assert np.array_equal(np.isfinite(found.scores), is_item)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@given(SEEDS)
def test_a_rule_is_deterministic(rule, seed):
    lists = made_lists(seed)
    assert np.array_equal(rule(lists, seed).item_rows, rule(lists, seed).item_rows)


# Standardised scores


@given(SEEDS, st.sampled_from([0.001, 1, 50]), st.sampled_from([-9, 0, 100]))
def test_standardised_scores_are_invariant_to_scale_and_shift(seed, scale, shift):
    """Neither changes the standardised scores of a user, or the order."""
    lists = made_lists(seed)
    moved = TopK(lists.item_rows, (lists.scores.astype(np.float64) * scale + shift))
    here, there = standardised(lists), standardised(moved)
    assert here.scores == pytest.approx(there.scores, abs=1e-4)
    assert np.array_equal(here.item_rows, lists.item_rows)
    for rows, scores in zip(lists.item_rows, here.scores, strict=True):
        known = scores[rows != NO_ITEM].astype(np.float64)
        assert (np.diff(known) <= 0).all()
        if len(known) > 1 and known.std() > 0:
            assert (known.mean(), known.std()) == pytest.approx((0, 1), abs=1e-5)


# Boosts


@given(SEEDS)
def test_boosts_of_1_do_not_change_the_order(seed):
    lists = standardised(made_lists(seed))
    assert np.array_equal(boosted(lists, np.ones(N_ITEMS)).item_rows, lists.item_rows)


@given(SEEDS, st.sampled_from([1.01, 2, 1e6]))
def test_a_larger_boost_never_gives_a_worse_rank(seed, factor):
    """With scores of any sign; the other items keep their order."""
    lists = standardised(made_lists(seed))
    one = int(lists.item_rows.max())
    weights = np.where(np.arange(N_ITEMS) == one, factor, 1.0)
    for before, after in zip(names_of(lists), names_of(boosted(lists, weights)), strict=True):
        assert [row for row in before if row != one] == [row for row in after if row != one]
        if one in before:
            assert after.index(one) <= before.index(one)
            assert factor < 1e6 or after.index(one) == 0


def test_a_boost_is_a_factor_on_odds():
    """Twice the odds, below 0 as well: items are ranked by e to the score, times 2."""
    scores = np.array([[0.5, -0.1, -0.5]], np.float32)
    lists = TopK(np.array([[0, 1, 2]], np.int32), scores)
    found = boosted(lists, np.array([1.0, 2.0, 1.0]))
    assert found.item_rows.tolist() == [[1, 0, 2]]
    assert np.exp(found.scores) == pytest.approx(np.exp([[-0.1 + np.log(2), 0.5, -0.5]]))


def test_boosts_of_an_item_multiply():
    items = [made_item(genres=("War",), language="fr", year=1999), made_item(year=2000)]
    context = made_context(items)
    texts = ("genre:War=0.5", "language:fr=3", "year:1990-1999=2", "year:2000=5", "item:i1=0.5")
    assert factors([parse_boost(text) for text in texts], context).tolist() == [3, 2.5]
    assert context.warnings == []


def test_a_boost_of_0_or_less_hides_the_item():
    """Other boosts of the item do not count."""
    context = made_context([made_item(genres=("War",))])
    for number in ("0", "-1"):
        texts = ("item:i0=9", f"genre:War={number}", "item:i0=9")
        assert factors([parse_boost(text) for text in texts], context).tolist() == [0]


def test_a_boost_that_matches_no_item_gives_a_warning():
    context = made_context([made_item(genres=("War",))])
    factors([parse_boost("genre:war=2")], context)
    assert context.warnings == ["boosts: genre:war matches no item"]


def test_the_id_of_a_boost_may_contain_colons():
    """Ids cannot contain an equals sign."""
    boost = parse_boost("item:a:b=-2.5")
    assert (boost.field, boost.value, boost.factor) == ("item", "a:b", -2.5)


@pytest.mark.parametrize(
    "text",
    ["", "Horror=2", "genre:=2", "genre:Horror", "genre:Horror=", "genre:Horror=much",
     "genre:Horror=nan", "genre:Horror=inf", "gnere:Horror=2", "year:nineties=2", "year:1-2-3=1"],
)  # fmt: skip
def test_an_invalid_boost_is_an_error(text):
    with pytest.raises(ValueError, match="is not a valid boost; write e") as error:
        parse_boost(text)
    assert repr(text) in str(error.value)


# Cost


@given(SEEDS)
def test_a_cost_weight_of_0_keeps_the_order(seed):
    lists = standardised(made_lists(seed))
    found = cheaper(lists, standard_costs(costs_of(seed)), 0.0)
    assert np.array_equal(found.item_rows, lists.item_rows)


@given(SEEDS)
def test_a_cost_weight_of_1_sorts_by_cost(seed):
    """An unknown cost counts as the mean; items of equal cost keep their order."""
    lists = standardised(made_lists(seed))
    items = costs_of(seed)
    mean = np.mean([item.cost for item in items if item.cost is not None])
    cost = [mean if item.cost is None else item.cost for item in items]
    found = cheaper(lists, standard_costs(items), 1.0)
    for before, after in zip(names_of(lists), names_of(found), strict=True):
        assert after == sorted(before, key=lambda row: cost[row])


@given(SEEDS)
def test_a_larger_cost_weight_never_makes_a_list_dearer(seed):
    """The cost of a list does not rise with the weight."""
    lists = standardised(made_lists(seed))
    costs = standard_costs(costs_of(seed))
    spent = []
    for weight in (0.0, 0.3, 0.6, 0.9, 1.0):
        kept = cheaper(lists, costs, weight).item_rows[:, :N_LIST]
        spent.append(np.where(kept == NO_ITEM, 0, costs[kept]).sum(axis=1, dtype=np.float64))
    assert (np.diff(spent, axis=0) <= 1e-4).all()


def test_unknown_or_equal_costs_have_no_effect():
    assert standard_costs([made_item(), made_item()]).tolist() == [0, 0]
    assert standard_costs([made_item(cost=3.0), made_item(cost=3.0)]).tolist() == [0, 0]


# Diversity


@given(SEEDS)
def test_a_diversity_of_0_keeps_the_order(seed):
    lists = made_lists(seed)
    found = diversified(lists, genre_vectors(genres_of(seed)), N_KEPT, 0.0)
    assert np.array_equal(found.item_rows, lists.item_rows)
    assert np.array_equal(found.scores, lists.scores)


@given(SEEDS, SHARES)
def test_diversity_follows_its_formula(seed, weight):
    """Compared with the formula for one user, place and candidate at a time."""
    lists = made_lists(seed, n_users=3)
    random = np.random.default_rng(seed)
    vectors = of_length_1(random.normal(size=(N_ITEMS, 3)).astype(np.float32))
    found = diversified(lists, vectors, N_KEPT, weight)
    for rows, scores, after in zip(lists.item_rows, lists.scores, found.item_rows, strict=True):
        left = [(row, score) for row, score in zip(rows, scores, strict=True) if row != NO_ITEM]
        if not left:
            continue
        low, high = left[-1][1], left[0][1]
        chosen: list[int] = []
        for row in after[: min(N_KEPT, len(left))]:
            values = {}
            for other, score in left:
                relevance = (score - low) / (high - low) if high > low else 0
                similarity = max([0, *(float(vectors[other] @ vectors[one]) for one in chosen)])
                values[other] = (1 - weight) * relevance - weight * similarity
            assert values[row] == pytest.approx(max(values.values()), abs=1e-5)
            chosen.append(row)
            left = [(other, score) for other, score in left if other != row]
        rest = [row for row in rows if row != NO_ITEM and row not in chosen]
        assert [row for row in after if row != NO_ITEM][len(chosen) :] == rest


def test_a_diversity_of_1_chooses_the_best_item_and_then_dissimilar_ones():
    items = [made_item(genres=(genre,)) for genre in ("War", "War", "Drama", "War", "Comedy")]
    scores = np.array([[5, 4, 3, 2, 1]], np.float32)
    lists = TopK(np.array([[0, 1, 2, 3, 4]], np.int32), scores)
    found = diversified(lists, genre_vectors(items), 3, 1.0)
    assert found.item_rows.tolist() == [[0, 2, 4, 1, 3]]


def test_items_without_a_genre_have_no_similarity():
    assert genre_vectors([made_item(), made_item()]).tolist() == [[0], [0]]
    vectors = genre_vectors([made_item(genres=("War", "Drama")), made_item(genres=("War",))])
    assert vectors @ vectors.T == pytest.approx(np.array([[1, 0.5**0.5], [0.5**0.5, 1]]))


# Exploration


@given(SEEDS, st.integers(1, N_LIST))
def test_explored_items_are_in_the_last_places(seed, n):
    """They come from the pool; the others of it follow in their order, the rest stays."""
    lists = made_lists(seed)
    for before, after in zip(names_of(lists), names_of(explore(lists, n, seed)), strict=True):
        n_fixed = N_LIST - n
        assert after[:n_fixed] == before[:n_fixed]
        assert after[N_KEPT:] == before[N_KEPT:]
        drawn = after[n_fixed:N_LIST]
        assert set(drawn) <= set(before[n_fixed:N_KEPT])
        rest = [row for row in before[n_fixed:N_KEPT] if row not in drawn]
        assert after[N_LIST:N_KEPT] == rest


def test_the_draw_depends_on_salt_and_user_alone():
    """Not on the users beside them, nor on the length of their lists."""
    lists = made_lists(1, n_users=50, k=30)
    found = explore(lists, 2, 1).item_rows
    assert not np.array_equal(found, explore(lists, 2, 2).item_rows)
    for first in (0, 17):
        part = TopK(lists.item_rows[first : first + 9], lists.scores[first : first + 9])
        assert np.array_equal(explore(part, 2, 1, first=first).item_rows, found[first : first + 9])


@pytest.mark.parametrize("temperature", [1.0, 5.0, 100.0])
def test_draws_have_the_propensities_of_plackett_luce(temperature):
    """Chi-square over all ordered pairs of the pool of 5, below its quantile of 99.9 %."""
    n_users, n_pool = 20_000, N_KEPT - N_LIST + 2
    lists = TopK(*(np.tile(np.arange(N_KEPT, dtype=kind), (n_users, 1)) for kind in "if"))
    drawn = explore(lists, 2, 5, temperature).item_rows[:, N_LIST - 2 : N_LIST] - (N_LIST - 2)
    orders = np.array([*itertools.permutations(range(n_pool), 2)])
    log_weights = np.repeat(-np.arange(n_pool)[None] / temperature, len(orders), axis=0)
    expected = n_users * conditional_propensities(log_weights, orders).prod(axis=1)
    counts = (drawn[:, None] == orders).all(axis=2).sum(axis=0)
    assert counts.sum() == n_users == pytest.approx(expected.sum())
    assert ((counts - expected) ** 2 / expected).sum() < 43.8  # 19 degrees of freedom
