"""Lists for users without one: the popular items, of all users and of each segment."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from batch.cold_start.popular import popular_items
from batch.cold_start.segments import segment_items
from batch.interactions.build import Interactions, Ratings
from batch.models.popularity import users_of_items
from batch.records.profiles import Profile, segments

NO_ROWS = np.array([], np.int64)


def interactions(weights):
    """Return interactions of these weights, users being named 0, 1, 2 …"""
    weights = sp.csr_matrix(np.asarray(weights, np.float32))
    n_users, n_items = weights.shape
    return Interactions(
        user_ids=pa.array([str(row) for row in range(n_users)]),
        item_ids=pa.array([f"i{row}" for row in range(n_items)]),
        weights=weights,
        ratings=Ratings(NO_ROWS, NO_ROWS, NO_ROWS.astype(np.float32), 5.0),
        dropped=Counter(),
        n_users_without=0,
    )


def profiles(*people):
    """Return profiles of users 0, 1, 2 … from (age, gender)."""
    return {str(row): Profile(age, gender, None) for row, (age, gender) in enumerate(people)}


# --- popular ------------------------------------------------------------------------------


def test_popular_items_are_sorted_by_users():
    """Users are counted: two with small weights outrank one with a large weight."""
    assert popular_items(interactions([[2.0, 0.1, 0], [0, 0.1, 0.1], [0, 0.1, 0.1]]), 3) == [
        1,
        2,
        0,
    ]


def test_equal_counts_are_ordered_by_weight_then_by_row():
    """Among items with equal counts the one with more weight is first, then the lower row."""
    assert popular_items(interactions([[1, 2, 1, 2, 1.5]]), 5) == [1, 3, 4, 0, 2]


def test_users_and_weights_are_summed_over_all_chunks():
    """The result does not depend on the number of interactions counted at a time."""
    made = interactions([[3, 2, 1, 0], [0, 1, 1, 2], [0, 1, 4, 2]])
    assert popular_items(made, 4, chunk_size=2) == [2, 1, 3, 0]
    assert users_of_items(made.weights).tolist() == [1, 3, 3, 2]


def test_popular_is_cut_to_n():
    """There are at most n items, and fewer without an error."""
    assert popular_items(interactions([[3, 2, 1]]), 2) == [0, 1]
    assert popular_items(interactions([[3, 2, 1]]), 20) == [0, 1, 2]


def test_an_item_without_users_is_not_popular():
    """It is in no list."""
    assert popular_items(interactions([[1, 0, 1]]), 20) == [0, 2]


def test_popular_rows_are_plain_integers():
    """Rows are Python integers, as the tables need."""
    assert {type(row) for row in popular_items(interactions([[1, 1]]), 2)} == {int}


# --- segments -----------------------------------------------------------------------------


@pytest.fixture
def two_groups():
    """40 women of 30, of whom 30 have item 0; 80 men of 60, of whom 60 have item 2; all have 1."""
    weights = np.zeros((120, 4), np.float32)
    weights[:30, 0], weights[40:100, 2], weights[:, 1] = 1, 1, 0.5
    weights[0, 3] = 1
    return interactions(weights), profiles(*[(30, "F")] * 40, *[(60, "M")] * 80)


def test_segment_is_ranked_by_its_own_users(two_groups):
    """Women get items of women before items of men; both segments and their parts have lists."""
    made, people = two_groups
    assert popular_items(made, 4) == [1, 2, 0, 3]
    lists = segment_items(made, people, 3)
    assert list(lists) == ["25-34", "25-34/F", "56+", "56+/M", "F", "M"]
    assert (lists["F"], lists["25-34/F"]) == ([1, 0, 2], [1, 0, 2])
    assert (lists["M"], lists["56+/M"]) == ([1, 2, 0], [1, 2, 0])


def test_rate_is_shrunk_towards_the_wider_segment():
    """Of 40 women 24 have item 0 and 21 item 1, of 160 men 20 and 90: too few women to differ.

    (24 + 100 · 44 / 200) / 140 = 0.33 is less than (21 + 100 · 111 / 200) / 140 = 0.55.
    """
    weights = np.zeros((200, 2), np.float32)
    weights[:24, 0], weights[:21, 1] = 1, 1
    weights[40:60, 0], weights[40:130, 1] = 1, 1
    people = profiles(*[(None, "F")] * 40, *[(None, "M")] * 160)
    assert segment_items(interactions(weights), people, 2)["F"] == [1, 0]


@pytest.mark.parametrize(("n_women", "expected"), [(19, None), (20, [1, 0])])
def test_item_counts_with_20_of_the_segments_users(n_women, expected):
    """Item 0 is more popular, except with women: item 1 counts if 20 of them have it."""
    weights = np.zeros((400, 2), np.float32)
    weights[:n_women, 1], weights[:19, 0] = 1, 1
    weights[200:240, 0] = 1
    lists = segment_items(interactions(weights), profiles(*[(None, "F")] * 200), 2)
    assert lists.get("F") == expected


def test_a_short_list_is_filled_from_the_next_wider_segment():
    """Female writers of 30 get the items of women of 30 behind their own, not those of all."""
    weights = np.zeros((1000, 6), np.float32)
    weights[:60, 0] = 1  # writers among the women
    weights[60:200, 1] = 1  # women of 30
    weights[200:, 2], weights[200:, 3] = 1, 1  # all other users
    people = {str(row): Profile(30, "F", "writer" if row < 60 else "nurse") for row in range(200)}
    lists = segment_items(interactions(weights), people, 3)
    assert popular_items(interactions(weights), 2) == [2, 3]
    assert lists["25-34/F/writer"][:2] == [0, 1]
    assert lists["25-34/F"][0] == 1


def test_hidden_items_are_in_no_segment(two_groups):
    """A hidden item is replaced by the next."""
    made, people = two_groups
    assert segment_items(made, people, 2, hidden={1})["F"] == [0, 2]


def test_only_users_with_interactions_make_a_segment():
    """Profiles of users without interactions do not count."""
    people = profiles(*[(30, "F")] * 500)
    assert segment_items(interactions(np.ones((19, 2))), people, 20) == {}


def test_twenty_users_are_enough_for_a_segment():
    """Twenty users must have an item: if all of them have it, it is in the segment's list."""
    people = profiles(*[(30, "F")] * 20)
    lists = segment_items(interactions(np.ones((20, 2))), people, 20)
    assert lists == {key: [0, 1] for key in ("25-34", "25-34/F", "F")}


