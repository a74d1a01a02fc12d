"""Profiles on the executors: read by tasks, and merged by user beside the user's interactions.

    file, archive or table of profiles     one task each, which holds it whole
              ├─► rows: users with their profiles ─► by user, with the events ─► one for each user
              └─► report: files that were read, or the error that ends the refresh

The driver gets counts of all, and the profiles of few users: of the sample, of users with a
vector from outside, and of those who have no interactions, but say what they like.
"""

import pickle
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter

import pyarrow as pa
import pyarrow.compute as pc

from batch.inputs import profiles_of
from batch.records.found import profile_counts
from batch.records.profiles import Profile, Profiles
from batch.records.read import RecordFile, add_record
from batch.settings import BatchSettings
from batch.spark.read import PROFILE, report_block, rows_of, user_blocks
from store.errors import MarqueeError


def groups_of_profiles(settings: BatchSettings) -> list[tuple[str, ...]]:
    """Return the names of the inputs of profiles, one group a task."""
    return [(name,) for name in settings.profiles]


def read_profiles(
    number: int, names: Sequence[str], n_groups: int, settings: BatchSettings
) -> Iterator[pa.RecordBatch]:
    """Yield the profiles of one input, and behind them a report: `Profiles` without users.

    Args:
        number: Place of the input among all.
        names: File, archive, or URL of a database; one.
        n_groups: Number of inputs.
        settings: Settings of the batch.
    """
    try:
        found = profiles_of(replace(settings, profiles=tuple(names)))
    except MarqueeError as error:
        yield report_block(number, error)
        return
    contents = (pickle.dumps((number, profile)) for profile in found.users.values())
    columns = [pa.array(found.users, pa.string()), pa.array(contents, pa.large_binary())]
    table = pa.table(columns, names=["user_id", "content"])
    yield from user_blocks(number, n_groups, rows_of(PROFILE, table, {}))
    yield report_block(number, replace(found, users={}))


def profiles_in(rows: pa.Table) -> dict[str, Profile]:
    """Return the profiles of some users; the first known value of a field wins, by input.

    Args:
        rows: All rows of these users, with the columns of `read.ROWS`.
    """
    of_users = rows.filter(pc.equal(rows["kind"], PROFILE))
    user_ids, contents = (of_users[name].to_pylist() for name in ("user_id", "content"))
    found = [
        (*pickle.loads(content), user_id)  # noqa: S301 - of our own tasks
        for user_id, content in zip(user_ids, contents, strict=True)
    ]
    profiles: dict[str, Profile] = {}
    distinct: dict[Profile, Profile] = {}
    for _, profile, user_id in sorted(found, key=itemgetter(0)):
        add_record(profiles, user_id, distinct.setdefault(profile, profile))
    return profiles


def counts_of(profiles: dict[str, Profile]) -> dict[str, int]:
    """Return the number of these users, and of those with each field."""
    return profile_counts(Profiles(profiles, ()))


def without_users(reports: Iterable[Profiles]) -> Profiles:
    """Return what all tasks have read, without users."""
    sources: list[RecordFile] = []
    not_read: dict[str, str] = {}
    for report in reports:
        sources += report.sources
        not_read |= report.not_read
    return Profiles({}, tuple(sources), not_read)


def for_driver(
    profiles: Mapping[str, Profile], learned: Container[str], known: Container[str]
) -> dict[str, Profile]:
    """Return those of some users' profiles that the driver needs.

    Args:
        profiles: Profiles by user_id.
        learned: Ids of the users that the driver learns from, and of those with a vector.
        known: Ids of the users with interactions.
    """
    return {
        user_id: profile
        for user_id, profile in profiles.items()
        if user_id in learned or (user_id not in known and (profile.likes or profile.dislikes))
    }
