"""The event stream: one strict pattern for each kind of line, a reason for each broken line.

    2022-11-14T12:23:12,596363,GET /data/m/snowpiercer+2013/16.mpg     a minute watched
    2026-02-14T00:09:21,130276,GET /rate/the+matrix+1999=7             a rating
    2026-02-14T10:30:03,99999,GET /create_account                      a new account
    2024-02-27T18:45,145051,recommendation request …, 140 ms           an answered request

Minutes of the common form are read by position (`minutes`). The other lines are matched
by RE2 in bulk, as bytes: a character outside ASCII does not match, and is not an error.
"""

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Flags, Rows
from batch.events.answers import REQUEST, AnswerTable, whole_numbers
from batch.events.fold import fold_views
from batch.events.minutes import MinuteParser, has_ids, line_positions
from batch.events.parsed import ACCOUNTS, RATINGS, Cause, Parsed, reasons_for, to_table, view_table
from batch.events.times import read_times
from store.ids import ITEM_ID_PATTERN, USER_ID_PATTERN

_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?"
_END: Final = r"\r?\n?$"
_NO_SUCH_TIME: Final = "no such date or time"


class _Matched(NamedTuple):
    """Lines that match the pattern of one kind.

    Attributes:
        fields: Captured groups, by name, of the matching lines whose time exists.
        at: (n,) times of these, seconds since 1970.
        is_match: (n_lines,) which lines match.
        is_real: (n_matching,) which of these have a time that exists.
    """

    fields: dict[str, pa.BinaryArray]
    at: pa.Int64Array
    is_match: Flags
    is_real: Flags


class StreamParser:
    """Parses blocks of stream lines.

    Args:
        user_pattern: Pattern of a user id in this stream (RE2, no groups).
        item_pattern: Pattern of an item id in this stream (RE2, no groups).
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
        rest, unreal, of_kinds = np.flatnonzero(~is_read), [], []
        for pattern in self._patterns:
            matched = _match(lines.take(pa.array(rest)), pattern)
            of_kinds.append(matched)
            unreal.append(rest[matched.is_match][~matched.is_real])
            rest = rest[~matched.is_match]
        view, rating, account, answer = of_kinds
        broken = reasons_for(lines.take(pa.array(rest)), self._causes)
        rejected = np.concatenate((rest, *unreal))
        reasons = broken + [_NO_SUCH_TIME] * (len(rejected) - len(broken))
        in_order = np.argsort(rejected)
        return Parsed(
            views=_with_matched(views, view),
            ratings=_ratings(rating),
            accounts=to_table((account.fields["user"], account.at), ACCOUNTS),
            answers=self._answers(answer.fields, answer.at),
            rejected=rejected[in_order],
            reasons=[reasons[position] for position in in_order],
        )


def _match(lines: pa.BinaryArray, pattern: str) -> _Matched:
    captured = pc.extract_regex(lines, pattern=pattern)
    is_match = has_ids(captured)
    seconds, is_real = _times(lines.filter(is_match))
    captured = captured.filter(is_match).filter(pa.array(is_real))
    names = [field.name for field in captured.type]
    fields = dict(zip(names, captured.flatten(), strict=True))
    at = pa.array(seconds[is_real])
    return _Matched(fields, at, is_match.to_numpy(zero_copy_only=False), is_real)


def _times(lines: pa.BinaryArray) -> tuple[Rows, Flags]:
    positions = line_positions(lines)
    times = read_times(positions.characters, positions.begins)
    return times.seconds, times.is_real


def _with_matched(views: pa.Table, matched: _Matched) -> pa.Table:
    """Return views together with the minutes that were matched by their pattern."""
    if not len(matched.at):
        return views
    fields = matched.fields
    more = view_table(fields["user"], fields["item"], whole_numbers(fields["minute"]), matched.at)
    return fold_views(pa.concat_tables([views, more]), by_day=True)


def _ratings(matched: _Matched) -> pa.Table:
    fields = matched.fields
    columns = (fields["user"], fields["item"], whole_numbers(fields["rating"]), matched.at)
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
