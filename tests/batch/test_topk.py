"""Exact top-k against a full sort: the same items in the same order, with far less work."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from batch import topk as topk_module
from batch.topk import NO_ITEM, BlockSizes, Execution, top_k, top_k_in_blocks


def integers(rng, n_rows, n_factors, largest=3):
    """Return integers as float32: their inner products are exact, and many are equal."""
    return rng.integers(-largest, largest + 1, (n_rows, n_factors)).astype(np.float32)


def some_seen(rng, n_users, n_items, share):
    """Return a matrix of which that share is stored, as 0 or 1: the values do not count."""
    is_seen = rng.random((n_users, n_items)) < share
    seen = sp.csr_matrix(is_seen, dtype=np.float32)
    seen.data[:] = rng.integers(0, 2, seen.nnz)
    return seen


def full_sort(users, items, seen, k):
    """Return the lists by definition: all items scored exactly and sorted, without seen ones."""
    scores = users.astype(np.int64) @ items.astype(np.int64).T
    item_rows = np.full((len(users), k), NO_ITEM, np.int32)
    best = np.full((len(users), k), -np.inf, np.float32)
    for row in range(len(users)):
        seen_items = seen.indices[seen.indptr[row] : seen.indptr[row + 1]]
        is_open = np.ones(len(items), dtype=bool)
        is_open[seen_items] = False
        open_items = np.flatnonzero(is_open)
        order = open_items[np.lexsort((open_items, -scores[row, open_items]))][:k]
        item_rows[row, : len(order)] = order
        best[row, : len(order)] = scores[row, order]
    return item_rows, best


DEFAULT = Execution()


def assert_exact(users, items, seen, k, execution=DEFAULT):
    found = top_k_in_blocks(users, items, seen, k, execution)
    item_rows, scores = full_sort(users, items, seen, k)
    np.testing.assert_array_equal(found.item_rows, item_rows)
    np.testing.assert_array_equal(found.scores, scores)
    assert found.item_rows.dtype == np.int32
    assert found.scores.dtype == np.float32


def unseen(n_users, n_items):
    return sp.csr_matrix((n_users, n_items), dtype=np.float32)


@pytest.fixture
def n_scored(monkeypatch):
    """Count the scores that are computed."""
    counted = []
    offer = topk_module._Best.offer

    def counting(self, users, scores, item_rows):
        counted.append(scores.size)
        offer(self, users, scores, item_rows)

    monkeypatch.setattr(topk_module._Best, "offer", counting)
    return lambda: sum(counted)


# --- exact --------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    shape=st.tuples(st.integers(0, 40), st.integers(0, 1300), st.integers(1, 9)),
    k=st.integers(1, 60),
    largest=st.sampled_from([0, 1, 3, 100]),
    share=st.sampled_from([0.0, 0.05, 0.5, 0.97, 1.0]),
    skew=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_lists_are_those_of_a_full_sort(shape, k, largest, share, skew, seed):
    """Of any shape, with ties, zeros and seen items: the items and scores of a full sort."""
    n_users, n_items, n_factors = shape
    rng = np.random.default_rng(seed)
    users, items = integers(rng, n_users, n_factors, largest), integers(rng, n_items, n_factors)
    if skew:
        items *= 2.0 ** rng.integers(0, 9, (n_items, 1)).astype(np.float32)
    assert_exact(users, items, some_seen(rng, n_users, n_items, share), k)


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(1, 9)] * 4, st.integers(1, 30)),
    n_users=st.integers(1, 40),
    n_items=st.integers(1, 120),
    k=st.integers(1, 12),
    n_threads=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_block_sizes_change_nothing(sizes, n_users, n_items, k, n_threads, seed):
    """With edges everywhere the lists are still those of a full sort."""
    rng = np.random.default_rng(seed)
    items = integers(rng, n_items, 3) * 2.0 ** rng.integers(0, 6, (n_items, 1)).astype(np.float32)
    seen = some_seen(rng, n_users, n_items, 0.2)
    execution = Execution(n_threads, sizes=BlockSizes(*sizes))
    assert_exact(integers(rng, n_users, 3), items, seen, k, execution)


@settings(max_examples=100, deadline=None)
@given(
    exponents=st.lists(st.integers(-20, 20), min_size=1, max_size=150),
    n_distinct=st.integers(1, 6),
    k=st.integers(1, 40),
    n_threads=st.integers(1, 3),
    share=st.sampled_from([0.0, 0.3, 0.99]),
    seed=st.integers(0, 2**32 - 1),
)
def test_scores_that_equal_the_bound(exponents, n_distinct, k, n_threads, share, seed):
    """Each item is along a user's own direction; many are the same or opposite."""
    rng = np.random.default_rng(seed)
    directions = np.eye(n_distinct, dtype=np.float32)[rng.integers(n_distinct, size=len(exponents))]
    signs = rng.choice(np.array([-1, 0, 1, 1], np.float32), len(exponents))
    items = directions * (signs * 2.0 ** np.array(exponents, np.float32))[:, None]
    users = np.vstack((np.eye(n_distinct), -np.eye(n_distinct))).astype(np.float32)
    seen = some_seen(rng, len(users), len(items), share)
    sizes = BlockSizes(min_task_users=4, users=4, first_items=4, items=4)
    found = top_k_in_blocks(users, items, seen, k, Execution(n_threads, sizes=sizes))
    scaled = items.astype(np.float64) * 2**20  # integers, for the full sort
    item_rows, scores = full_sort(users, scaled, seen, k)
    np.testing.assert_array_equal(found.item_rows, item_rows)
    np.testing.assert_array_equal(found.scores, scores / np.float32(2**20))


