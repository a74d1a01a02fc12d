"""Tasks: functions on the Arrow batches of one partition, which need no Spark.

read_groups ─► rows ─► to_chunks ─► interactions, profiles ─┬─► sample_chunks ─► driver
                                                            ├─► to_solved ─► to_sums ─► to_total
                                                            └─► to_records ─► to_shard_files
"""

import itertools
import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from operator import itemgetter
from typing import Any, Final

import numpy as np
import pyarrow as pa

from batch.arrays import Doubles
from batch.interactions.build import Interactions
from batch.models.all_users import SolvedUsers, Sums, pieces_of, total_of
from batch.models.least_squares_users import LeastSquares
from batch.records.profiles import Profile
from batch.spark.basis import InteractionBasis, concat_interactions, select_users
from batch.spark.blocks import rows_in
from batch.spark.chunks import CHUNK_EVENTS, in_sample, user_chunks
from batch.spark.profiles import counts_of, for_driver, profiles_in
from batch.spark.shard_step import ShardStep
from batch.spark.sweep_step import SweepStep
from batch.spark.task import Batches
from batch.spark.user_step import UserStep, record_batches
from store.written_shard import WrittenShard

CHUNKS: Final = pa.schema(
    [("n_users", pa.int64()), ("n_interactions", pa.int64()), ("n_users_without", pa.int64()),
     ("dropped", pa.string()), ("profile_counts", pa.string()), ("interactions", pa.binary()),
     ("profiles", pa.binary())]
)  # fmt: skip
SAMPLE: Final = pa.schema(
    [("interactions", pa.binary()), ("elsewhere", pa.list_(pa.string())),
     ("profiles", pa.binary())]
)  # fmt: skip
WRITTEN: Final = pa.schema([("written", pa.string())])
SOLVED: Final = pa.schema([("users", pa.binary())])
SUMS: Final = pa.schema([("piece", pa.int32()), ("sums", pa.binary())])


def read_groups(
    batches: Batches, read: Callable[[int, Sequence[str]], Iterator[pa.RecordBatch]]
) -> Iterator[pa.RecordBatch]:
    """Yield the blocks of groups of files.

    Args:
        batches: Number and names of each group.
        read: Function from number and names of a group to its blocks.
    """
    for batch in batches:
        for row in batch.to_pylist():
            yield from read(row["number"], row["names"])


