"""The event stream: one strict pattern for a kind of line, and a reason for every broken line.

    2022-11-14T12:23:12,596363,GET /data/m/snowpiercer+2013/16.mpg     a minute watched
    2026-02-14T00:09:21,130276,GET /rate/the+matrix+1999=7             a rating
    2026-02-14T10:30:03,99999,GET /create_account                      a new account
    2024-02-27T18:45,145051,recommendation request …, 140 ms           an answered request

Minutes of the usual form are read by place (`minutes`). What is left is matched by
RE2 in bulk, as bytes: a foreign character is no error here, only no match.
"""

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Flags, Rows
from batch.events.answers import REQUEST, AnswerTable, whole_numbers
from batch.events.fold import fold_views
from batch.events.minutes import MinuteParser, has_ids, places_of
from batch.events.parsed import ACCOUNTS, RATINGS, Cause, Parsed, reasons_for, to_table, view_table
from batch.events.times import read_times
from store.ids import ITEM_ID_PATTERN, USER_ID_PATTERN

_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?"
_END: Final = r"\r?\n?$"
_NO_SUCH_TIME: Final = "no such date or time"


class _Found(NamedTuple):
    """The lines of one kind among others.

    Attributes:
        fields: What its pattern captured of those whose time is real, by group.
        at: Their times, seconds since 1970.
        is_kind: (n_lines,) which lines match.
        is_real: (n_matching,) which of these have a time that exists.
    """

    fields: dict[str, pa.BinaryArray]
    at: pa.Int64Array
    is_kind: Flags
    is_real: Flags


class StreamParser:
    """Parses blocks of stream lines.

    Args:
        user_pattern: What a user id is in this stream (RE2, no groups).
        item_pattern: What an item id is in this stream (RE2, no groups).
    """

    def __init__(self, user_pattern: str, item_pattern: str) -> None:
        self._minutes = MinuteParser(user_pattern, item_pattern)
        self._answers = AnswerTable(item_pattern)
        user_pattern, item_pattern = f"(?:{user_pattern})", f"(?:{item_pattern})"
        begin, item = f"^{_TIME},(?P<user>{user_pattern}),", f"(?P<item>{item_pattern})"
        self._patterns = (
            rf"{begin}GET /data/m/{item}/(?P<minute>\d+)\.mpg{_END}",
            rf"{begin}GET /rate/{item}=(?P<rating>\d+){_END}",
            f"{begin}GET /create_account{_END}",
            f"{begin}{REQUEST}{_END}",
        )
        self._causes = _causes(user_pattern, item_pattern)

    def __call__(self, lines: pa.BinaryArray) -> Parsed:
        """Parse whole lines, line ends included."""
        views, is_read = self._minutes(lines)
        left, unreal, found = np.flatnonzero(~is_read), [], []
        for pattern in self._patterns:
            of_kind = _find(lines.take(pa.array(left)), pattern)
            found.append(of_kind)
            unreal.append(left[of_kind.is_kind][~of_kind.is_real])
            left = left[~of_kind.is_kind]
        view, rating, account, answer = found
        broken = reasons_for(lines.take(pa.array(left)), self._causes)
        rejected = np.concatenate((left, *unreal))
        reasons = broken + [_NO_SUCH_TIME] * (len(rejected) - len(broken))
        in_order = np.argsort(rejected)
        return Parsed(
            views=_with(views, view),
            ratings=_ratings(rating),
            accounts=to_table((account.fields["user"], account.at), ACCOUNTS),
            answers=self._answers(answer.fields, answer.at),
            rejected=rejected[in_order],
            reasons=[reasons[place] for place in in_order],
        )


def _find(lines: pa.BinaryArray, pattern: str) -> _Found:
    captured = pc.extract_regex(lines, pattern=pattern)
    is_kind = has_ids(captured)
    seconds, is_real = _times(lines.filter(is_kind))
    captured = captured.filter(is_kind).filter(pa.array(is_real))
    names = [field.name for field in captured.type]
    fields = dict(zip(names, captured.flatten(), strict=True))
    at = pa.array(seconds[is_real])
    return _Found(fields, at, is_kind.to_numpy(zero_copy_only=False), is_real)


def _times(lines: pa.BinaryArray) -> tuple[Rows, Flags]:
    places = places_of(lines)
    times = read_times(places.characters, places.begins)
    return times.seconds, times.is_real


def _with(views: pa.Table, found: _Found) -> pa.Table:
    """Return views together with the minutes that were found by their pattern."""
    if not len(found.at):
        return views
    fields = found.fields
    more = view_table(fields["user"], fields["item"], whole_numbers(fields["minute"]), found.at)
    return fold_views(pa.concat_tables([views, more]), by_day=True)


def _ratings(found: _Found) -> pa.Table:
    fields = found.fields
    columns = (fields["user"], fields["item"], whole_numbers(fields["rating"]), found.at)
    return to_table(columns, RATINGS)


def _causes(user_pattern: str, item_pattern: str) -> tuple[Cause, ...]:
    user = f"^{_TIME},{user_pattern},"
    return (
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