def test_norms_whose_squares_underflow():
    """Items so small that their float32 norms are 0 are found where all others score less."""
    items = np.tile(np.array([1e-25, 0], np.float32), (3_000, 1))
    items[:512] = [1e-30, 1]
    found = top_k(np.array([[1e10, 0]], np.float32), items, unseen(1, 3_000), 5)
    assert found.item_rows.tolist() == [list(range(512, 517))]


def test_seen_in_any_order_and_twice():
    """Seen items need not be sorted, and may be stored twice."""
    rng = np.random.default_rng(3)
    users, items = integers(rng, 300, 4), integers(rng, 900, 4)
    seen_items = rng.integers(0, 900, (300, 50))
    entries = (np.ones(15_000, np.float32), seen_items.ravel(), np.arange(0, 15_001, 50))
    assert_exact(users, items, sp.csr_matrix(entries, shape=(300, 900)), 20)


def test_all_users_have_seen_all_large_items():
    """The first blocks may hold no unseen item; the lists come from the others."""
    rng = np.random.default_rng(5)
    users, items = integers(rng, 400, 4), integers(rng, 3_000, 4)
    items[:1_200] *= 50
    is_seen = np.zeros((400, 3_000), bool)
    is_seen[:, :1_195] = True
    is_seen[::7] = True
    assert_exact(users, items, sp.csr_matrix(is_seen, dtype=np.float32), 20)


@pytest.mark.parametrize("seed", range(3))
def test_thousands_of_users(seed):
    """Over several blocks of users and of items the lists are those of a full sort."""
    rng = np.random.default_rng(seed)
    items = integers(rng, 1_700, 8) * rng.integers(1, 60, (1_700, 1)).astype(np.float32)
    seen = some_seen(rng, 3_500, 1_700, 0.02)
    assert_exact(integers(rng, 3_500, 8), items, seen, 30)


def test_more_places_than_items():
    """With fewer items than places, the other places are NO_ITEM and -inf."""
    found = top_k(np.ones((2, 1), np.float32), np.ones((3, 1), np.float32), unseen(2, 3), 5)
    assert found.item_rows.tolist() == [[0, 1, 2, NO_ITEM, NO_ITEM]] * 2
    assert found.scores.tolist() == [[1, 1, 1, -np.inf, -np.inf]] * 2


