"""The rating model as records, and predictions from the records alone."""

import struct

import numpy as np
import pytest

from batch.ratings.measure import folds
from batch.ratings.model import RatingFactors, RatingModel, Scale
from batch.ratings.tables import bias_records, vector_records
from batch.ratings.train import RatingOptions, train_ratings
from tests.batch.made_ratings import made_by_a_model

USERS, ITEMS = [b"ann", b"bob", b"z" * 64], [b"a", b"b"]


@pytest.fixture
def model():
    """Bob has no ratings."""
    return RatingModel(
        3.25,
        Scale(0.5, 5.0),
        RatingFactors(
            np.array([True, False, True]),
            np.array([-1 / 3, 0, 1e-7]),
            np.array([[1, 2], [0, 0], [0.1, -4]], np.float32),
        ),
        RatingFactors(
            np.array([True, True]), np.array([0.5, 0]), np.array([[3, 4], [5, 6]], np.float32)
        ),
    )


def test_biases_are_decimal_text_in_key_order(model):
    """Six significant digits; users and items without ratings are left out."""
    assert list(bias_records(model, USERS, ITEMS)) == [
        (b"i/a", b"0.5"),
        (b"i/b", b"0"),
        (b"mean", b"3.25"),
        (b"scale", b"0.5 5"),
        (b"u/ann", b"-0.333333"),
        (b"u/" + b"z" * 64, b"1e-07"),
    ]


def test_vectors_are_little_endian_float32(model):
    """Users without ratings have no record."""
    assert list(vector_records(model.users, USERS)) == [
        (b"ann", struct.pack("<2f", 1, 2)),
        (b"z" * 64, struct.pack("<2f", 0.1, -4)),
    ]


def test_without_a_model_there_are_no_records():
    assert list(bias_records(None, USERS, ITEMS)) == []
    assert list(vector_records(None, USERS)) == []


def test_records_predict_the_same_as_the_model():
    """mean + biases + inner product, 0 for a missing record, clipped: equal to 4 decimals."""
    data, *_ = made_by_a_model(n_users=40, n_items=30)
    model = train_ratings(next(folds(data, 9, 1)).train, 42, 31, RatingOptions(n_factors=4, seed=1))
    assert model is not None
    users, items = ([b"%03d" % row for row in range(n)] for n in (42, 31))
    biases = {key: value.decode() for key, value in bias_records(model, users, items)}
    of_user = dict(vector_records(model.users, users))
    of_item = dict(vector_records(model.items, items))
    lowest, highest = map(float, biases[b"scale"].split())

    def predicted(user, item):
        p, q = (
            struct.unpack("<4f", table.get(key, bytes(16)))
            for table, key in ((of_user, user), (of_item, item))
        )
        expected = float(biases[b"mean"]) + sum(a * b for a, b in zip(p, q, strict=True))
        expected += float(biases.get(b"u/" + user, 0)) + float(biases.get(b"i/" + item, 0))
        return min(max(expected, lowest), highest)

    rows, columns = (part.ravel() for part in np.indices((42, 31)))
    by_hand = [
        predicted(users[row], items[column]) for row, column in zip(rows, columns, strict=True)
    ]
    assert by_hand == pytest.approx(model.predict(rows, columns), abs=1e-4)
