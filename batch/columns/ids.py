"""Ids of a column: text as it is; whole numbers without the `.0` of a float or decimal column.

    7.0   1.000000000000000000   12.0     all whole, some with a fraction of 0: 7, 1, 12
    7.0   1.5                             not all whole: as they are
    7     12                              as they are; a later 7.0 would be another id

What the ids are is decided once, from the first ones; a later id that contradicts is rejected.
"""

import re
from enum import Enum
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.columns.values import Values, faults, flags, is_text

_WHOLE: Final = r"^-?\d+(?:\.0*)?$"
_FLOAT: Final = r"^-?\d+\.\d*$"
_FRACTION: Final = re.compile(r"(-?\d+)\.0*")
_MAX_EXACT: Final = 2.0**53


class IdForm(Enum):
    """What the ids of a column are."""

    TEXT = "text"
    INTEGER = "whole numbers"
    FLOAT = "whole numbers with a fraction of 0"


def id_form(ids: pa.Array) -> IdForm:
    """Return what ids are, from the first of a column, text or numbers; nulls are ignored."""
    texts = id_texts(ids).drop_null().unique()
    texts = texts.filter(pc.not_equal(texts, ""))
    if not len(texts) or not pc.all(pc.match_substring_regex(texts, _WHOLE)).as_py():
        return IdForm.TEXT
    has_fraction = pc.any(pc.match_substring_regex(texts, _FLOAT)).as_py()
    return IdForm.FLOAT if has_fraction else IdForm.INTEGER


def whole_text(text: str) -> str:
    """Return `7.0` as `7`, and any other text as it is."""
    found = _FRACTION.fullmatch(text)
    return found[1] if found else text


def id_texts(ids: pa.Array) -> pa.StringArray:
    """Return ids as text, whole floats as `7.0` however large; not of a dictionary."""
    if pa.types.is_floating(ids.type):
        numbers = ids.cast(pa.float64())
        values = numbers.to_numpy(zero_copy_only=False)
        with np.errstate(invalid="ignore"):
            is_whole = (np.floor(values) == values) & (np.abs(values) < _MAX_EXACT)
        whole = pa.array(np.where(is_whole, values, 0).astype(np.int64)).cast(pa.string())
        whole = pc.binary_join_element_wise(whole, ".0", "")
        return pc.if_else(pa.array(is_whole), whole, numbers.cast(pa.string()))
    return ids if pa.types.is_string(ids.type) else ids.cast(pa.string())


class IdReader:
    """Reads a column of ids.

    Args:
        what: `user` or `item`.
        pattern: Pattern of a valid id (RE2).
        form: What the ids are.
    """

    def __init__(self, what: str, pattern: str, form: IdForm) -> None:
        self._what = what
        self._pattern = f"^{pattern}$"
        self._form = form

    def __call__(self, column: pa.Array) -> Values:
        """Return the ids, dictionary-encoded."""
        is_coded = pa.types.is_dictionary(column.type)
        if not is_coded and is_text(column.type) and not pa.types.is_string(column.type):
            column = column.cast(pa.string())
        coded = column if is_coded else column.dictionary_encode()
        texts = id_texts(coded.dictionary)
        indices = coded.indices.cast(pa.int32())
        is_missing = flags(indices.is_null())
        is_id = flags(pc.match_substring_regex(texts, self._pattern))
        contradicts = np.zeros(len(texts), dtype=bool)
        if self._form is IdForm.FLOAT:
            contradicts = ~flags(pc.match_substring_regex(texts, _WHOLE))
            texts = pc.replace_substring_regex(texts, r"^(-?\d+)\.0*$", r"\1")
            distinct = texts.dictionary_encode()  # 7 and 7.0 are one id
            values, codes = distinct.dictionary, distinct.indices.take(indices)
        else:
            if self._form is IdForm.INTEGER:
                contradicts = flags(pc.match_substring_regex(texts, _FLOAT))
            values, codes = texts, indices
        rows = indices.fill_null(0).to_numpy(zero_copy_only=False)
        found = faults()
        if is_missing.any() or not is_id.all() or contradicts.any():
            bad, other = (
                (~is_id)[rows] | is_missing if len(is_id) else is_missing,
                (contradicts & is_id)[rows] if len(is_id) else np.zeros(len(rows), dtype=bool),
            )
            found = faults(
                (f"malformed {self._what} id", bad),
                (f"{self._what} id unlike the first ones, which are {self._form.value}", other),
            )
        return Values(pa.DictionaryArray.from_arrays(codes, values), found)
