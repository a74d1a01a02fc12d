"""Weights of interactions against known answers, and which events are dropped."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from batch.errors import NothingToLearnError
from batch.interactions.build import build_interactions
from batch.interactions.weights import DEFAULT_WEIGHTING
from tests.batch.made_events import events_of

OUTSIDE = "item outside the catalogue"
TOO_FEW_USERS = "item of fewer than 2 users, without a catalogue"
OFF_SCALE = "rating off the scale"


def events(views=(), ratings=()):
    """Return events of (user, item, minute[, n_events]) and (user, item, rating[, at])."""
    views = [view if len(view) == 4 else (*view, 1) for view in views]
    ratings = [rating if len(rating) == 4 else (*rating, 0) for rating in ratings]
    return events_of(views, ratings)


def weights(interactions):
    """Return the matrix as a dictionary by user and item."""
    users, items = interactions.user_ids.to_pylist(), interactions.item_ids.to_pylist()
    cells = interactions.weights.tocoo()
    return {
        (users[row], items[column]): pytest.approx(value, rel=1e-6)
        for row, column, value in zip(*cells.coords, cells.data.tolist(), strict=True)
    }


def aging(half_life_days):
    """Return the default weighting with a half-life."""
    return replace(DEFAULT_WEIGHTING, half_life_days=half_life_days)


# Two users with an item each, the fewest that can be learnt from.
TWO_USERS = [("x", "p", None), ("y", "q", None)]
CATALOGUE = {"p": 100.0, "q": 100.0}


def weight_of(views=(), ratings=(), runtimes=None, max_rating=5.0, **parameters):
    """Return the weight of user u and item i beside two other users."""
    runtimes = {**CATALOGUE, "i": 100.0} if runtimes is None else {**CATALOGUE, **runtimes}
    weighting = replace(DEFAULT_WEIGHTING, **parameters)
    all_events = events([*TWO_USERS, *views], ratings)
    built = build_interactions(all_events, runtimes, max_rating, weighting)
    return weights(built)["u", "i"].expected


# --- weights ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minute", "runtime", "weight"),
    [
        (49, 100.0, 0.5),
        (0, 100.0, 0.01),
        (99, 100.0, 1.0),
        (100, 100.0, 1.0),
        (1196, 100.0, 1.0),
        (10**6, 100.0, 1.0),
        (None, 100.0, 1.0),
        (59, 90.0, 60 / 90),
        (0, 0.5, 1.0),
        (2, 1440.0, 3 / 1440),
    ],
)
def test_view_weighs_the_share_that_was_watched(minute, runtime, weight):
    """Minutes begin with 0 and end with the runtime; a bare pair was watched to the end."""
    assert weight_of([("u", "i", minute)], runtimes={"i": runtime}) == pytest.approx(weight)


def test_item_of_unknown_runtime_has_the_median_one():
    """Where the catalogue has no runtime, the median of the others is used."""
    runtimes = {"p": 50.0, "q": 80.0, "i": None}
    views = [("u", "i", 12), ("z", "r", 0)]
    assert weight_of(views, runtimes={**runtimes, "r": 60.0}) == pytest.approx(13 / 60)


@pytest.mark.parametrize("runtimes", [None, {"p": None, "q": None}], ids=["none", "unknown"])
def test_without_any_runtime_an_item_has_100_minutes(runtimes):
    """Without a catalogue, or without runtimes in it, 100 minutes are assumed."""
    views = [("u", "p", 24), ("v", "p", 149), ("u", "q", 0), ("v", "q", 99)]
    assert weights(build_interactions(events(views), runtimes, 5.0)) == {
        ("u", "p"): 0.25,
        ("v", "p"): 1.0,
        ("u", "q"): 0.01,
        ("v", "q"): 1.0,
    }


@pytest.mark.parametrize(
    ("rating", "best", "weight"),
    [(5, 5, 2), (1, 5, 0.4), (4.5, 5, 1.8), (2.5, 5, 1), (7, 10, 1.4), (0.5, 5, 0.2), (1, 1, 2)],
)
def test_ratings_alone_weigh_in_proportion(rating, best, weight):
    """A rating counts as watched: five stars are five times one star, half the scale is a view."""
    assert weight_of(ratings=[("u", "i", rating)], max_rating=best) == pytest.approx(weight)


@pytest.mark.parametrize(
    ("minute", "rating", "weight"),
    [(99, 5, 2.0), (99, 1, 0.4), (49, 4, 1.1), (49, 2.5, 0.5), (49, 1, 0.001), (0, 5, 1.01)],
)
def test_a_rating_adds_or_takes_away(minute, rating, weight):
    """Beside a view: above the middle of the scale it adds, below it subtracts, never all."""
    found = weight_of([("u", "i", minute)], [("u", "i", rating)])
    assert found == pytest.approx(weight, rel=1e-4)


def test_a_bad_rating_lowers_the_weight():
    """However much was watched, one star of five weighs less than the view alone."""
    for minute in (0, 30, 99):
        view = [("u", "i", minute)]
        assert weight_of(view, [("u", "i", 1.0)]) < weight_of(view)


@pytest.mark.parametrize(
    ("parameters", "weight"),
    [
        ({"watched": 3.0}, 3 * 0.5 + 0.6),
        ({"rating": 0.0}, 0.5),
        ({"watched": 0.0}, 0.6),
        ({"watched": 2.0, "rating": 0.5}, 1.3),
    ],
    ids=["watched-3", "no-rating", "no-watching", "both"],
)
def test_each_part_has_a_weight_of_its_own(parameters, weight):
    """Half of the film and four of five stars, with other weights for either."""
    found = weight_of([("u", "i", 49)], [("u", "i", 4.0)], **parameters)
    assert found == pytest.approx(weight)


def test_interactions_without_weight_have_the_least_and_stay():
    """Views where only ratings count stay in the matrix, so that they are not recommended."""
    views_ignored = replace(DEFAULT_WEIGHTING, watched=0.0)
    built = build_interactions(events(TWO_USERS), CATALOGUE, 5.0, views_ignored)
    assert weights(built) == {("x", "p"): 0.001, ("y", "q"): 0.001}


@pytest.mark.parametrize("seed", range(3))
def test_latest_rating_wins(seed):
    """Of several ratings the one with the latest time counts, in any order of the input."""
    ratings = [("u", "i", 5.0, 100), ("u", "i", 1.0, 300), ("u", "i", 3.0, 200), ("u", "i", 2.0, 0)]
    random.Random(seed).shuffle(ratings)
    assert weight_of(ratings=ratings) == pytest.approx(0.4)


@pytest.mark.parametrize("ratings", [[(2.0), (4.0)], [(4.0), (2.0)]])
def test_best_of_ratings_at_the_same_moment_wins(ratings):
    """Of ratings with the same time the best counts, so that their order does not matter."""
    assert weight_of(ratings=[("u", "i", r, 7) for r in ratings]) == pytest.approx(1.6)


# --- times --------------------------------------------------------------------------------

DAY = 86_400
NOON = 1_700_000_000


def timed(*rows):
    """Return events of (user, item, first day, last day), each watched to the end."""
    tables = events([(user, item, None) for user, item, *_ in rows])
    views = tables.views
    for name, position in (("first_at", 2), ("last_at", 3)):
        at = [None if row[position] is None else NOON + row[position] * DAY for row in rows]
        column = views.schema.get_field_index(name)
        views = views.set_column(column, name, pa.array(at, pa.int64()))
    return replace(tables, views=views)


def test_an_interaction_weighs_half_after_its_half_life():
    """Its age is counted from its latest event to that of the data."""
    views = timed(("u", "p", 0, 0), ("v", "q", 10, 20), ("u", "q", 10, 30), ("v", "p", 1, 40))
    built = build_interactions(views, CATALOGUE, 5.0, aging(20.0))
    assert weights(built) == {
        ("u", "p"): 0.25,
        ("u", "q"): pytest.approx(0.5**0.5),
        ("v", "p"): 1.0,
        ("v", "q"): 0.5,
    }


def test_without_a_half_life_nothing_ages():
    """By default weights do not age."""
    views = timed(("u", "p", 0, 0), ("v", "q", 900, 900), ("u", "q", 10, 30), ("v", "p", 1, 40))
    assert (build_interactions(views, CATALOGUE, 5.0).weights.data == 1).all()


def test_very_old_interactions_have_the_least_weight():
    """The weight is never 0, which would have the item recommended again."""
    views = timed(("u", "p", 0, 0), ("v", "q", 900, 900), ("u", "q", 899, 900))
    built = build_interactions(views, CATALOGUE, 5.0, aging(1.0))
    assert weights(built)["u", "p"] == 0.001


def test_an_unknown_time_has_age_0():
    """An interaction without a time keeps its full weight."""
    views = timed(("u", "p", None, None), ("v", "q", 900, 900), ("u", "q", 890, 890))
    built = build_interactions(views, CATALOGUE, 5.0, aging(10.0))
    assert weights(built) == {("u", "p"): 1.0, ("u", "q"): 0.5, ("v", "q"): 1.0}


def test_the_latest_rating_keeps_a_view_young():
    """The latest event may be a view or a rating."""
    views = timed(("u", "p", 0, 0), ("v", "q", 40, 40), ("v", "p", 0, 0))
    rated = replace(views, ratings=events(ratings=[("u", "p", 2.5, NOON + 20 * DAY)]).ratings)
    built = build_interactions(rated, CATALOGUE, 5.0, aging(20.0))
    assert weights(built) == {("u", "p"): 0.5, ("v", "p"): 0.25, ("v", "q"): 1.0}


def test_a_wrong_clock_does_not_age_the_others():
    """One time in a thousand may lie in the future without effect on other ages."""
    rows = [(f"u{n}", "pq"[n % 2], 0, 0) for n in range(1999)]
    views = timed(*rows, ("u0", "q", 30_000, 30_000))
    built = build_interactions(views, CATALOGUE, 5.0, aging(10.0))
    assert (built.weights.data == 1).all()


def test_an_interaction_began_with_its_first_event():
    """The earliest known time of view and ratings; 0 where all are unknown."""
    views = timed(("u", "p", 3, 9), ("u", "q", None, None), ("v", "p", 5, 5), ("v", "q", 1, 1))
    ratings = [
        ("v", "p", 1.0, NOON + 4 * DAY), ("v", "p", 5.0, NOON + 7 * DAY),
        ("v", "p", 2.0, 0), ("v", "q", 3.0, NOON + 2 * DAY), ("u", "q", 3.0, 0),
    ]  # fmt: skip
    rated = replace(views, ratings=events(ratings=ratings).ratings)
    began_at = build_interactions(rated, CATALOGUE, 5.0).began_at
    assert began_at is not None
    assert [at and (at - NOON) / DAY for at in began_at.tolist()] == [3, 0, 4, 1]


def test_without_any_time_there_is_no_array_of_times():
    """None, not an array of zeros."""
    assert build_interactions(events(TWO_USERS), CATALOGUE, 5.0).began_at is None


# --- the scale ----------------------------------------------------------------------------


def rated(*values):
    """Return one rating for each value, of users and items that exist."""
    return [(f"u{n}", f"i{n % 2}", value, n) for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([1, 2, 3, 4, 5], 5.0),
        ([1, 5, 10], 10.0),
        ([3] * 99 + [7], 5.0),
        ([3] * 98 + [7, 8], 10.0),
        ([3] * 50 + [11, 100, 10**6], 5.0),
        ([0.5, 4.5], 5.0),
    ],
)
def test_scale_is_inferred_from_the_data(values, best):
    """Up to 1 % above 5 are noise, more make a scale to 10; above 10 is always noise."""
    built = build_interactions(events(ratings=rated(*values)), {"i0": None, "i1": None}, 0.0)
    assert built.ratings.best == best


def test_ratings_off_the_scale_are_counted_and_dropped():
    """A rating of 0 or above the best is dropped; the others keep their weight."""
    ratings = rated(0, 5, 3, 6, 10**6, 5, -1)
    built = build_interactions(events(ratings=ratings), {"i0": None, "i1": None}, 5.0)
    assert built.dropped == {OFF_SCALE: 4}
    assert weights(built) == {("u1", "i1"): 2.0, ("u2", "i0"): 1.2, ("u5", "i1"): 2.0}


def test_configured_scale_is_not_inferred():
    """The configured best rating stands, whatever the data look like."""
    built = build_interactions(events(ratings=rated(7, 8, 9, 20)), {"i0": None, "i1": None}, 20)
    assert (built.ratings.best, built.dropped) == (20, {})


def test_ratings_are_rows_of_the_matrix():
    """The latest rating of each user and item, with its rows in the matrix."""
    ratings = [("b", "j", 2.0, 5), ("a", "j", 4.0, 5), ("b", "i", 3.0, 5), ("b", "j", 1.0, 9)]
    built = build_interactions(events([("c", "k", 1)], ratings), dict.fromkeys("ijk"), 5.0)
    rows = zip(
        built.ratings.user_row, built.ratings.item_row, built.ratings.rating.tolist(), strict=True
    )
    assert list(rows) == [(0, 1, 4.0), (1, 0, 3.0), (1, 1, 1.0)]


# --- what exists --------------------------------------------------------------------------


def test_items_outside_the_catalogue_are_dropped_and_counted_by_event():
    """A view of 120 minutes outside the catalogue is 120 events dropped, a rating is one."""
    views = [*TWO_USERS, ("u", "noise", 119, 120), ("u", "p", 3, 4), ("v", "Noise", 0, 1)]
    ratings = [("u", "noise", 3.0), ("u", "q", 3.0)]
    built = build_interactions(events(views, ratings), CATALOGUE, 5.0)
    assert built.dropped == {OUTSIDE: 122}
    assert built.item_ids.to_pylist() == ["p", "q"]


def test_clean_input_has_no_dropped_reasons():
    """Reasons with a count of 0 are left out."""
    assert build_interactions(events(TWO_USERS), CATALOGUE, 5.0).dropped == {}


def test_catalogue_items_without_events_have_no_row():
    """An item needs at least one user."""
    built = build_interactions(events(TWO_USERS), {**CATALOGUE, "never+seen": 90.0}, 5.0)
    assert built.item_ids.to_pylist() == ["p", "q"]


def test_one_user_makes_a_catalogue_item_real():
    """With a catalogue an item exists however few users it has."""
    assert weights(build_interactions(events(TWO_USERS), CATALOGUE, 5.0)) == {
        ("x", "p"): 1.0,
        ("y", "q"): 1.0,
    }


def test_without_a_catalogue_two_users_make_an_item_real():
    """Views and ratings both count; a user with many events counts once."""
    views = [("a", "viewed", 1), ("b", "viewed", 1), ("a", "both", 1), ("a", "lone", 9, 50)]
    ratings = [("b", "both", 3.0), ("a", "lone", 5.0), ("a", "rated", 1.0), ("c", "rated", 1.0)]
    built = build_interactions(events(views, ratings), None, 5.0)
    assert built.item_ids.to_pylist() == ["both", "rated", "viewed"]
    assert built.dropped == {TOO_FEW_USERS: 51}


def test_user_without_an_item_left_has_no_row_and_is_counted():
    """Users with events of unknown items alone get the fallback and are counted."""
    views = [*TWO_USERS, ("u", "noise", 1), ("v", "noise", 1), ("v", "p", 1), ("w", "noise", 1)]
    built = build_interactions(events(views, [("r", "noise", 3.0)]), CATALOGUE, 5.0)
    assert built.user_ids.to_pylist() == ["v", "x", "y"]
    assert built.n_users_without == 3


def test_user_of_ratings_off_the_scale_alone_has_no_row():
    """A rating off the scale is dropped, and so is a user without anything else."""
    built = build_interactions(events(TWO_USERS, [("u", "p", 99.0)]), CATALOGUE, 5.0)
    assert built.user_ids.to_pylist() == ["x", "y"]


def test_ids_are_in_the_order_of_their_bytes():
    """The order of LMDB keys: digits, capitals, small letters, and 10 before 9."""
    users, items = ["9", "10", "b", "B", "a~", "a"], ["z", "+", ".45", "_", "0", "Z"]
    views = [(user, item, None) for user in users for item in items]
    built = build_interactions(events(views), None, 5.0)
    assert built.user_ids.to_pylist() == ["10", "9", "B", "a", "a~", "b"]
    assert built.item_ids.to_pylist() == ["+", ".45", "0", "Z", "_", "z"]


@pytest.mark.parametrize("seed", range(3))
def test_order_of_events_changes_nothing(seed):
    """The same events in another order give the same bytes."""
    rng = random.Random(seed)
    views = [(f"u{u}", f"i{i}", rng.randrange(150)) for u in range(30) for i in range(u % 7)]
    ratings = [
        (f"u{rng.randrange(30)}", f"i{rng.randrange(7)}", rng.randrange(1, 6), rng.randrange(9))
        for _ in range(200)
    ]

    def build():
        return build_interactions(events(views, ratings), None, 0.0)

    before = build()
    rng.shuffle(views)
    rng.shuffle(ratings)
    after = build()
    for part in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(after.weights, part), getattr(before.weights, part))
    assert np.array_equal(after.ratings.rating, before.ratings.rating)


def test_matrix_is_canonical_float32():
    """Every cell is stored once, in order, above 0."""
    views = [("u", "p", 3), ("u", "q", 0), *TWO_USERS]
    built = build_interactions(events(views, [("u", "p", 3.0)]), CATALOGUE, 5.0).weights
    assert (built.shape, built.nnz) == ((3, 2), 4)
    assert built.dtype == np.float32
    assert built.has_canonical_format
    assert (built.data > 0).all()


# --- too little ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("views", "what"),
    [
        ([], r"0 user\(s\) and 0 item\(s\)"),
        ([("u", "p", 1)], r"1 user\(s\) and 1 item\(s\)"),
        ([("u", "p", 1), ("u", "q", 1)], r"1 user\(s\) and 2 item\(s\)"),
        ([("u", "p", 1), ("v", "p", 1)], r"2 user\(s\) and 1 item\(s\)"),
        ([("u", "n", 1, 7), ("v", "p", 1)], f"after dropping 7 × {OUTSIDE}"),
    ],
)
def test_fewer_than_two_users_or_items_are_refused(views, what):
    """The error contains how many are left, and why."""
    with pytest.raises(NothingToLearnError, match=what):
        build_interactions(events(views), CATALOGUE, 5.0)


def test_two_users_and_two_items_are_enough():
    """The smallest valid input."""
    assert build_interactions(events(TWO_USERS), CATALOGUE, 0.0).weights.shape == (2, 2)


@pytest.mark.parametrize("kind", ["views", "ratings"])
def test_one_kind_of_event_is_enough(kind):
    """Views without ratings, and ratings without views, are valid input."""
    rows = [("u", "p", 3), ("v", "p", 3), ("u", "q", 3), ("v", "q", 3)]
    built = build_interactions(events(**{kind: rows}), None, 0.0)
    assert built.weights.nnz == 4
    assert len(built.ratings.rating) == (4 if kind == "ratings" else 0)


# --- the whole of it ----------------------------------------------------------------------


def aggregated_one_by_one(views, ratings):
    """Return watched share, latest rating and first time by user and item, event by event."""
    pairs: dict[tuple[str, str], list[float]] = {}
    for user, item, minute, _, first_at, _ in views:
        share = 1.0 if minute is None else min((minute + 1) / 100, 1.0)
        pairs[user, item] = [share, 0.0, first_at or 0]
    for user, item, rating, at in sorted(ratings, key=lambda rating: (rating[3], rating[2])):
        if 0 < rating <= 5:
            pair = pairs.setdefault((user, item), [1.0, 0.0, 0])
            pair[1] = rating
            pair[2] = min(time for time in (pair[2] or at, at or pair[2]))
    n_users = Counter(item for _, item in pairs)
    return {pair: values for pair, values in pairs.items() if n_users[pair[1]] >= 2}


@pytest.mark.parametrize("seed", range(5))
def test_build_agrees_with_event_by_event(seed):
    """Views and ratings of any mixture: the same pairs, weights and times as event by event."""
    rng = random.Random(seed)
    users_and_items = {(str(rng.randrange(60)), f"i{rng.randrange(25)}") for _ in range(150)}
    views = [
        (user, item, rng.choice([None, rng.randrange(150)]), 1, at, at)
        for user, item in sorted(users_and_items)
        for at in [rng.choice([None, rng.randrange(1, 99)])]
    ]
    ratings = [
        (str(rng.randrange(60)), f"i{rng.randrange(25)}", rng.choice([-1.0, 0.5, 2, 3, 5, 9]),
         rng.randrange(9))
        for _ in range(300)
    ]  # fmt: skip
    built = build_interactions(events_of(views, ratings), None, 5.0)
    pairs = aggregated_one_by_one(views, ratings)
    assert weights(built) == {
        pair: pytest.approx(max(share + (2 * rating / 5 - 1) * (rating > 0), 0.001), rel=1e-4)
        for pair, (share, rating, _) in pairs.items()
    }
    assert built.began_at is not None
    assert built.began_at.tolist() == [pairs[pair][2] for pair in sorted(pairs)]
    rated = built.ratings
    ids = built.user_ids.to_pylist(), built.item_ids.to_pylist()
    assert {
        (ids[0][user], ids[1][item]): rating
        for user, item, rating in zip(rated.user_row, rated.item_row, rated.rating, strict=True)
    } == {pair: rating for pair, (_, rating, _) in pairs.items() if rating}
