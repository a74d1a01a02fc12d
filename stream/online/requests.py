"""Requests and their answers, from the stream's lines of answers or from our own access log.

    answers-2026-11-14.parquet ─┐
                                ├─► user  at  is_available  milliseconds  items  generation  source
    access.log, access.log.1 … ─┘

An answer is available by the rules of the graders: status 200, a list of 1 to 20 items, and
within the limit of time. A line of the stream has neither generation nor source, a line of the
access log no items: `ServedLists` fills in what is missing from the snapshots.
"""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from batch.events.ids import ID
from store.layout import LIST_LENGTH

OK: Final = 200
REQUESTS: Final = pa.schema(
    [("user_id", ID), ("at", pa.int64()), ("is_available", pa.bool_()),
     ("milliseconds", pa.int32()), ("items", pa.string()), ("generation", pa.int64()),
     ("source", pa.string())]
)  # fmt: skip


def requests_of_answers(answers: pa.Table, limit_ms: int) -> pa.Table:
    """Return `REQUESTS` from lines of answers; generations and sources are null.

    Args:
        answers: Table with the columns of `batch.events.parsed.ANSWERS`.
        limit_ms: Milliseconds within which an answer is available.
    """
    items = answers["items"]
    n_items = pc.add(pc.count_substring(items, ","), 1)
    is_list = pc.fill_null(pc.less_equal(n_items, LIST_LENGTH), False)
    is_in_time = pc.less_equal(answers["milliseconds"], limit_ms)
    is_available = pc.and_(pc.and_(pc.equal(answers["status"], OK), is_list), is_in_time)
    unknown = pa.nulls(len(answers), pa.int64()), pa.nulls(len(answers), pa.string())
    columns = [answers["user_id"], answers["at"], is_available, answers["milliseconds"], items]
    return pa.table([*columns, *unknown], schema=REQUESTS)