def test_users_without_a_profile_are_in_no_segment():
    """Interactions without a profile count for the popular list alone."""
    weights = np.zeros((500, 2), np.float32)
    weights[:200, 0], weights[200:, 1] = 1, 1
    lists = segment_items(interactions(weights), profiles(*[(None, "F")] * 200), 1)
    assert (lists, popular_items(interactions(weights), 1)) == ({"F": [0]}, [1])


def test_without_profiles_there_are_no_segments(two_groups):
    """Without profiles there is the popular list alone."""
    assert segment_items(two_groups[0], {}, 20) == {}


@pytest.mark.parametrize("seed", range(5))
def test_every_list_is_full_and_without_repeats(seed):
    """Random users, ages and occupations: each list is full and without repeats."""
    rng = np.random.default_rng(seed)
    weights = (rng.random((2000, 60)) < 0.3) * rng.random((2000, 60))
    ages, genders = rng.integers(5, 90, 2000).tolist(), rng.choice(["F", "M"], 2000).tolist()
    jobs = rng.choice(["writer", "K-12 student", "executive/managerial"], 2000).tolist()
    people = {
        str(n): Profile(*fields) for n, fields in enumerate(zip(ages, genders, jobs, strict=True))
    }
    lists = segment_items(interactions(weights), people, 20)
    assert {"M", "writer", "25-34", "25-34/F"} <= lists.keys()
    assert all(len(rows) == len(set(rows)) == 20 for rows in lists.values())


@pytest.mark.parametrize("seed", range(3))
def test_lists_are_those_of_the_formula(seed):
    """Compared with a slow implementation, segment by segment."""
    rng = np.random.default_rng(seed)
    has = rng.random((900, 30)) < rng.uniform(0.02, 0.6, 30)
    people = {
        str(row): Profile(int(rng.choice([20, 30])), str(rng.choice(["F", "M"])), str(job))
        for row, job in enumerate(rng.choice(["writer", "nurse"], 900))
    }
    lists = segment_items(interactions(has), people, 30)

    def rate(name):
        if not name:
            return has.mean(axis=0)
        rows = members(name)
        return (has[rows].sum(axis=0) + 100 * rate(name.rpartition("/")[0])) / (len(rows) + 100)

    def members(name):
        return [int(user) for user, profile in people.items() if name in segments(profile)]

    for name, rows in lists.items():
        own = np.flatnonzero(has[members(name)].sum(axis=0) >= 20)
        assert set(rows[: len(own)]) == set(own), name
        assert np.all(np.diff(rate(name)[rows[: len(own)]]) <= 1e-12), name
        wider = lists.get(name.rpartition("/")[0], popular_items(interactions(has), 30))
        assert rows[len(own) :] == [row for row in wider if row not in own]
    assert len(lists) > 10
