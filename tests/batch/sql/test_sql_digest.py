"""The digest of rows: independent of order and of batches, different for other rows."""

import random

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.sql.digest import RowDigest

_ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-5, 5),
        st.none() | st.text(max_size=3),
        st.none() | st.floats(allow_nan=False),
        st.none() | st.lists(st.integers(0, 3), max_size=2),
    ),
    min_size=1,
    max_size=12,
)
_SCHEMA = pa.schema(
    [("a", pa.int64()), ("b", pa.string()), ("c", pa.float64()), ("d", pa.list_(pa.int64()))]
)


def digest(*batches):
    found = RowDigest()
    for rows in batches:
        columns = zip(*rows, strict=True) if rows else ([] for _ in _SCHEMA)
        found.add([pa.array(list(c), f.type) for c, f in zip(columns, _SCHEMA, strict=True)])
    return found.n_rows, found.hexdigest


@settings(max_examples=60, deadline=None)
@given(_ROWS, st.randoms(use_true_random=False), st.integers(0, 12))
def test_neither_order_nor_batches_count(rows, rng, split):
    shuffled = random.Random(rng.random()).sample(rows, len(rows))
    assert digest(shuffled[:split], shuffled[split:]) == digest(rows)


@settings(max_examples=60, deadline=None)
@given(_ROWS, _ROWS)
def test_other_rows_have_another_digest(rows, others):
    same = sorted(map(repr, rows)) == sorted(map(repr, others))
    assert (digest(rows) == digest(others)) == same


def test_values_do_not_move_between_columns_rows_or_null():
    rows = [(1, "x", 0.5, [1]), (2, "y", 0.25, [2])]
    for others in (
        [(1, "y", 0.5, [1]), (2, "x", 0.25, [2])],
        [(1, "x", 0.5, [1])] * 2,
        [*rows, rows[0]],
        [(1, None, 0.5, [1]), rows[1]],
        [(1, "None", 0.5, [1]), rows[1]],
        [],
    ):
        assert digest(others) != digest(rows)