def test_a_user_who_has_seen_everything_has_an_empty_list():
    """The next user is not affected."""
    seen = sp.csr_matrix(np.array([[1, 1], [0, 0]], np.float32))
    found = top_k(np.ones((2, 1), np.float32), np.ones((2, 1), np.float32), seen, 2)
    assert found.item_rows.tolist() == [[NO_ITEM, NO_ITEM], [0, 1]]


def test_ties_keep_the_lower_item_row():
    """Equal scores are in the order of the rows, also where the norms have another order."""
    items = np.array([[1, 0], [1, 9], [1, 0], [1, 5]], np.float32)
    found = top_k(np.array([[2, 0]], np.float32), items, unseen(1, 4), 3)
    assert found.item_rows.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_zero_vectors_tie_at_zero(zero):
    """A user or an item of zeros scores 0 everywhere, above negative scores."""
    users = np.array([[zero, zero], [1, 0]], np.float32)
    items = np.array([[-1, 0], [zero, zero], [1, 0], [-zero, 0]], np.float32)
    found = top_k(users, items, unseen(2, 4), 4)
    assert found.item_rows.tolist() == [[0, 1, 2, 3], [2, 1, 3, 0]]
    assert found.scores.tolist() == [[0, 0, 0, 0], [1, 0, 0, -1]]


def test_negative_scores_are_ranked_too():
    """Where all scores are negative the largest comes first."""
    items = np.arange(1, 2001, dtype=np.float32)[:, None]
    found = top_k(np.array([[-1]], np.float32), items, unseen(1, 2000), 3)
    assert found.item_rows.tolist() == [[0, 1, 2]]


def test_one_item():
    """A catalogue of one item is not a special case."""
    found = top_k(np.ones((3, 2), np.float32), np.ones((1, 2), np.float32), unseen(3, 1), 1)
    assert found.item_rows.tolist() == [[0]] * 3


@pytest.mark.parametrize(("n_users", "n_items"), [(0, 5), (5, 0), (0, 0)])
def test_no_users_or_no_items(n_users, n_items):
    """The lists are empty, of the right shape."""
    users, items = np.ones((n_users, 2), np.float32), np.ones((n_items, 2), np.float32)
    found = top_k(users, items, unseen(n_users, n_items), 4)
    assert found.item_rows.shape == found.scores.shape == (n_users, 4)
    assert (found.item_rows == NO_ITEM).all()


# --- flat norms ---------------------------------------------------------------------------


def flat_items(rng, n_items, n_factors=4):
    """Return items of nearly equal norms: a component that is always large, and small ones."""
    items = integers(rng, n_items, n_factors)
    items[:, 0] = 20
    return items


@pytest.fixture
def n_offers(monkeypatch):
    """Count the blocks of scores."""
    counted = []
    offer = topk_module._Best.offer

    def counting(self, users, scores, item_rows):
        counted.append(scores.shape)
        offer(self, users, scores, item_rows)

    monkeypatch.setattr(topk_module._Best, "offer", counting)
    return lambda: len(counted)


def test_flat_norms_take_one_product_a_task(n_offers):
    """Where no user could finish early, all items are one block."""
    rng = np.random.default_rng(11)
    items = flat_items(rng, 3_001)
    assert_exact(integers(rng, 300, 4), items, some_seen(rng, 300, 3_001, 0.05), 20)
    assert n_offers() == 1


def test_steep_norms_take_several_blocks(n_offers):
    """The control of the test above: the same items, of which half are far larger."""
    rng = np.random.default_rng(11)
    items = flat_items(rng, 3_001)
    items[:1_500] *= 64
    users = integers(rng, 300, 4)
    users[:, 0] = -9  # the best items are the small ones
    assert_exact(users, items, some_seen(rng, 300, 3_001, 0.05), 20)
    assert n_offers() > 1


