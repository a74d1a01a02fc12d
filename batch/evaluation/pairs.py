"""Published splits in LightGCN's format: a user and all of their items on each line.

0 17 4 233          user 0 has had the items 17, 4 and 233
1 4
2                   user 2 has had nothing on this side
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from batch.errors import InputError
from batch.files import open_input


def read_pairs(train: Path, test: Path) -> tuple[sp.csr_matrix, sp.csr_matrix, list[str]]:
    """Read both sides of a split.

    Users and items are what stands in either file, rows in the order of the ids' bytes.

    Returns:
        The sides, (n_users, n_items) each with ones, and the users' ids.

    Raises:
        InputError: A file cannot be read, is empty, or not in that format.
    """
    sides = [_read(path) for path in (train, test)]
    users, items = (
        pa.concat_arrays([side[column] for side in sides]).unique().sort() for column in (0, 1)
    )
    matrices = []
    for user, item in sides:
        place = tuple(
            pc.index_in(column, value_set=ids).to_numpy()
            for column, ids in ((user, users), (item, items))
        )
        ones = np.ones(len(user), np.float32)
        matrix = sp.csr_matrix((ones, place), shape=(len(users), len(items)))
        matrix.data[:] = 1  # a pair that stands there twice is one
        matrices.append(matrix)
    return matrices[0], matrices[1], users.to_pylist()


def _read(path: Path) -> tuple[pa.StringArray, pa.StringArray]:
    with open_input(path) as file:
        text = file.read()
    try:
        lines = pc.split_pattern_regex(pa.array(text.decode("ascii").splitlines()), r"\s+")
    except UnicodeDecodeError:
        raise InputError(path, "is no ASCII text", _WAY_OUT) from None
    words, line = lines.flatten(), pc.list_parent_indices(lines).to_numpy()
    is_word = pc.not_equal(words, "").to_numpy(zero_copy_only=False)
    words, line = words.filter(pa.array(is_word)), line[is_word]
    is_user = np.ones(len(line), dtype=bool)
    is_user[1:] = np.diff(line) != 0
    if is_user.all():
        raise InputError(path, "has no line with a user and an item", _WAY_OUT)
    user = words.take(pa.array(np.maximum.accumulate(np.where(is_user, np.arange(len(line)), 0))))
    is_item = pa.array(~is_user)
    return user.filter(is_item), words.filter(is_item)


_WAY_OUT = "each line must be a user and their items, with blanks between"
