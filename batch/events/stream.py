"""The event stream: one strict pattern for a line, and a reason for every line that breaks it.

    2022-11-14T12:23:12,596363,GET /data/m/snowpiercer+2013/16.mpg     a minute watched
    2026-02-14T00:09:21,130276,GET /rate/the+matrix+1999=7             a rating
    2026-02-14T10:30:03,99999,GET /create_account                      a new account
    2024-02-27T18:45,145051,recommendation request …, 140 ms           an answered request

Lines are matched by RE2 in bulk, as bytes: a foreign character is no error
here, only no match. Seconds are left out by the writer when they are 00.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.events.parsed import Cause, Parsed, reasons_for
from store.ids import ITEM_ID_PATTERN, USER_ID_PATTERN

_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?"
_ANSWER: Final = r"recommendation request [^,]+, status \d+, result: .*, ?\d+ ?ms"
_END: Final = r"\r?\n?$"
_NO_SUCH_TIME: Final = "no such date or time"

_LARGEST: Final = 10**6  # a longer run of digits is cut to this: absurd, but countable


class StreamParser:
    """Parses blocks of stream lines.

    Args:
        user_pattern: What a user id is in this stream (RE2, no groups).
        item_pattern: What an item id is in this stream (RE2, no groups).
    """

    def __init__(self, user_pattern: str, item_pattern: str) -> None:
        user_pattern, item_pattern = f"(?:{user_pattern})", f"(?:{item_pattern})"
        begin = f"^(?P<time>{_TIME}),(?P<user>{user_pattern}),"
        self._pattern = (
            f"{begin}(?:GET /data/m/(?P<viewed>{item_pattern})/(?P<minute>\\d+)\\.mpg"
            f"|GET /rate/(?P<rated>{item_pattern})=(?P<rating>\\d+)"
            f"|(?P<account>GET /create_account)|(?P<answer>{_ANSWER})){_END}"
        )
        user = f"^{_TIME},{user_pattern},"
        self._causes = (
            Cause("blank line", r"^\s*$", None),
            Cause("fewer than three fields", None, r"^[^,]*,[^,]*,"),
            Cause("malformed time", None, f"^{_TIME},"),
            Cause("malformed user id", None, user),
            Cause("malformed user id", None, f"^{_TIME},{USER_ID_PATTERN},"),
            Cause("malformed item id", f"{user}GET /data/m/", f"/data/m/{item_pattern}/"),
            Cause("malformed item id", f"{user}GET /data/m/", f"/data/m/{ITEM_ID_PATTERN}/"),
            Cause("malformed minute", f"{user}GET /data/m/", None),
            Cause("malformed item id", f"{user}GET /rate/", f"/rate/{item_pattern}="),
            Cause("malformed item id", f"{user}GET /rate/", f"/rate/{ITEM_ID_PATTERN}="),
            Cause("malformed rating", f"{user}GET /rate/", None),
            Cause("malformed answer", f"{user}recommendation request ", None),
            Cause("unknown event", None, None),
        )

    def __call__(self, lines: pa.BinaryArray) -> Parsed:
        """Parse whole lines, line ends included."""
        fields = pc.extract_regex(lines, pattern=self._pattern)
        is_whole = _has_ids(fields)
        is_sound = is_whole.to_numpy(zero_copy_only=False)
        broken = np.flatnonzero(~is_sound)
        reasons = reasons_for(lines.take(pa.array(broken)), self._causes)
        sound = np.flatnonzero(is_sound)
        time, user, viewed, minute, rated, rating, account, answer = fields.filter(
            is_whole
        ).flatten()
        at, is_real = _seconds(time)
        n_unreal = len(at) - int(is_real.sum())
        is_real_mask = pa.array(is_real)
        is_view = pc.and_(is_real_mask, pc.not_equal(minute, b""))
        is_rating = pc.and_(is_real_mask, pc.not_equal(rating, b""))
        return Parsed.of(
            views=(user.filter(is_view), viewed.filter(is_view), _whole(minute.filter(is_view))),
            ratings=(
                user.filter(is_rating),
                rated.filter(is_rating),
                _whole(rating.filter(is_rating)),
                pa.array(at).filter(is_rating),
            ),
            n_accounts=_count(account, is_real_mask),
            n_answers=_count(answer, is_real_mask),
            rejected=np.concatenate((broken, sound[~is_real])),
            reasons=reasons + [_NO_SUCH_TIME] * n_unreal,
        )


def _has_ids(fields: pa.StructArray) -> pa.BooleanArray:
    """Tell where a line matched and its ids are such as the store takes, whatever the patterns."""
    user, viewed, minute, rated, rating = (
        pc.struct_field(fields, name) for name in ("user", "viewed", "minute", "rated", "rating")
    )
    is_user = pc.match_substring_regex(user, f"^{USER_ID_PATTERN}$")
    is_viewed = pc.or_(
        pc.equal(minute, b""), pc.match_substring_regex(viewed, f"^{ITEM_ID_PATTERN}$")
    )
    is_rated = pc.or_(
        pc.equal(rating, b""), pc.match_substring_regex(rated, f"^{ITEM_ID_PATTERN}$")
    )
    return pc.fill_null(pc.and_(is_user, pc.and_(is_viewed, is_rated)), False)


def _count(captured: pa.BinaryArray, is_real: pa.BooleanArray) -> int:
    return int(pc.sum(pc.and_(is_real, pc.not_equal(captured, b""))).as_py() or 0)


def _whole(digits: pa.BinaryArray) -> pa.Int64Array:
    """Return decimal digits as numbers, what is longer than 6 digits as 10^6."""
    is_short = pc.less_equal(pc.binary_length(digits), len(str(_LARGEST)) - 1)
    short = pc.if_else(is_short, digits, str(_LARGEST).encode())
    return short.cast(pa.string()).cast(pa.int64())


def _seconds(time: pa.BinaryArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return seconds since 1970 by the wall clock, and whether such a moment exists.

    The digits stand at fixed places, so they are read as a matrix of bytes. No
    cast does this: one impossible date among millions would fail them all.
    """
    _, offsets, data = time.buffers()
    starts = np.frombuffer(offsets, np.int32)[time.offset :][: len(time)].astype(np.int64)
    characters = np.frombuffer(data or b"", np.uint8)

    def number(first: int, n_digits: int) -> npt.NDArray[np.int64]:
        digits = characters[starts[:, None] + np.arange(first, first + n_digits)].astype(np.int64)
        value: npt.NDArray[np.int64] = (digits - ord("0")) @ 10 ** np.arange(n_digits)[::-1]
        return value

    year, month, day = number(0, 4), number(5, 2), number(8, 2)
    hour, minute = number(11, 2), number(14, 2)
    has_seconds = pc.greater(pc.binary_length(time), 16).to_numpy(zero_copy_only=False)
    second = np.zeros(len(time), np.int64)
    starts = starts[has_seconds]
    second[has_seconds] = number(17, 2)

    month_start = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    n_days = (month_start + 1).astype("datetime64[D]") - month_start.astype("datetime64[D]")
    is_real = (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= n_days.astype(int))
    is_real &= (hour <= 23) & (minute <= 59) & (second <= 59)
    days = month_start.astype("datetime64[D]").astype(np.int64) + day - 1
    return ((days * 24 + hour) * 60 + minute) * 60 + second, is_real
