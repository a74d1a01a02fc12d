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

from batch.arrays import Flags
from batch.columns.values import Fault, Values, faults, flags, is_text

_WHOLE: Final = r"^-?\d+(?:\.0*)?$"
_FLOAT: Final = r"^-?\d+\.\d*$"
_FRACTION_OF_0: Final = r"^(-?\d+)\.0*$"
_MAX_WHOLE: Final = 2.0**63  # of an int64


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
    return re.sub(_FRACTION_OF_0, r"\1", text)


def id_texts(ids: pa.Array) -> pa.StringArray:
    """Return ids as text, whole floats as `7.0` however large; not of a dictionary."""
    if pa.types.is_floating(ids.type):
        numbers = ids.cast(pa.float64())
        values = numbers.to_numpy(zero_copy_only=False)
        with np.errstate(invalid="ignore"):
            is_whole = (np.floor(values) == values) & (np.abs(values) < _MAX_WHOLE)
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
        """Return the ids, dictionary-encoded; each distinct one is looked at once."""
        coded = _encoded(column)
        texts, indices = id_texts(coded.dictionary), coded.indices.cast(pa.int32())
        is_malformed = ~flags(pc.match_substring_regex(texts, self._pattern))
        is_other = self._contradicts(texts) & ~is_malformed
        found: tuple[Fault, ...] = ()
        if is_malformed.any() or is_other.any() or indices.null_count:
            # a missing id has the code behind the last one
            rows = indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
            found = faults(
                (f"malformed {self._what} id", np.append(is_malformed, True)[rows]),
                (self._unlike, np.append(is_other, False)[rows]),
            )
        if self._form is IdForm.FLOAT:
            whole = pc.replace_substring_regex(texts, _FRACTION_OF_0, r"\1").dictionary_encode()
            texts, indices = whole.dictionary, whole.indices.take(indices)  # 7 and 7.0 are one id
        return Values(pa.DictionaryArray.from_arrays(indices, texts), found)

    @property
    def _unlike(self) -> str:
        return f"{self._what} id unlike the first ones, which are {self._form.value}"

    def _contradicts(self, texts: pa.StringArray) -> Flags:
        """Return which ids are not what the first ones are."""
        if self._form is IdForm.FLOAT:
            return ~flags(pc.match_substring_regex(texts, _WHOLE))
        if self._form is IdForm.INTEGER:
            return flags(pc.match_substring_regex(texts, _FLOAT))
        return np.zeros(len(texts), dtype=bool)


def _encoded(column: pa.Array) -> pa.DictionaryArray:
    if pa.types.is_dictionary(column.type):
        return column
    if is_text(column.type) and not pa.types.is_string(column.type):
        column = column.cast(pa.string())
    return column.dictionary_encode()
