"""Answered requests: the stream's own word on what was shown, when, and how fast.

recommendation request host:8082, status 200, result: heat+1995, m+1931, 65 ms
recommendation request host:8082, status 0, result: Connection refused: …, 1369 ms

The list that was shown becomes `items`, joined by commas as it was sent; whatever
else stood in its place is kept as `result`.
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
_LARGEST: Final = 10**6  # a longer run of digits is cut to this: absurd, but countable


class AnswerTable:
    """Makes rows of answers of what `REQUEST` has captured.

    Args:
        item_pattern: What an item id is (RE2, no groups).
    """

    def __init__(self, item_pattern: str) -> None:
        self._list = f"^(?:{item_pattern})(?:, ?(?:{item_pattern}))*$"

    def __call__(self, fields: Mapping[str, pa.BinaryArray], at: pa.Int64Array) -> pa.Table:
        """Return `ANSWERS` of the fields user, host, status, result, milliseconds."""
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
    """Return decimal digits as numbers, what is longer than 6 digits as 10^6."""
    is_short = pc.less_equal(pc.binary_length(digits), len(str(_LARGEST)) - 1)
    short = pc.if_else(is_short, digits, str(_LARGEST).encode())
    return short.cast(pa.string()).cast(pa.int64())


def _text(raw: pa.BinaryArray) -> pa.StringArray:
    """Return bytes as text; what is no UTF-8, which noise alone makes, as U+FFFD."""
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:
        texts = (None if one is None else one.decode("utf-8", "replace") for one in raw.to_pylist())
        return pa.array(texts, pa.string())
