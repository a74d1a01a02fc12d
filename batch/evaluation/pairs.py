"""Published splits in LightGCN's format: a user and all of their items on each line.

0 17 4 233          user 0 has the items 17, 4 and 233
1 4
2                   user 2 has no item on this side
"""

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from batch.errors import InputError
from batch.files.open import open_input

_FORMAT: Final = "write a user and their items on each line, with blanks between"


def read_pairs(train: Path, test: Path) -> tuple[sp.csr_matrix, sp.csr_matrix, list[str]]:
    """Read both sides of a split.

    Users and items are those of either file, rows in the order of the ids' bytes.

    Returns:
        The training and test side as (n_users, n_items) matrices of ones, and the user ids.

    Raises:
        InputError: A file cannot be read, is empty, or not in that format.
    """
    sides = [_read(path) for path in (train, test)]
    users, items = (
        pa.concat_arrays([side[column] for side in sides]).unique().sort() for column in (0, 1)
    )
    matrices = []
    for user, item in sides:
        cells = tuple(
            pc.index_in(column, value_set=ids).to_numpy()
            for column, ids in ((user, users), (item, items))
        )
        ones = np.ones(len(user), np.float32)
        matrix = sp.csr_matrix((ones, cells), shape=(len(users), len(items)))
        matrix.data[:] = 1  # a repeated pair counts once
        matrices.append(matrix)
    return matrices[0], matrices[1], users.to_pylist()


def _read(path: Path) -> tuple[pa.StringArray, pa.StringArray]:
    with open_input(path) as file:
        text = file.read()
    try:
        lines = pc.split_pattern_regex(pa.array(text.decode("ascii").splitlines()), r"\s+")
    except UnicodeDecodeError:
        raise InputError(path, "is not ASCII text", _FORMAT) from None
    words, line = lines.flatten(), pc.list_parent_indices(lines).to_numpy()
    is_word = pc.not_equal(words, "").to_numpy(zero_copy_only=False)
    words, line = words.filter(pa.array(is_word)), line[is_word]
    is_user = np.ones(len(line), dtype=bool)
    is_user[1:] = np.diff(line) != 0
    if is_user.all():
        raise InputError(path, "has no line with a user and an item", _FORMAT)
    user = words.take(pa.array(np.maximum.accumulate(np.where(is_user, np.arange(len(line)), 0))))
    is_item = pa.array(~is_user)
    return user.filter(is_item), words.filter(is_item)
