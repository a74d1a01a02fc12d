"""Pairs of user and item: read from Parquet, numbered, and taken out of a matrix."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy.sparse as sp

from batch.arrays import Rows
from batch.models.holdout import without
from benchmarks.harness.errors import BenchmarkError


class Pairs(NamedTuple):
    """Pairs as ids, side by side.

    Attributes:
        user_ids: (n_pairs,) ids of users.
        item_ids: (n_pairs,) ids of items.
    """

    user_ids: pa.Array
    item_ids: pa.Array


class Numbering(NamedTuple):
    """Rows of users and items, in the order of their ids.

    Attributes:
        user_ids: (n_users,) ids of the user rows.
        item_ids: (n_items,) ids of the item rows.
    """

    user_ids: pa.Array
    item_ids: pa.Array

    def rows(self, pairs: Pairs, path: Path) -> tuple[Rows, Rows]:
        """Return the user rows and the item rows of pairs.

        Args:
            pairs: Pairs of users and items that have a row.
            path: File of the pairs, for the message.

        Raises:
            BenchmarkError: An id has no row.
        """
        rows = [pc.index_in(ids, value_set=known) for ids, known in zip(pairs, self, strict=True)]
        if any(column.null_count for column in rows):
            raise BenchmarkError(
                path, "has a user or an item that the training pairs lack", "use one copy of both"
            )
        return (rows[0].to_numpy().astype(np.int64), rows[1].to_numpy().astype(np.int64))


def read_pairs(path: Path) -> Pairs:
    """Read the two columns of a Parquet file: users, then items.

    Raises:
        BenchmarkError: The file cannot be read, or does not have two columns.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BenchmarkError(path, f"cannot be read ({error})", "write it anew") from error
    if table.num_columns != 2:
        raise BenchmarkError(path, f"has {table.num_columns} columns", "keep user and item")
    return Pairs(*(column.cast(pa.string()).combine_chunks() for column in table.columns))


def numbering_of(pairs: Pairs) -> Numbering:
    """Return the rows of the users and items of these pairs."""
    return Numbering(*(ids.unique().sort() for ids in pairs))


def matrix_of(pairs: Pairs, numbering: Numbering, path: Path) -> sp.csr_matrix:
    """Return (n_users, n_items), 1 at each pair; a repeated pair counts once."""
    cells = numbering.rows(pairs, path)
    shape = (len(numbering.user_ids), len(numbering.item_ids))
    matrix = sp.csr_matrix((np.ones(len(cells[0]), np.float32), cells), shape=shape)
    matrix.data[:] = 1
    return matrix


def take_out(matrix: sp.csr_matrix, user_rows: Rows, item_rows: Rows, path: Path) -> sp.csr_matrix:
    """Return the matrix without some of its pairs.

    Args:
        matrix: (n_users, n_items), columns sorted within each row.
        user_rows: (n_pairs,) user rows of the pairs.
        item_rows: (n_pairs,) item rows of the pairs.
        path: File of the pairs, for the message.

    Raises:
        BenchmarkError: The matrix lacks one of the pairs.
    """
    n_users, n_items = matrix.shape
    cells = np.repeat(np.arange(n_users), np.diff(matrix.indptr)) * n_items + matrix.indices
    wanted = user_rows * n_items + item_rows
    positions = np.searchsorted(cells, wanted)
    if (np.append(cells, -1)[positions] != wanted).any():
        raise BenchmarkError(
            path, "has a pair that is not one of all pairs", "use one copy of both"
        )
    return without(matrix, positions)


def k_core(pairs: Pairs, k: int) -> Pairs:
    """Return the pairs left when users and items of fewer than k pairs are removed, repeatedly."""
    codes = [ids.dictionary_encode().indices.to_numpy() for ids in pairs]
    is_kept = np.ones(len(pairs.user_ids), dtype=bool)
    n_before = -1
    while (n_kept := int(is_kept.sum())) != n_before:
        n_before = n_kept
        for column in codes:
            is_kept &= (
                np.bincount(column[is_kept], minlength=column.max(initial=0) + 1)[column] >= k
            )
    return Pairs(*(ids.filter(pa.array(is_kept)) for ids in pairs))