@settings(max_examples=80, deadline=None)
@given(
    n_items=st.integers(1, 1400),
    k=st.sampled_from([1, 2, 20, 100]),
    flat_block=st.sampled_from([5, 64, 400, 1000, 4096]),
    share=st.sampled_from([0.0, 0.3, 0.97, 1.0]),
    n_threads=st.integers(1, 2),
    seed=st.integers(0, 2**32 - 1),
)
def test_flat_lists_are_those_of_a_full_sort(n_items, k, flat_block, share, n_threads, seed):
    """Of any width, over one block or several, with many ties across their edges."""
    rng = np.random.default_rng(seed)
    users, items = integers(rng, 30, 4), flat_items(rng, n_items)
    sizes = BlockSizes(min_task_users=16, users=7, flat_items=flat_block)
    seen = some_seen(rng, 30, n_items, share)
    assert_exact(users, items, seen, k, Execution(n_threads, sizes=sizes))


def test_flat_ties_keep_the_lower_item_row():
    """Of items that are all equal, the lowest unseen rows are listed."""
    seen = np.zeros((2, 2_600), np.float32)
    seen[1, :2_590] = 1
    found = top_k(
        np.ones((2, 3), np.float32), np.ones((2_600, 3), np.float32), sp.csr_matrix(seen), 20
    )
    assert found.item_rows[0].tolist() == list(range(20))
    assert found.item_rows[1].tolist() == [*range(2_590, 2_600)] + [NO_ITEM] * 10


def test_flat_zero_users_tie_and_the_next_users_are_not_affected():
    """A user of zeros has the lowest rows; a user who has seen everything has no list."""
    rng = np.random.default_rng(13)
    users, items = integers(rng, 600, 4), flat_items(rng, 2_001)
    users[::50] = 0
    is_seen = rng.random((600, 2_001)) < 0.1
    is_seen[7::50] = True
    assert_exact(users, items, sp.csr_matrix(is_seen, dtype=np.float32), 20)


@pytest.mark.parametrize("scale", [1e-44, 1e-25, 1e20])
def test_flat_norms_that_underflow_or_overflow(scale):
    """Denormal factors and factors whose squares overflow: the lists of a full sort."""
    rng = np.random.default_rng(17)
    items = np.where(rng.random((2_003, 1)) < 0.5, np.float32(scale), np.float32(2 * scale))
    items = np.hstack((items, np.zeros_like(items))).astype(np.float32)
    found = top_k(np.ones((3, 2), np.float32), items, unseen(3, 2_003), 20)
    best = np.flatnonzero(items[:, 0] == items[:, 0].max())[:20]
    assert found.item_rows.tolist() == [best.tolist()] * 3


# --- real values --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_factors", [1, 16, 64])
def test_real_scores_are_those_of_brute_force(n_factors, seed):
    """The k best scores of a float32 product, in falling order, each with its own item."""
    rng = np.random.default_rng(seed)
    users = rng.standard_normal((1_500, n_factors), dtype=np.float32)
    items = rng.standard_normal((2_000, n_factors), dtype=np.float32)
    items *= rng.lognormal(0, 1, (2_000, 1)).astype(np.float32) / np.float32(n_factors)
    seen = some_seen(rng, 1_500, 2_000, 0.01)
    found = top_k(users, items, seen, 30)
    brute = users @ items.T
    own = np.take_along_axis(brute, found.item_rows.astype(np.int64), axis=1)
    brute[seen.tocoo().coords] = -np.inf  # all stored entries, zeros too
    best = -np.sort(-brute, axis=1)[:, :30]
    np.testing.assert_allclose(found.scores, best, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.scores, own, rtol=1e-5, atol=1e-5)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert all(len(set(rows)) == 30 for rows in found.item_rows.tolist())


