"""Blocks: tables of rows, each packed in one value, which the JVM moves without looking into it.

    rows of a group of files ─► blocks ═══ kept │ some of the user ids ─► driver: bounds
    blocks ─► a part for each range of users ═══ moved ─► blocks of a range, by user ═══ kept

A row for each event would cost the JVM several times what reading it costs. Ranges of user ids
are the partitions, so that whatever is made of them is in the order of the tables.
"""

import io
import itertools
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Rows
from batch.spark.task import Batches

OF_USERS, OF_ACCOUNTS, IDS, REPORT = range(4)
GROUPS: Final = pa.schema([("number", pa.int32()), ("names", pa.list_(pa.string()))])
READ: Final = pa.schema(
    [("number", pa.int32()), ("piece", pa.int32()), ("kind", pa.int8()),
     ("content", pa.binary()), ("about", pa.binary())]
)  # fmt: skip
PARTS: Final = pa.schema(
    [("partition", pa.int32()), ("number", pa.int32()), ("piece", pa.int32()),
     ("content", pa.binary())]
)  # fmt: skip
BLOCKS: Final = pa.schema([("content", pa.binary())])

_BLOCK_ROWS: Final = 1 << 15  # some 500 KB: a JVM copies a value several times, whole
_RUN_ROWS: Final = 1 << 20  # divided at a time
_COMPRESSED: Final = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1))


def packed(table: pa.Table) -> bytes:
    """Return a table as Arrow's stream of bytes, compressed."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=_COMPRESSED) as stream:
        stream.write_table(table)
    return sink.getvalue()


def unpacked(content: bytes | pa.Buffer) -> pa.Table:
    """Return the table that `packed` has packed."""
    with pa.ipc.open_stream(content) as stream:
        return stream.read_all()


def rows_in(batches: Batches) -> Iterator[pa.RecordBatch]:
    """Yield the rows of blocks, from batches with a column `content`."""
    for batch in batches:
        for content in batch["content"]:
            yield from unpacked(content.as_buffer()).to_batches()


def read_blocks(number: int, kind: int, rows: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield blocks of the rows that a task has read, with the columns of `READ`.

    Args:
        number: Number of the group of files.
        kind: `OF_USERS`, which are moved to their users' partition, or `OF_ACCOUNTS`.
        rows: Rows in any order.
    """
    for piece, part in enumerate(_cut(rows)):
        row = {"number": number, "piece": piece, "kind": kind, "content": packed(part)}
        yield pa.RecordBatch.from_pylist([row], schema=READ)


def about_blocks(number: int, kind: int, about: bytes) -> pa.RecordBatch:
    """Return what the driver gets of a group, with the columns of `READ`.

    Args:
        number: Number of the group of files.
        kind: `IDS` or `REPORT`.
        about: Content, in a column of its own, so that the driver's job does not read the others.
    """
    row = {"number": number, "piece": 0, "kind": kind, "about": about}
    return pa.RecordBatch.from_pylist([row], schema=READ)


