"""The cap on the share of lists with the same item."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batch.rules.cap import Room, capped
from batch.topk import NO_ITEM, TopK
from tests.batch.made_rules import SEEDS, made_lists, names_of

N_ITEMS, N_LIST = 20, 5
SHARES = st.sampled_from([0.05, 0.3, 0.5, 0.9, 1.0])


def overlapping(seed, n_users=30):
    """Lists of mostly the same items, so that the cap applies."""
    return made_lists(seed, n_users, k=12, n_items=N_ITEMS)


def cap(lists, share):
    room = Room(N_ITEMS, len(lists.item_rows), share)
    return capped(lists, N_LIST, room, 12), room


def listed(lists):
    return [rows[:N_LIST] for rows in names_of(lists)]


@given(SEEDS, SHARES)
def test_no_item_is_in_more_lists_than_the_cap_allows(seed, share):
    """The room is reduced by the lists that hold each item."""
    found, room = cap(overlapping(seed), share)
    n_lists = np.bincount([row for rows in listed(found) for row in rows], minlength=N_ITEMS)
    limit = max(int(share * 30 + 1e-9), 1)
    assert n_lists.max() <= limit
    assert np.array_equal(room.left, limit - n_lists)


@given(SEEDS, SHARES)
def test_lists_keep_their_order_without_repeats(seed, share):
    """The accepted candidates are in the order that they had."""
    lists = overlapping(seed)
    for before, after in zip(names_of(lists), names_of(cap(lists, share)[0]), strict=True):
        assert after == [row for row in before if row in after]
        assert len(set(after)) == len(after)


@given(SEEDS, SHARES)
def test_a_list_is_full_unless_its_candidates_have_no_room(seed, share):
    """A list is short only if every further candidate is in as many lists as allowed."""
    lists = overlapping(seed)
    found, room = cap(lists, share)
    for before, after in zip(names_of(lists), listed(found), strict=True):
        if len(after) < min(N_LIST, len(before)):
            assert all(room.left[row] == 0 for row in before if row not in after)


@given(SEEDS, SHARES)
def test_the_result_is_stable(seed, share):
    """A user without an item ranks it lower than each user who has it.

    At an equal place by a lower score, at an equal score by a higher user row.
    """
    lists = overlapping(seed)
    found, _ = cap(lists, share)
    claims = {}
    for user, (rows, scores) in enumerate(zip(lists.item_rows, lists.scores, strict=True)):
        for place, (row, score) in enumerate(zip(rows, scores, strict=True)):
            claims[user, row] = (place, -score, user)
    has = listed(found)
    for user, before in enumerate(names_of(lists)):
        last = before.index(has[user][N_LIST - 1]) if len(has[user]) == N_LIST else len(before)
        for row in before[:last]:
            if row not in has[user]:
                holders = [other for other, rows in enumerate(has) if row in rows]
                assert all(claims[other, row] < claims[user, row] for other in holders)


def test_a_cap_of_1_does_not_change_the_lists():
    lists = overlapping(3)
    found, _ = cap(lists, 1.0)
    assert np.array_equal(found.item_rows, lists.item_rows)
    assert np.array_equal(found.scores, lists.scores)


def test_an_item_stays_where_it_ranks_highest():
    """Each item may be in 1 of 3 lists: at equal places the best score keeps it."""
    lists = TopK(
        np.array([[1, 0, 4], [0, 1, 3], [0, 2, 4]], np.int32),
        np.array([[9, 8, 7], [1, 0.5, 0.2], [2, 1.5, 1]], np.float32),
    )
    found = capped(lists, 2, Room(5, 3, 1 / 3), 3)
    assert found.item_rows[:, :2].tolist() == [[1, 4], [3, NO_ITEM], [0, 2]]


def test_shares_are_not_rounded_down_by_floating_point():
    """0.29 of 100 lists are 29; an item has room for at least one list."""
    assert Room(1, 100, 0.29).left.tolist() == [29]
    assert Room(1, 100, 0.001).left.tolist() == [1]
