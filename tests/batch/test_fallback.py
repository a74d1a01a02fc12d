"""Lists for users without one: what most have, in all and in each segment."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from batch.fallback import popular_items, segment_items
from batch.interactions import Interactions, Ratings
from batch.records.profiles import Profile

NOBODY = np.array([], np.int64)


def interactions(weights):
    """Return interactions of these weights, users being named 0, 1, 2 …"""
    weights = sp.csr_matrix(np.asarray(weights, np.float32))
    n_users, n_items = weights.shape
    return Interactions(
        user_ids=pa.array([str(row) for row in range(n_users)]),
        item_ids=pa.array([f"i{row}" for row in range(n_items)]),
        weights=weights,
        ratings=Ratings(NOBODY, NOBODY, NOBODY.astype(np.float32), 5.0),
        dropped=Counter(),
        n_users_without=0,
    )


def profiles(*people):
    """Return profiles of users 0, 1, 2 … from (age, gender)."""
    return {str(row): Profile(age, gender, None) for row, (age, gender) in enumerate(people)}


# --- popular ------------------------------------------------------------------------------


def test_popular_is_what_most_users_have():
    """Users are counted: two who tried an item outdo one who loved another."""
    assert popular_items(interactions([[2.0, 0.1, 0], [0, 0.1, 0.1], [0, 0.1, 0.1]]), 3) == [
        1,
        2,
        0,
    ]


def test_equal_counts_are_ordered_by_weight_then_by_row():
    """Among items of as many users the heavier is first, then the lower row."""
    assert popular_items(interactions([[1, 2, 1, 2, 1.5]]), 5) == [1, 3, 4, 0, 2]


def test_popular_is_cut_to_n():
    """No more than asked for, and no error where there are fewer."""
    assert popular_items(interactions([[3, 2, 1]]), 2) == [0, 1]
    assert popular_items(interactions([[3, 2, 1]]), 20) == [0, 1, 2]


def test_item_of_nobody_is_not_popular():
    """What no user has is in no list."""
    assert popular_items(interactions([[1, 0, 1]]), 20) == [0, 2]


def test_popular_rows_are_plain_integers():
    """Rows come as Python's integers, which the tables can look up."""
    assert {type(row) for row in popular_items(interactions([[1, 1]]), 2)} == {int}


# --- segments -----------------------------------------------------------------------------


@pytest.fixture
def two_groups():
    """20 women of 30 who have item 0, 40 men of 60 who have item 2, and all have item 1."""
    weights = np.zeros((60, 4), np.float32)
    weights[:20, 0], weights[20:, 2], weights[:, 1] = 1, 1, 0.5
    weights[0, 3] = 1
    return interactions(weights), profiles(*[(30, "F")] * 20, *[(60, "M")] * 40)


def test_segment_is_ranked_by_its_own_users(two_groups):
    """Women get what women have, men what men have; both keys and their parts are there."""
    assert segment_items(*two_groups, 2) == {
        "25-34": [0, 1],
        "25-34/F": [0, 1],
        "F": [0, 1],
        "56+": [2, 1],
        "56+/M": [2, 1],
        "M": [2, 1],
    }


def test_segment_is_filled_from_popular_without_repeats(two_groups):
    """Where a segment's users have too little, what is popular follows, no item twice."""
    lists = segment_items(*two_groups, 20)
    assert popular_items(two_groups[0], 20) == [1, 2, 0, 3]
    assert (lists["F"], lists["M"]) == ([0, 1, 3, 2], [2, 1, 0, 3])


@pytest.mark.parametrize(("n_users", "has_list"), [(19, False), (20, True)])
def test_segment_needs_20_users(n_users, has_list):
    """A segment of 19 says more about them than about it."""
    people = profiles(*[(30, None)] * n_users)
    lists = segment_items(interactions(np.ones((40, 2))), people, 20)
    assert lists == ({"25-34": [0, 1]} if has_list else {})


def test_only_users_with_interactions_make_a_segment():
    """People who are known but have nothing do not count."""
    people = profiles(*[(30, "F")] * 500)
    assert segment_items(interactions(np.ones((19, 2))), people, 20) == {}


def test_users_without_a_profile_are_in_no_segment():
    """Interactions of the unknown count for the popular list alone."""
    weights = np.zeros((50, 2), np.float32)
    weights[:20, 0], weights[20:, 1] = 1, 1
    lists = segment_items(interactions(weights), profiles(*[(None, "F")] * 20), 1)
    assert (lists, popular_items(interactions(weights), 1)) == ({"F": [0]}, [1])


def test_nobody_known_makes_no_segment(two_groups):
    """Without profiles there is the popular list alone."""
    assert segment_items(two_groups[0], {}, 20) == {}


@pytest.mark.parametrize("seed", range(5))
def test_every_list_is_full_and_without_repeats(seed):
    """Random users and ages: each segment's list is as long as it can be, no item twice."""
    rng = np.random.default_rng(seed)
    weights = (rng.random((400, 60)) < 0.03) * rng.random((400, 60))
    weights[:, :30] += np.eye(400, 30)
    ages, genders = rng.integers(5, 90, 400).tolist(), rng.choice(["F", "M"], 400).tolist()
    people = profiles(*zip(ages, genders, strict=True))
    lists = segment_items(interactions(weights), people, 20)
    assert len(lists) > 5
    assert all(len(rows) == len(set(rows)) == 20 for rows in lists.values())
