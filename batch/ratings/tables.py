"""The rating model as records of `factors.mdb`, in key order; no records without a model.

`biases` is decimal text that a person can read:

    i/<item_id>  -0.331      mean  3.52      scale  1 5      u/<user_id>  0.207
"""

from collections.abc import Iterator, Sequence

from batch.ratings.model import RatingFactors, RatingModel

Records = Iterator[tuple[bytes, bytes]]


def bias_records(
    model: RatingModel | None, user_ids: Sequence[bytes], item_ids: Sequence[bytes]
) -> Records:
    """Yield mean, scale and the biases of rows with ratings; no id contains "/"."""
    if model is None:
        return
    yield from _biases(b"i/", model.items, item_ids)
    yield b"mean", b"%.6g" % model.mean
    yield b"scale", b"%.6g %.6g" % model.scale
    yield from _biases(b"u/", model.users, user_ids)


def vector_records(side: RatingFactors | None, ids: Sequence[bytes]) -> Records:
    """Yield the factors of each row with ratings, float32, little-endian."""
    if side is None:
        return
    for name, is_rated, vector in zip(ids, side.is_rated, side.factors.astype("<f4"), strict=True):
        if is_rated:
            yield name, vector.tobytes()


def _biases(prefix: bytes, side: RatingFactors, ids: Sequence[bytes]) -> Records:
    for name, is_rated, bias in zip(ids, side.is_rated, side.bias.tolist(), strict=True):
        if is_rated:
            yield prefix + name, b"%.6g" % bias
