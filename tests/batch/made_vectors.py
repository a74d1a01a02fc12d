"""Files of vectors from outside, as a service might bring them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def write_vectors(
    path: Path, vectors: Mapping[str, Sequence[float]], id_name: str = "id", **further: object
) -> Path:
    """Write a file of vectors by id; further columns as lists or arrays."""
    columns = {
        id_name: pa.array(list(vectors), pa.string()),
        "vector": pa.array([list(vector) for vector in vectors.values()], pa.list_(pa.float32())),
    }
    pq.write_table(pa.table({**columns, **further}), path)
    return path


def vector_of_kind(kind: int, seed: int, length: int = 12) -> list[float]:
    """Return a vector like the others of its kind, 0 or 1."""
    noise = np.random.default_rng(seed).normal(0, 0.3, length)
    noise[0] += 1 if kind else -1
    return (noise + 2).tolist()
