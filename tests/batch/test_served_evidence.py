"""Evidence that is merged piece by piece is that of all events together."""

import random

import numpy as np
import pyarrow as pa
import pytest

from batch.events.parsed import RATINGS, VIEWS, to_table
from batch.interactions.weights import DEFAULT_WEIGHTING
from batch.served.evidence import UserEvidence, WeightBasis
from batch.served.history import history_records
from stream.fresh.new_events import KnownItems, new_evidence

ITEMS = KnownItems(pa.array(list("abcd")), np.array([100, 100, 50, 90], np.float32), 5.0)
COLUMNS = ["item_row", "weight", "n_later", "watched", "rating", "rated_at", "last_at", "began_at"]
BASIS = WeightBasis(DEFAULT_WEIGHTING, 5.0, 100.0, 1010)
USERS = [b"u0", b"u1", b"u2"]
LATE = 1 << 40  # from a wrong clock


def some_events(rng, n=25):
    """Return views and ratings with few times, so that many are at the same one."""
    views, ratings = [], []
    for _ in range(n):
        user, item = f"u{rng.randrange(3)}", rng.choice("abcdx")
        at = rng.choice([0, 1001, 1002, 1003, LATE])
        if rng.random() < 0.5:
            known = at or None
            views.append((user, item, rng.choice([None, 3, 60, 200]), 1, known, known))
        else:
            ratings.append((user, item, rng.choice([1.0, 4.0, 5.0, 7.0, 0.0]), at))
    return views, ratings


def table(schema, rows):
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    kinds = [pa.string() if field.name.endswith("_id") else field.type for field in schema]
    return to_table([pa.array(c, k) for c, k in zip(columns, kinds, strict=True)], schema)


def values_after(*pieces):
    """Return the history of each user after pieces of events, merged one after the other."""
    known: dict[bytes, bytes] = {}
    for views, ratings in pieces:
        for kind, schema, rows in (("views", VIEWS, views), ("ratings", RATINGS, ratings)):
            for new in new_evidence(kind, table(schema, rows), ITEMS, 2, 2000):
                old = UserEvidence.of_values([known.get(u) for u in new.user_ids], COLUMNS)
                merged = old.merged(new.evidence, len(ITEMS.ids))
                histories = merged.histories(COLUMNS, BASIS, len(ITEMS.ids))
                known |= history_records(new.user_ids, histories, COLUMNS)
    return known


@pytest.mark.parametrize("seed", range(30))
def test_pieces_in_any_order_give_the_same_history(seed):
    """And so do pieces that are merged twice."""
    rng = random.Random(seed)
    views, ratings = some_events(rng)
    whole = values_after((views, ratings))
    assert whole
    rng.shuffle(views)
    rng.shuffle(ratings)
    half = rng.randrange(len(views) + 1), rng.randrange(len(ratings) + 1)
    first = views[: half[0]], ratings[: half[1]]
    second = views[half[0] :], ratings[half[1] :]
    assert values_after(first, second) == whole
    assert values_after(second, first) == whole
    assert values_after(first, second, first, (views, ratings)) == whole


def test_another_event_gives_another_history():
    """The twin: a later rating, a further minute, a new item."""
    rng = random.Random(1)
    views, ratings = some_events(rng)
    whole = values_after((views, ratings))
    rated, viewed = [("u0", "a", 2.0, 1500)], [("u1", "d", 89, 1, 1600, 1600)]
    assert values_after((views, ratings), ([], rated)) != whole
    assert values_after((views, ratings), (viewed, [])) != whole


def test_times_beyond_32_bits_are_the_latest():
    """A first event in the future has an unknown time, as in the batch."""
    [new] = new_evidence("views", table(VIEWS, [("u0", "a", 3, 1, LATE, LATE)]), ITEMS, 2, 2000)
    assert new.evidence.began_at.tolist() == [0]
    assert new.evidence.last_at.tolist() == [(1 << 32) - 1]