def sampled_ids(number: int, rows: pa.Table, max_ids: int) -> pa.RecordBatch:
    """Return the user ids of rows at equal distances, with the columns of `READ`.

    Args:
        number: Number of the group of files.
        rows: Rows with a column `user_id`.
        max_ids: Approximate number of ids, at most twice that.
    """
    distance = max(rows.num_rows // max_ids, 1)
    ids = [
        part["user_id"].take(pa.array(range(0, part.num_rows, distance), pa.int64()))
        for part in rows.select(["user_id"]).to_batches(_RUN_ROWS)
    ]
    user_id = pa.chunked_array(ids, pa.string())
    n_rows = pa.repeat(pa.scalar(distance, pa.int64()), len(user_id))
    return about_blocks(number, IDS, packed(pa.table({"user_id": user_id, "n_rows": n_rows})))


def bounds_of(samples: Sequence[pa.Table], n_partitions: int) -> list[str]:
    """Return the first user id of each range but the first, so that ranges have as many rows.

    Args:
        samples: Ids of all groups, and the number of rows that each stands for: `sampled_ids`.
        n_partitions: Number of ranges; there are fewer where ids are few.
    """
    by_id = pa.concat_tables(samples).group_by("user_id").aggregate([("n_rows", "sum")])
    by_id = by_id.sort_by("user_id")
    before = np.cumsum(by_id["n_rows_sum"].to_numpy()) - by_id["n_rows_sum"].to_numpy()
    ends = int(by_id["n_rows_sum"].to_numpy().sum()) * np.arange(1, n_partitions) / n_partitions
    first = np.unique(np.searchsorted(before, ends))
    first = first[(first > 0) & (first < by_id.num_rows)]
    bounds: list[str] = by_id["user_id"].take(pa.array(first)).to_pylist()
    return bounds


def to_parts(batches: Batches, bounds: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of each range of users, packed, from the blocks of groups of files.

    Args:
        batches: Blocks with the columns of `READ`, of which some are held in memory.
        bounds: First user id of each range but the first.
    """
    blocks = (row for batch in batches for row in batch.to_pylist())
    for number, of_group in itertools.groupby(blocks, itemgetter("number")):
        pieces = itertools.count()
        while some := [*itertools.islice(of_group, _RUN_ROWS // _BLOCK_ROWS)]:
            rows = pa.concat_tables([unpacked(block.pop("content")) for block in some])
            for partition, part in _divided(rows, bounds):
                row = {"partition": partition, "number": number, "piece": next(pieces)}
                yield pa.RecordBatch.from_pylist([row | {"content": packed(part)}], schema=PARTS)


def _divided(rows: pa.Table, bounds: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
    """Yield the rows of each range, with its number."""
    partition = _partitions(rows["user_id"], bounds)
    rows = rows.take(pa.array(np.argsort(partition, kind="stable")))
    ends = np.cumsum(np.bincount(partition)).tolist()
    for number, (begin, end) in enumerate(itertools.pairwise([0, *ends])):
        for part in _cut(rows.slice(begin, end - begin)):
            yield number, part


def to_blocks_by_user(batches: Batches) -> Iterator[pa.RecordBatch]:
    """Yield blocks of the rows of a range, sorted by user, from its parts in any order.

    Rows of a user are in the order of the groups, whatever executor had them first.
    """
    parts = [row for batch in batches for row in batch.to_pylist()]
    parts.sort(key=itemgetter("number", "piece"))
    if not parts:
        return
    rows = pa.concat_tables([unpacked(part.pop("content")) for part in parts])
    codes, _ = _ranks(rows["user_id"])
    for part in _cut(rows.take(pa.array(np.argsort(codes, kind="stable")))):
        yield pa.RecordBatch.from_pylist([{"content": packed(part)}], schema=BLOCKS)


def _cut(rows: pa.Table) -> Iterator[pa.Table]:
    for begin in range(0, rows.num_rows, _BLOCK_ROWS):
        yield rows.slice(begin, _BLOCK_ROWS).combine_chunks()


def _partitions(user_ids: pa.ChunkedArray, bounds: Sequence[str]) -> Rows:
    """Return (n_rows,) the number of the range that each user id is in."""
    codes, ids = _ranks(user_ids)
    first = [bisect_left(range(len(ids)), one, key=lambda n: ids[n].as_py()) for one in bounds]
    of_code = np.searchsorted(first, np.arange(len(ids)), side="right")
    return of_code[codes]


def _ranks(user_ids: pa.ChunkedArray) -> tuple[Rows, pa.StringArray]:
    """Return (n_rows,) ranks of ids, and the distinct ids in their order, that of their bytes."""
    encoded = user_ids.combine_chunks().dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[encoded.indices.to_numpy()], encoded.dictionary.take(pa.array(order))
