"""Ids in Arrow columns: dictionary-encoded, each distinct id once and a code for every row."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Codes

ID: Final = pa.dictionary(pa.int32(), pa.string())


def encode(ids: pa.Array) -> pa.DictionaryArray:
    """Return ids as `ID`; they may be text, ASCII bytes, or numbers."""
    if pa.types.is_binary(ids.type) or pa.types.is_large_string(ids.type):
        ids = ids.cast(pa.string())
    coded = ids if pa.types.is_dictionary(ids.type) else ids.dictionary_encode()
    values = coded.dictionary.cast(pa.string())
    return pa.DictionaryArray.from_arrays(coded.indices.cast(pa.int32()), values)


def whole(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Return a column of `ID` as one array, with one dictionary for all its rows."""
    chunks = column.chunks
    if all(chunk.dictionary.equals(chunks[0].dictionary) for chunk in chunks[1:]):
        return column.combine_chunks()  # unifying would hash each chunk's dictionary
    return column.unify_dictionaries().combine_chunks()


def codes_of(ids: pa.DictionaryArray) -> Codes:
    """Return (n,) position of each row's id in the dictionary."""
    codes: Codes = ids.indices.to_numpy(zero_copy_only=False)
    return codes


def sort_ids(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Return the same ids, the dictionary in byte order and without unused ids.

    The code of an id is then its row among the sorted ids, and equal columns have
    equal bytes.
    """
    ids = whole(column)
    codes = codes_of(ids)
    is_used = np.zeros(len(ids.dictionary), dtype=bool)
    is_used[codes] = True
    used = np.flatnonzero(is_used)
    values = ids.dictionary.take(pa.array(used))
    order = pc.sort_indices(values)
    row = np.empty(len(is_used), np.int32)
    row[used[order.to_numpy()]] = np.arange(len(used), dtype=np.int32)
    return pa.DictionaryArray.from_arrays(row[codes], values.take(order))
