"""Lists of users without interactions, made from their stated preferences."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from batch.cold_start.preference_lists import PreferenceInputs, make_preference_lists
from batch.interactions.build import Interactions, Ratings
from batch.models.als import Als
from batch.models.ials import Ials
from batch.records.catalogue import Item
from batch.records.profiles import Profile
from batch.topk import NO_ITEM

N_USERS, N_ITEMS, N_FACTORS = 300, 60, 8
NO_ROWS = np.array([], np.int64)


def title(row):
    return f"Silent {'Harbor' if row % 2 else 'Garden'} Number{row:02}"


ITEMS = {
    f"i{row:02}": Item(title(row), 1990, ("War" if row % 2 else "Love",), None, adult=row == 3)
    for row in range(N_ITEMS)
}
ROWS = list(range(N_ITEMS))


@pytest.fixture(scope="module")
def made():
    """Even users have mostly even items, odd users odd ones; the last item has no users."""
    rng = np.random.default_rng(5)
    chance = np.where(np.arange(N_USERS)[:, None] % 2 == np.arange(N_ITEMS) % 2, 0.35, 0.03)
    weights = (rng.random((N_USERS, N_ITEMS)) < chance).astype(np.float32)
    weights[:, -1] = 0
    return Interactions(
        pa.array([f"u{row:03}" for row in range(N_USERS)]),
        pa.array(sorted(ITEMS)),
        sp.csr_matrix(weights),
        Ratings(NO_ROWS, NO_ROWS, NO_ROWS.astype(np.float32), 5.0),
        Counter(),
        0,
    )


@pytest.fixture(scope="module", params=["ials", "als"])
def fitted(made, request):
    if request.param == "als":
        return Als(n_factors=N_FACTORS, seed=1).fit(made.weights)
    return Ials(n_factors=N_FACTORS, seed=1).fit(made.weights)


@pytest.fixture
def lists(made, fitted):
    """Return the item rows of users without interactions, by user_id, from their profiles."""

    def lists(profiles, k=20, hidden=frozenset()):
        similar = [[other for other in ROWS if other % 2 == row % 2 != other] for row in ROWS]
        inputs = PreferenceInputs(made, ITEMS, profiles, similar, hidden)
        found = make_preference_lists(inputs, fitted, k)
        rows = [[row for row in items if row != NO_ITEM] for items in found.item_rows.tolist()]
        return dict(zip(found.user_ids, rows, strict=True))

    return lists


def likes(text=None, dislikes=None, age=None):
    return Profile(age, None, None, text, dislikes)


def share_of_odd(rows):
    return sum(row % 2 for row in rows) / len(rows)


def test_list_resembles_the_liked_titles(lists):
    """Three odd titles give mostly odd items, three even ones mostly even ones."""
    titles = {parity: ", ".join(title(row) for row in (2 + parity, 10 + parity, 20 + parity))
             for parity in (0, 1)}  # fmt: skip
    found = lists({"even": likes(titles[0]), "odd": likes(titles[1])})
    assert share_of_odd(found["odd"][:10]) > 0.7
    assert share_of_odd(found["even"][:10]) < 0.3
    assert all(len(rows) == len(set(rows)) == 20 for rows in found.values())


def test_list_resembles_the_liked_genre(lists):
    found = lists({"a": likes("I like war films"), "b": likes("love!")})
    assert share_of_odd(found["a"]) > share_of_odd(found["b"])


def test_named_items_are_excluded(lists):
    """The liked ones and the disliked ones."""
    user = likes(f"{title(4)} and {title(8)}", title(6))
    assert {4, 6, 8}.isdisjoint(lists({"a": user}, k=N_ITEMS)["a"])


def test_items_of_a_disliked_genre_are_excluded(lists):
    found = lists({"a": likes(title(4), "No war, please."), "b": likes(None, "war")})
    assert {row % 2 for rows in found.values() for row in rows} == {0}


def test_dislikes_alone_give_popular_items(lists, made):
    n_users = np.bincount(made.weights.indices, minlength=N_ITEMS)
    expected = [row for row in np.lexsort((np.array(ROWS), -n_users)).tolist() if row % 2 == 0][:20]
    assert lists({"a": likes(None, "war")})["a"] == expected


def test_hidden_items_are_in_no_list(lists):
    found = lists({"a": likes(title(4))}, k=N_ITEMS, hidden={0, 2, 6})["a"]
    assert {0, 2, 6}.isdisjoint(found)
    assert len(found) == N_ITEMS - 4


@pytest.mark.parametrize(("age", "is_listed"), [(15, False), (18, True), (None, True)])
def test_adult_title_is_hidden_from_minors(lists, age, is_listed):
    assert (3 in lists({"a": likes(title(5), age=age)}, k=N_ITEMS)["a"]) is is_listed


def test_liked_item_without_users_is_replaced_by_its_neighbours(lists):
    """The last item is odd and new; its neighbours are odd items."""
    found = lists({"a": likes(title(N_ITEMS - 1))})["a"]
    assert share_of_odd(found[:10]) > 0.7
    assert N_ITEMS - 1 not in found


def test_only_users_without_interactions_get_lists(lists):
    assert list(lists({"u000": likes(title(4)), "v": likes(title(4)), "w": likes("films")})) == [
        "v"
    ]


def test_profiles_without_likes_get_no_list(lists):
    assert lists({"v": likes(), "w": Profile(30, "F", "writer")}) == {}


def test_equal_preferences_give_equal_lists_ordered_by_user_id(lists):
    users = {name: likes(title(4)) for name in ("z", "b", "10", "9")}
    found = lists(users)
    assert list(found) == ["10", "9", "b", "z"]
    assert len({tuple(rows) for rows in found.values()}) == 1


def test_lists_of_several_batches_are_those_of_each_user_alone(lists):
    """There are more distinct preferences than one batch holds."""
    users = {
        f"{a:02}-{b:02}": likes(f"{title(a)}, {title(b)}") for a in range(59) for b in range(a, 59)
    }
    found = lists(users)
    assert len(found) == len(users) > 1024
    for name, rows in found.items():
        assert {int(part) for part in name.split("-")}.isdisjoint(rows)
    user = "07-41"
    assert found[user] == lists({user: users[user]})[user]
