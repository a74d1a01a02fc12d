"""Answered requests: what the stream's lines report on the lists that were shown, and how fast.

recommendation request host:8082, status 200, result: heat+1995, m+1931, 65 ms
recommendation request host:8082, status 0, result: Connection refused: …, 1369 ms

A list that was shown becomes `items`, joined by commas as it was sent; any other
result is kept as text in `result`.
"""

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from batch.events.parsed import ANSWERS, to_table

REQUEST: Final = (
    r"recommendation request (?P<host>[^,]+), status (?P<status>\d+), "
    r"result: (?P<result>.*), ?(?P<milliseconds>\d+) ?ms"
)
_MAX_NUMBER: Final = 10**6  # longer runs of digits are cut to this


class AnswerTable:
    """Makes rows of answers from the fields that `REQUEST` captures.

    Args:
        item_pattern: Pattern of an item id (RE2, no groups).
    """

    def __init__(self, item_pattern: str) -> None:
        self._list = f"^(?:{item_pattern})(?:, ?(?:{item_pattern}))*$"

    def __call__(self, fields: Mapping[str, pa.BinaryArray], at: pa.Int64Array) -> pa.Table:
        """Return `ANSWERS` from the fields user, host, status, result, milliseconds."""
        result = fields["result"]
        is_list = pc.match_substring_regex(result, self._list)
        columns = (
            fields["user"],
            at,
            _text(fields["host"]),
            whole_numbers(fields["status"]),
            pc.replace_substring(_text(pc.if_else(is_list, result, None)), ", ", ","),
            _text(pc.if_else(is_list, None, result)),
            whole_numbers(fields["milliseconds"]),
        )
        return to_table(columns, ANSWERS)


def whole_numbers(digits: pa.BinaryArray) -> pa.Int64Array:
    """Return decimal digits as numbers, 10^6 for more than 6 digits."""
    is_short = pc.less_equal(pc.binary_length(digits), len(str(_MAX_NUMBER)) - 1)
    short = pc.if_else(is_short, digits, str(_MAX_NUMBER).encode())
    return short.cast(pa.string()).cast(pa.int64())


def _text(raw: pa.BinaryArray) -> pa.StringArray:
    """Return bytes as text, invalid UTF-8 (noise) as U+FFFD."""
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:
        texts = (None if one is None else one.decode("utf-8", "replace") for one in raw.to_pylist())
        return pa.array(texts, pa.string())