@pytest.mark.parametrize("n_items", [3_001, 9_001])
def test_number_of_threads_changes_no_bit_of_flat_lists(n_items):
    """Over one block of flat norms and over three, one thread and two give the same bytes."""
    rng = np.random.default_rng(2)
    users = rng.standard_normal((2_000, 16), dtype=np.float32)
    items = rng.standard_normal((n_items, 16), dtype=np.float32)
    seen = some_seen(rng, 2_000, n_items, 0.02)
    one, two = (top_k(users, items, seen, 20, n_threads=n) for n in (1, 2))
    assert one.item_rows.tobytes() == two.item_rows.tobytes()
    assert one.scores.tobytes() == two.scores.tobytes()


@pytest.mark.parametrize("whole", [True, False])
def test_number_of_threads_changes_no_bit(whole):
    """One thread and three give the same bytes."""
    rng = np.random.default_rng(1)
    users, items = integers(rng, 4_000, 8), integers(rng, 1_500, 8)
    if not whole:
        users += rng.standard_normal(users.shape, dtype=np.float32)
        items += rng.standard_normal(items.shape, dtype=np.float32)
    seen = some_seen(rng, 4_000, 1_500, 0.02)
    one, three = (top_k(users, items, seen, 20, n_threads=n) for n in (1, 3))
    assert one.item_rows.tobytes() == three.item_rows.tobytes()
    assert one.scores.tobytes() == three.scores.tobytes()


# --- less work ----------------------------------------------------------------------------


def test_small_items_are_never_scored(n_scored):
    """Where norms fall steeply, users are finished early: far fewer scores, the same lists."""
    rng = np.random.default_rng(7)
    n_users, n_items = 2_000, 12_000
    users, items = integers(rng, n_users, 8, 9), integers(rng, n_items, 8, 9)
    items[:400] *= 64
    items = items[rng.permutation(n_items)]
    assert_exact(users, items, some_seen(rng, n_users, n_items, 0.002), 20)
    assert n_scored() < 0.1 * n_users * n_items


def test_items_of_equal_norms_are_all_scored(n_scored):
    """The control of the test above: where all norms are equal no user finishes early."""
    rng = np.random.default_rng(7)
    items = rng.choice(np.array([-1, 1], np.float32), (3_000, 8))
    users = integers(rng, 100, 8)
    users[:, 0] = 1  # no user is 0
    top_k(users, items, unseen(100, 3_000), 20)
    assert n_scored() == 100 * 3_000


def test_an_unfinished_user_does_not_keep_others(n_scored):
    """The search goes on for a user whose list is not full, and for no other."""
    items = np.vstack((np.full((600, 1), 100), np.ones((9_400, 1)))).astype(np.float32)
    users = np.ones((1_000, 1), np.float32)
    seen = sp.lil_matrix((1_000, 10_000), dtype=np.float32)
    seen[5, :600] = 1
    found = top_k(users, items, seen.tocsr(), 20)
    assert found.item_rows[5].tolist() == list(range(600, 620))
    assert n_scored() < 1_000 * 2_000


# --- progress and errors ------------------------------------------------------------------


def test_progress_counts_every_user():
    """Each user is reported once, task by task."""
    users, items = np.ones((2_500, 1), np.float32), np.ones((3, 1), np.float32)
    reported: list[int] = []
    execution = Execution(on_users=reported.append, sizes=BlockSizes(min_task_users=1_000))
    top_k_in_blocks(users, items, unseen(2_500, 3), 2, execution)
    assert sorted(reported) == [500, 1_000, 1_000]


@pytest.mark.parametrize(
    ("users", "items", "seen"),
    [((3, 2), (4, 5), (3, 4)), ((3, 2), (4, 2), (4, 3)), ((3, 2), (4, 2), (3, 5))],
)
def test_shapes_that_do_not_match_are_an_error(users, items, seen):
    """Factors of different lengths, or a seen matrix of other rows; the error has the shapes."""
    with pytest.raises(ValueError, match="do not match"):
        top_k(np.ones(users, np.float32), np.ones(items, np.float32), unseen(*seen), 2)


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_an_error(k):
    """A list has at least one place."""
    with pytest.raises(ValueError, match="k must be at least 1"):
        top_k(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32), unseen(1, 1), k)