def of_sample(batches: Batches, share: float) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the users in the sample, from blocks of rows."""
    for rows in rows_in(batches):
        yield rows.filter(pa.array(in_sample(rows["user_id"].to_pylist(), share)))


def to_chunks(
    batches: Batches, basis: InteractionBasis, max_events: int = CHUNK_EVENTS
) -> Iterator[pa.RecordBatch]:
    """Yield interactions and profiles by chunks of users, from blocks of rows sorted by user."""
    for rows in user_chunks(rows_in(batches), max_events):
        made, profiles = basis.interactions(rows), profiles_in(rows)
        row = {
            "n_users": len(made.user_ids),
            "n_interactions": made.weights.nnz,
            "n_users_without": made.n_users_without,
            "dropped": json.dumps(made.dropped),
            "profile_counts": json.dumps(counts_of(profiles)),
            "interactions": pickle.dumps(made),
            "profiles": pickle.dumps(profiles),
        }
        yield pa.RecordBatch.from_pylist([row], schema=CHUNKS)


def sample_chunks(
    batches: Batches, share: float, named: frozenset[str]
) -> Iterator[pa.RecordBatch]:
    """Yield what the driver learns from: see `sample_of`.

    Args:
        batches: Chunks of users.
        share: Expected share of the users in the sample.
        named: Ids of the users with a vector from outside.
    """
    for made, profiles in _chunks_in(batches):
        user_ids = made.user_ids.to_pylist()
        sample = select_users(made, in_sample(user_ids, share))
        in_driver = frozenset(sample.user_ids.to_pylist())
        elsewhere = named.intersection(user_ids) - in_driver
        learned = in_driver | named.intersection(profiles)
        row = {
            "interactions": pickle.dumps(sample),
            "elsewhere": sorted(elsewhere),
            "profiles": pickle.dumps(for_driver(profiles, learned, frozenset(user_ids))),
        }
        yield pa.RecordBatch.from_pylist([row], schema=SAMPLE)


def sample_of(
    rows: Iterable[tuple[bytes, Sequence[str], bytes]],
) -> tuple[Interactions, dict[str, Profile]]:
    """Return what the driver learns from, from the rows of `sample_chunks`, one or more.

    Returns:
        Interactions of the users in the sample, with the ids of the others who have a vector from
        outside; the profiles that `profiles.for_driver` names.
    """
    pickled, elsewhere, profiles = zip(*rows, strict=True)
    found = concat_interactions([pickle.loads(one) for one in pickled])  # noqa: S301
    by_user: dict[str, Profile] = {}
    for one in profiles:
        by_user |= pickle.loads(one)  # noqa: S301
    return replace(found, elsewhere=frozenset().union(*elsewhere)), by_user


def to_solved(batches: Batches, step: SweepStep, solve: LeastSquares) -> Iterator[pa.RecordBatch]:
    """Yield the users that are trained on with their factors, from their interactions."""
    for made in _unpickled(batches, "interactions"):
        yield _pickled("users", step(made, solve))


def to_sums(batches: Batches, of_part: Callable[[SolvedUsers], Sums]) -> Iterator[pa.RecordBatch]:
    """Yield the sums over all users of a partition, piece by piece, if it has any user."""
    for total in total_of(of_part(users) for users in _unpickled(batches, "users")):
        for number, piece in enumerate(pieces_of(total)):
            yield _piece(number, piece)


def to_total(batches: Batches) -> Iterator[pa.RecordBatch]:
    """Yield the total of each piece, from pieces sorted by number and partition."""
    rows = (row for batch in batches for row in batch.to_pylist())
    for number, of_partitions in itertools.groupby(rows, itemgetter("piece")):
        ((total,),) = total_of((np.frombuffer(row["sums"]),) for row in of_partitions)
        yield _piece(number, total)


def to_records(batches: Batches, step: UserStep) -> Iterator[pa.RecordBatch]:
    """Yield the records of all users, from their interactions and profiles."""
    for made, profiles in _chunks_in(batches):
        if len(made.user_ids) or profiles:
            yield from record_batches(step(made, profiles), step.settings.shards)


def to_shard_files(batches: Batches, step: ShardStep) -> Iterator[pa.RecordBatch]:
    """Write shard files from records sorted by shard, table and user; yield what was written."""
    rows = (row for batch in batches for row in batch.to_pylist())
    for shard, of_shard in itertools.groupby(rows, itemgetter("shard")):
        written = step(shard, of_shard)
        row = {"written": json.dumps(asdict(written))}
        yield pa.RecordBatch.from_pylist([row], schema=WRITTEN)


def written_shards(rows: Iterable[str]) -> list[WrittenShard]:
    """Return the shard files that tasks have written."""
    return [WrittenShard(**json.loads(row)) for row in rows]


def _chunks_in(batches: Batches) -> Iterator[tuple[Interactions, dict[str, Profile]]]:
    for batch in batches:
        parts = (_unpickled([batch], name) for name in ("interactions", "profiles"))
        yield from zip(*parts, strict=True)


def _piece(number: int, values: Doubles) -> pa.RecordBatch:
    row = {"piece": number, "sums": values.tobytes()}
    return pa.RecordBatch.from_pylist([row], schema=SUMS)


def _pickled(column: str, value: object) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({column: pa.array([pickle.dumps(value)], pa.binary())})


def _unpickled(batches: Batches, column: str) -> Iterator[Any]:
    for batch in batches:
        for content in batch[column]:
            yield pickle.loads(content.as_buffer())  # noqa: S301 - of our own tasks
