"""The Spark engine without Spark: its tasks, on Arrow batches, make the local engine's snapshot."""

import contextlib
import functools
import importlib.util
import json
import pickle
import random
import socket
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from operator import itemgetter

import numpy as np
import pyarrow as pa
import pytest
from annoy import AnnoyIndex

import batch.refresh
from batch.__main__ import main
from batch.errors import EngineError, InputError
from batch.events.parsed import ACCOUNTS
from batch.events.read import read_events
from batch.interactions.build import build_interactions
from batch.interactions.weights import Weighting, latest_time
from batch.models.all_users import joined
from batch.models.ials import Ials
from batch.models.least_squares_users import LeastSquares
from batch.settings import BatchSettings
from batch.spark.blocks import (
    BLOCKS,
    IDS,
    OF_ACCOUNTS,
    OF_USERS,
    PARTS,
    READ,
    REPORT,
    bounds_of,
    packed,
    read_blocks,
    rows_in,
    sampled_ids,
    to_blocks_by_user,
    to_parts,
    unpacked,
)
from batch.spark.chunks import in_sample, user_chunks
from batch.spark.engine import event_input, sample_share
from batch.spark.item_pass import (
    CountedItems,
    basis_without_latest,
    item_counts,
    pair_times,
    summed_counts,
)
from batch.spark.master import check_master
from batch.spark.profiles import groups_of_profiles, read_profiles, without_users
from batch.spark.read import ACCOUNT_ROWS, PROFILE, RATING, VIEW, groups_of, read_group, reports_of
from batch.spark.shard_step import ShardStep
from batch.spark.sweep_step import SweepStep
from batch.spark.tasks import (
    of_sample,
    read_groups,
    sample_chunks,
    sample_of,
    to_chunks,
    to_records,
    to_shard_files,
    to_solved,
    to_sums,
    to_total,
    written_shards,
)
from batch.spark.user_step import RECORDS, UserStep, unpacked_records
from batch.tables.users import LISTS, PROFILES, SPARES, TABLES_OF_USERS, VECTORS
from batch.trust.ages import first_and_last
from store.check import broken_records
from store.errors import WriteError
from store.snapshot import ShardedTable, open_snapshot
from tests.histories import write_history
from tests.refreshes import files_by_name, inputs, run_refresh, users_served_seen_items

BEGAN_AT = datetime(2026, 3, 9, tzinfo=UTC)
TABLE_FILES = ("recs.mdb", "factors.mdb", "seen.mdb")


class TaskEngine:
    """An engine of the same tasks as Spark's, whose partitions are tables in this process."""

    def __init__(self, n_partitions=3, batch_rows=50, share=1.0):
        self.n_partitions, self.batch_rows, self.share = n_partitions, batch_rows, share

    def read_profiles(self, settings):
        groups = groups_of_profiles(settings)
        read = functools.partial(read_profiles, n_groups=len(groups), settings=settings)
        self.of_profiles = in_groups(groups, read)
        return without_users(reports_of(about(self.of_profiles, REPORT)))

    def read_events(self, settings, began_at, on_lines):
        groups = groups_of(settings)
        read = functools.partial(
            read_group, n_groups=len(groups), settings=settings, began_at=began_at
        )
        of_events = in_groups(groups, read)
        of_all = [*of_events, *self.of_profiles]
        ids = [unpacked(one) for one in about(of_all, IDS)]
        self.partitions_read = moved(of_all, bounds_of(ids, self.n_partitions))
        self.began_at = began_at
        of_accounts = [row for row in of_events if row["kind"] == OF_ACCOUNTS]
        sampled = of_sample(pa.Table.from_pylist(of_accounts, READ).to_batches(1), self.share)
        accounts = pa.Table.from_batches([*sampled], ACCOUNT_ROWS).cast(ACCOUNTS)
        return event_input(reports_of(about(of_events, REPORT)), accounts)

    def build_interactions(self, inputs, runtimes, settings):
        counts = [batch for part in self.partitions_read for batch in item_counts(part, 0.0)]
        counted = CountedItems.of(summed_counts([pa.Table.from_batches(counts)]), 0.0)
        basis = basis_without_latest(counted, runtimes, settings)
        self.partitions = [
            [*to_chunks(part, basis, max_events=self.batch_rows)] for part in self.partitions_read
        ]
        outside = inputs.user_vectors
        named = frozenset(outside.ids.to_pylist() if outside else ())
        found, self.for_driver = sampled(self.partitions, self.share, named)
        self.counts: Counter[str] = Counter()
        for one in rows_of_chunks(self.partitions):
            self.counts.update(json.loads(one["profile_counts"]))
        n_users = sum(one["n_users"] for one in rows_of_chunks(self.partitions))
        return replace(found, n_elsewhere=n_users - len(found.user_ids))

    def profiles(self, read):
        return replace(read, users=self.for_driver, counts=self.counts)

    def all_users(self, prepared, young_since):
        if not prepared.interactions.n_elsewhere:
            return None
        self.young_since = young_since
        return TaskAllUsers(self, prepared.interactions)

    def users(self, prepared, learned, tables, settings):
        interactions = tables.interactions
        n_users = len(interactions.user_ids) + interactions.n_elsewhere
        step = UserStep.of(
            prepared, learned, tables, settings, n_users=n_users, not_after=self.began_at
        )
        step = pickle.loads(pickle.dumps(step))  # as it is sent to an executor
        batches = [one for part in self.partitions for one in to_records(part, step)]
        return TaskUsers(batches, self.partitions)


class TaskAllUsers:
    def __init__(self, engine, sample):
        self.partitions = engine.partitions
        self.step = SweepStep(sample.item_ids.to_pylist(), engine.young_since, engine.began_at)
        self.n_users = len(sample.user_ids) + sample.n_elsewhere

    @contextlib.contextmanager
    def solved(self, solve):
        step, solve = pickle.loads(pickle.dumps((self.step, solve)))  # as sent to an executor
        yield TaskPasses([[*to_solved(part, step, solve)] for part in self.partitions])


class TaskPasses:
    def __init__(self, solved):
        self.solved = solved

    def total(self, of_part, shapes):
        of_part = pickle.loads(pickle.dumps(of_part))
        sums = [batch for part in self.solved for batch in to_sums(part, of_part)]
        rows = pa.Table.from_batches(sums)
        rows = rows.append_column("number", pa.array(range(len(rows)))).sort_by(
            [("piece", "ascending"), ("number", "ascending")]
        )
        totals = to_total(rows.to_batches(2))
        return joined((np.frombuffer(one["sums"][0].as_py()) for one in totals), shapes)


class TaskUsers:
    def __init__(self, batches, partitions):
        rows = [row for batch in batches for row in batch.to_pylist()]
        self.rows = {
            table: [row for row in rows if row["table_number"] == number]
            for number, table in enumerate(TABLES_OF_USERS)
        }
        self.n_users, self.n_lists = (
            sum(row["n_records"] for row in self.rows[table]) for table in (VECTORS, LISTS)
        )
        self.n_interactions = sum(row["n_interactions"] for row in rows_of_chunks(partitions))

    def records(self, table):
        for row in self.rows[table]:
            yield from unpacked_records(row["records"])

    def write_shards(self, writer, others):
        """Write each shard twice, as where a task is repeated; the second attempt counts."""
        if writer.n_shards == 1:
            return False
        step = ShardStep.of(writer.folder_apart(), writer.n_shards, others)
        step = pickle.loads(pickle.dumps(step))
        rows = [row for table in (PROFILES, SPARES, LISTS) for row in self.rows[table]]
        rows = pa.Table.from_pylist(rows, RECORDS)
        rows = rows.sort_by([(name, "ascending") for name in ("shard", "table_number", "first")])
        for _ in range(2):
            batches = [*to_shard_files(rows.to_batches(2), step)]
        found = [row["written"] for batch in batches for row in batch.to_pylist()]
        self.on_written(step.folder)
        writer.take_shards(written_shards(found))
        return True

    def on_written(self, folder):
        """Do nothing with the files."""


def in_groups(groups, read):
    """Return the blocks that tasks read in groups of files, as rows of Python."""
    numbered = [{"number": n, "names": names} for n, names in enumerate(groups)]
    batches = read_groups(pa.Table.from_pylist(numbered).to_batches(1), read)
    return [row for batch in batches for row in batch.to_pylist()]


def pylist(batches):
    return [row for batch in batches for row in batch.to_pylist()]


def about(read, kind):
    return [row["about"] for row in read if row["kind"] == kind]


def moved(read, bounds):
    """Return blocks by user of each range; parts come in another order than they were made in."""
    of_users = [row for row in read if row["kind"] == OF_USERS]
    batches = to_parts(pa.Table.from_pylist(of_users, READ).to_batches(2), bounds)
    rows = [row for batch in batches for row in batch.to_pylist()]
    random.Random(7).shuffle(rows)
    parts = [[row for row in rows if row["partition"] == n] for n in range(len(bounds) + 1)]
    return [[*to_blocks_by_user(pa.Table.from_pylist(part, PARTS).to_batches(2))] for part in parts]


def blocks(rows, n_rows):
    """Return rows as blocks of so many rows."""
    parts = (rows.slice(begin, n_rows) for begin in range(0, rows.num_rows, n_rows))
    return [pa.RecordBatch.from_pylist([{"content": packed(part)}], BLOCKS) for part in parts]


def rows_of_chunks(partitions):
    return [row for part in partitions for batch in part for row in batch.to_pylist()]


def counted(rows, n_partitions=3):
    """Return what the tasks of some partitions count of the items."""
    ranges = np.array_split(sorted(set(rows["user_id"].to_pylist())), n_partitions)
    parts: list[pa.RecordBatch] = []
    for users in ranges:
        of_users = rows.filter(pa.compute.is_in(rows["user_id"], pa.array(users.tolist())))
        parts += item_counts(blocks(of_users, 7), 0.0)
    return CountedItems.of(summed_counts([pa.Table.from_batches(parts)]), 0.0)


def sampled(partitions, share=1.0, named=frozenset()):
    batches = (batch for part in partitions for batch in sample_chunks(part, share, named))
    rows = [row for batch in batches for row in batch.to_pylist()]
    return sample_of((row["interactions"], row["elsewhere"], row["profiles"]) for row in rows)


@pytest.fixture
def history(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the quarantine is made in `var`
    return write_history(tmp_path / "history")


def in_tasks(monkeypatch, **options):
    """Let the next refreshes run in tasks, whose rows are small."""
    monkeypatch.setattr("batch.models.all_users._PIECE", 100)
    monkeypatch.setattr("batch.spark.user_step._ROW_RECORDS", 4)
    engine = TaskEngine(**options)
    monkeypatch.setattr(batch.refresh, "opened_engine", lambda _: contextlib.nullcontext(engine))
    return engine


@pytest.mark.parametrize("model", ["ials", "last_items", "auto"])
def test_tasks_make_the_local_engines_files(history, tmp_path, capsys, monkeypatch, model):
    """Every byte of the lists, vectors and histories; profiles count, and no catalogue is given."""
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", model)
    monkeypatch.setenv("MARQUEE_BATCH_FOLD_IN", "on")
    given = ("--events", history.events, "--profiles", history.profiles, "--store")
    local = run_refresh(capsys, *given, tmp_path / "local")
    in_tasks(monkeypatch)
    tasks = run_refresh(capsys, *given, tmp_path / "tasks")
    files = [files_by_name(tmp_path / name / "snapshots/000001") for name in ("local", "tasks")]
    assert [*files[0]] == [*files[1]]
    assert [name for name in TABLE_FILES if files[0][name] != files[1][name]] == []
    same = ("n_users", "n_users_without", "n_items", "n_interactions", "n_events", "dropped")
    assert {name: tasks[name] for name in same} == {name: local[name] for name in same}


def test_accounts_of_the_sample_are_those_of_the_log(history):
    """Each with its time; a share of them has those of its users."""
    users = sorted(history.seen)[::2]
    with history.events.open("a") as file:
        for n, user in enumerate(users):
            file.write(f"2026-03-0{1 + n % 7}T09:00:00,{user},GET /create_account\n")
    settings = BatchSettings(events=(str(history.events),))
    local = read_events(settings).events.accounts
    assert sorted(local["user_id"].to_pylist()) == users
    whole = TaskEngine()
    whole.read_profiles(settings)
    found = whole.read_events(settings, BEGAN_AT, lambda _: None).events
    assert found.n_accounts == len(users)
    by_user = [
        sorted(one.to_pylist(), key=itemgetter("user_id")) for one in (found.accounts, local)
    ]
    assert by_user[0] == by_user[1]
    half = TaskEngine(share=0.5)
    half.read_profiles(settings)
    some = half.read_events(settings, BEGAN_AT, lambda _: None).events.accounts
    sample = {user for user, is_in in zip(users, in_sample(users, 0.5), strict=True) if is_in}
    assert set(some["user_id"].to_pylist()) == sample
    assert 0 < some.num_rows < len(users)


@pytest.mark.parametrize("n_shards", [2, 7])
def test_tasks_write_the_local_engines_shard_files(
    history, tmp_path, capsys, monkeypatch, n_shards
):
    """Every byte and checksum, the manifest without its times, and nothing else is left."""
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", "ials")
    monkeypatch.setenv("MARQUEE_BATCH_SHARDS", str(n_shards))
    new = {"user_id": 9000, "age": 30, "likes": [sorted(history.item_ids)[0]]}
    with history.profiles.open("a") as file:
        file.write(json.dumps(new) + "\n")
    given = (*inputs(history), "--profiles", history.profiles, "--store")
    run_refresh(capsys, *given, tmp_path / "local")
    in_tasks(monkeypatch)
    run_refresh(capsys, *given, tmp_path / "tasks")
    files = [files_by_name(tmp_path / name / "snapshots/000001") for name in ("local", "tasks")]
    assert [*files[0]] == [*files[1]]
    data = [name for name in files[0] if name.endswith((".mdb", ".npy", ".ann"))]
    assert f"recs.0{n_shards - 1}.mdb" in data
    assert [name for name in data if files[0][name] != files[1][name]] == []
    assert timeless(files[0]["MANIFEST.json"]) == timeless(files[1]["MANIFEST.json"])
    with open_snapshot(tmp_path / "tasks", 1) as snapshot:  # its checksums are right
        assert list(broken_records(snapshot)) == []
        assert isinstance(snapshot.users, ShardedTable)
        assert list(snapshot.users.misplaced()) == []
        assert snapshot.users.get(b"9000") is not None


def timeless(manifest):
    """Return a manifest without the times of the refresh."""
    document = json.loads(manifest)
    del document["began_at"], document["finished_at"], document["parameters"]["rules"]["at"]
    return document


def test_a_shard_file_that_is_not_here_is_named(history, tmp_path, capsys, monkeypatch):
    """Executors have another disk than the driver: nothing is published or left in the store."""
    monkeypatch.setenv("MARQUEE_BATCH_SHARDS", "2")

    def remove(_, folder):
        for path in folder.iterdir():
            path.unlink()

    monkeypatch.setattr(TaskUsers, "on_written", remove)
    in_tasks(monkeypatch)
    given = [*map(str, inputs(history)), "--store", str(tmp_path / "store")]
    assert main(["refresh", *given]) == 1
    assert "was written elsewhere, and is not here; let all machines" in capsys.readouterr().err
    assert list((tmp_path / "store/snapshots").iterdir()) == []
    step = ShardStep(tmp_path / "nowhere", 2, {})
    with pytest.raises(WriteError, match="does not exist on this machine; let all machines"):
        step(0, [])


def test_a_sample_learns_for_all_users(history, tmp_path, capsys, monkeypatch):
    """The lists of all, and no other list for users with a profile who are not in the sample.

    Of the others with a profile, who have no interactions, each likes an item and has a list.
    """
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", "ials")
    profiles = [json.loads(line) for line in history.profiles.read_text().splitlines()]
    new = [{"user_id": 9000 + n, "age": 30} for n in range(5)]
    likes = {"likes": [sorted(history.item_ids)[0]]}
    lines = [json.dumps(one | likes) for one in profiles + new]
    history.profiles.write_text("\n".join(lines))
    given = (*inputs(history), "--profiles", history.profiles, "--store")
    local = run_refresh(capsys, *given, tmp_path / "local")
    in_tasks(monkeypatch, share=0.5)
    tasks = run_refresh(capsys, *given, tmp_path / "tasks")
    with open_snapshot(tmp_path / "tasks", 1) as snapshot:
        users = {user.decode() for user, _ in snapshot.users}
        assert users == history.seen.keys() | {str(one["user_id"]) for one in new}
        assert list(broken_records(snapshot)) == []
        seen = {user: history.seen.get(user, set()) for user in users}
        assert users_served_seen_items(snapshot, seen) == []
    same = ("n_users", "n_users_without", "n_items", "n_interactions", "dropped")
    assert {name: tasks[name] for name in same} == {name: local[name] for name in same}


@pytest.fixture
def two_inputs_of_profiles(history):
    """Ages and genders of all, occupations of every third user, and 200 users who watch nothing.

    Every fifth item is for adults, so that a minor's list depends on the profile.
    """
    items = [json.loads(line) for line in history.catalogue.read_text().splitlines()]
    lines = [json.dumps(item | {"adult": n % 5 == 0}) for n, item in enumerate(items)]
    history.catalogue.write_text("\n".join(lines))
    jobs = history.profiles.with_name("jobs.csv")
    users = [*sorted(history.seen)[::3], *(str(9000 + n) for n in range(200))]
    rows = "".join(f"{user},{10 + n % 50},writer\n" for n, user in enumerate(users))
    jobs.write_text(f"user_id,age,occupation\n{rows}9000,12,lawyer\n")
    return history.profiles, jobs


@pytest.mark.parametrize("n_shards", [1, 3])
def test_profiles_of_several_inputs_are_merged_by_user(
    history, two_inputs_of_profiles, tmp_path, capsys, monkeypatch, n_shards
):
    """As the local engine merges them, those of users without interactions, too."""
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", "ials")
    monkeypatch.setenv("MARQUEE_BATCH_SHARDS", str(n_shards))
    monkeypatch.chdir(history.events.parent)
    profiles = [("--profiles", path.name) for path in two_inputs_of_profiles]
    given = (*inputs(history), *chain.from_iterable(profiles), "--store")
    local = run_refresh(capsys, *given, tmp_path / "local")
    in_tasks(monkeypatch, batch_rows=20)
    tasks = run_refresh(capsys, *given, tmp_path / "tasks")
    files = [files_by_name(tmp_path / name / "snapshots/000001") for name in ("local", "tasks")]
    data = [name for name in files[0] if name.endswith(".mdb")]
    assert [name for name in data if files[0][name] != files[1][name]] == []
    assert local["profiles"] == tasks["profiles"]
    assert local["inputs"] == tasks["inputs"]
    assert local["profiles"]["users"] == len(history.seen) + 200
    sources = [json.loads(one["MANIFEST.json"])["inputs"] for one in files]
    assert sources[0] == sources[1]
    assert len(sources[0]) == 4
    with open_snapshot(tmp_path / "tasks", 1) as snapshot:
        assert snapshot.profiles.get(b"9000") == b"25-34/writer"
        assert snapshot.profiles.get(b"9030") == b"0-17/writer minor"


def test_the_driver_has_few_profiles(
    history, two_inputs_of_profiles, tmp_path, capsys, monkeypatch
):
    """Of the sample, and of users without interactions who say what they like."""
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", "ials")
    first, second = two_inputs_of_profiles
    likes = {"user_id": 9007, "likes": [sorted(history.item_ids)[0]]}
    with first.open("a") as file:
        file.write(json.dumps(likes) + "\n")
    given = (*inputs(history), "--profiles", first, "--profiles", second, "--store")
    run_refresh(capsys, *given, tmp_path / "local")
    engine = in_tasks(monkeypatch, share=0.5)
    run_refresh(capsys, *given, tmp_path / "tasks")
    users = sorted(history.seen)
    sample = {user for user, is_in in zip(users, in_sample(users, 0.5), strict=True) if is_in}
    assert engine.for_driver.keys() == sample | {"9007"}
    _, with_vector = sampled(engine.partitions, 0.0, frozenset(users[:2]))
    assert with_vector.keys() == {*users[:2], "9007"}
    with (
        open_snapshot(tmp_path / "local", 1) as local,
        open_snapshot(tmp_path / "tasks", 1) as tasks,
    ):
        assert dict(local.profiles) == dict(tasks.profiles)
        assert tasks.users.get(b"9007") is not None
        assert tasks.users.get(b"9008") is None


@pytest.mark.parametrize("model", ["als", "ials", "auto"])
def test_sweeps_over_all_users_make_up_for_the_sample(
    history, tmp_path, capsys, monkeypatch, model
):
    """The model is nearer to that of the local engine, which trains on all users."""
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", model)
    monkeypatch.setenv("MARQUEE_BATCH_FOLD_IN", "on")
    given = (*inputs(history), "--store")
    run_refresh(capsys, *given, tmp_path / "local")
    in_tasks(monkeypatch, share=0.5)
    for n_sweeps in (0, 3):
        monkeypatch.setenv("MARQUEE_BATCH_SPARK_SWEEPS", str(n_sweeps))
        summary = run_refresh(capsys, *given, tmp_path / str(n_sweeps))
        assert ("sweeps" in summary["seconds"]) == bool(n_sweeps)
    local, without, swept = (similarities(tmp_path / name) for name in ("local", "0", "3"))
    assert np.abs(swept - local).mean() < 0.8 * np.abs(without - local).mean()


def test_young_accounts_outside_the_sample_are_not_trained_on(history, rows):
    """Whose first event is after the limit; without a limit, all are."""
    basis = basis_without_latest(counted(rows), None, BatchSettings())
    interactions = basis.interactions(rows)
    first, _ = first_and_last(interactions, BEGAN_AT)
    solve = Ials(n_factors=4, iterations=1).fit(interactions.weights).solve
    assert isinstance(solve, LeastSquares)
    item_ids = interactions.item_ids.to_pylist()
    limit = int(np.median(first))
    old = SweepStep(item_ids, limit, BEGAN_AT)(interactions, solve)
    assert 0 < len(old.factors) == (first <= limit).sum() < len(first)
    expected = interactions.weights[np.flatnonzero(first <= limit)]
    assert abs(old.weights - expected * np.float32(solve.scale)).max() < 1e-6
    everybody = SweepStep(item_ids, None, BEGAN_AT)(interactions, solve)
    assert len(everybody.factors) == len(first)
    nobody = SweepStep(item_ids, int(first.min()) - 1, BEGAN_AT)(interactions, solve)
    assert not any(one.any() for one in nobody.sums(solve.item_factors))


def similarities(store):
    """Return the products of all item vectors of the index, which no rotation changes."""
    path = store / "snapshots/000001"
    n_factors = json.loads((path / "MANIFEST.json").read_text())["parameters"]["n_factors"]
    index = AnnoyIndex(n_factors, "angular")
    index.load(str(path / "items.ann"))
    vectors = np.array([index.get_item_vector(row) for row in range(index.get_n_items())])
    return vectors @ vectors.T


def test_the_cap_holds_over_all_partitions(history, tmp_path, capsys, monkeypatch):
    """Each chunk has its share of the limit, so no item is in more lists than the rule allows."""
    monkeypatch.setenv("MARQUEE_RULES_CAP", "0.5")
    monkeypatch.setenv("MARQUEE_BATCH_FOLD_IN", "on")
    in_tasks(monkeypatch, n_partitions=2, batch_rows=10_000)
    run_refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        lists = [body.decode().split(",") for _, body in snapshot.users]
    most = max(sum(item in one for one in lists) for item in history.item_ids)
    assert len(lists) == len(history.seen)
    assert 0.45 * len(lists) < most <= 0.5 * len(lists)


@pytest.fixture
def rows(history):
    """Views and ratings of the history, sorted by user."""
    settings = BatchSettings(events=(str(history.events),))
    (names,) = groups_of(settings)
    read = pylist(read_group(0, names, 1, settings, BEGAN_AT))
    of_users = [unpacked(one["content"]) for one in read if one["kind"] == OF_USERS]
    return pa.concat_tables(of_users).sort_by("user_id")


@pytest.mark.parametrize(("share_above", "best"), [(0.005, 5.0), (0.5, 10.0)])
def test_the_items_are_counted_as_if_all_users_were_together(rows, share_above, best):
    """Users of each item, where a rating off the scale counts for none; the scale is inferred."""
    rng = np.random.default_rng(3)
    n_ratings = 400
    rating = np.where(rng.random(n_ratings) < share_above, 8.0, 3.0)
    rating[:2] = 8.0, 12.0  # the latter is on no scale
    columns = {
        "kind": [RATING] * n_ratings,
        "user_id": [f"u{n % 90:02}" for n in range(n_ratings)],
        "item_id": [f"i{n}" for n in rng.integers(0, 9, n_ratings)],
        "rating": rating.tolist(),
        "first_at": list(range(n_ratings)),
    }
    ratings = pa.table(
        {
            name: pa.array(columns[name], rows.schema.field(name).type)
            if name in columns
            else pa.nulls(n_ratings, rows.schema.field(name).type)
            for name in rows.column_names
        }
    )
    joined = pa.concat_tables([rows.filter(pa.compute.equal(rows["kind"], VIEW)), ratings])
    joined = joined.sort_by("user_id")
    found = counted(joined)
    expected: dict[str, set[str]] = {}
    for row in joined.to_pylist():
        users = expected.setdefault(row["item_id"], set())
        if row["kind"] == VIEW or row["rating"] <= best:
            users.add(row["user_id"])
    assert found.best_rating == best
    assert found.item_ids.to_pylist() == sorted(expected)
    assert found.n_users.tolist() == [len(expected[item]) for item in sorted(expected)]


@pytest.mark.parametrize("n_partitions", [1, 2, 7, 200])
def test_ranges_have_all_rows_by_user(rows, monkeypatch, n_partitions):
    """Each user in one range, ranges in the order of ids; all rows once, by group and place."""
    monkeypatch.setattr("batch.spark.blocks._BLOCK_ROWS", 16)
    monkeypatch.setattr("batch.spark.blocks._RUN_ROWS", 48)
    order = np.random.default_rng(3).permutation(rows.num_rows)
    groups = [*enumerate(rows.take(pa.array(part)) for part in np.array_split(order, 3))]
    sampled = pylist(sampled_ids(number, part, 20) for number, part in groups)
    bounds = bounds_of([unpacked(one) for one in about(sampled, IDS)], n_partitions)
    assert bounds == sorted(set(bounds))
    assert len(bounds) == n_partitions - 1 or n_partitions == 200
    read = pylist(one for number, part in groups for one in read_blocks(number, OF_USERS, part))
    partitions = [
        pa.Table.from_batches([*rows_in(part)], rows.schema) for part in moved(read, bounds)
    ]
    users = [user for part in partitions for user in sorted(set(part["user_id"].to_pylist()))]
    assert users == sorted(set(rows["user_id"].to_pylist()))
    expected = pa.concat_tables([part for _, part in groups]).sort_by("user_id")  # stable
    assert pa.concat_tables(partitions).to_pylist() == expected.to_pylist()
    if n_partitions == 7:
        sizes = [part.num_rows for part in partitions]
        assert max(sizes) < 2 * rows.num_rows / 7


@pytest.mark.parametrize("max_users", [1, 7, 60, 61])
def test_chunks_hold_a_limited_number_of_users(rows, max_users):
    """So that the records of users with a view each fit a row of Spark's."""
    chunks = [*user_chunks(rows.to_batches(7), 10**6, max_users)]
    assert pa.concat_tables(chunks).equals(rows)
    n_users = [len(set(one["user_id"].to_pylist())) for one in chunks]
    assert sum(n_users) == 60
    assert n_users[:-1] == [max_users] * (len(chunks) - 1)


def test_users_with_a_profile_alone_do_not_fill_chunks(rows):
    """Otherwise a chunk's share of the limits of lists would be too small."""
    columns = {"kind": PROFILE, "user_id": None, "content": b""}
    alone = [columns | {"user_id": f"{number}"} for number in range(100, 600)]
    joined = pa.concat_tables([rows, pa.Table.from_pylist(alone, rows.schema)]).sort_by("user_id")
    chunks = [*user_chunks(joined.to_batches(7), 10**6, 20)]
    assert pa.concat_tables(chunks).num_rows == joined.num_rows
    events = [one.filter(pa.compute.not_equal(one["kind"], PROFILE)) for one in chunks]
    assert [len(set(one["user_id"].to_pylist())) for one in events] == [20, 20, 20]


@pytest.mark.parametrize("max_events", [1, 40, 10**6])
def test_chunks_hold_whole_users(rows, max_events):
    """All rows once, in their order, and no user in two chunks; large ones where allowed."""
    chunks = [*user_chunks(rows.to_batches(7), max_events)]
    assert pa.concat_tables(chunks).to_pylist() == rows.to_pylist()
    users = [set(chunk["user_id"].to_pylist()) for chunk in chunks]
    assert sum(map(len, users)) == len(set.union(*users))
    assert (len(chunks) == 1) == (max_events == 10**6)


def test_weights_that_age_count_from_the_latest_event_of_all(rows, history):
    """Chunks of few users have the weights that the local engine gives, though each is older."""
    settings = BatchSettings(events=(str(history.events),), half_life_days=2.0)
    events = read_events(settings).events
    whole = build_interactions(events, None, 0.0, Weighting.from_settings(settings))
    assert whole.evidence is not None
    assert whole.evidence.last_at is not None
    times = pair_times(blocks(rows, 7), whole.item_ids.to_pylist(), whole.evidence.best)
    at = pa.Table.from_batches([*times])["last_at"].to_pylist()
    assert sorted(at) == sorted(whole.evidence.last_at.tolist())
    latest = int(latest_time(whole.evidence.last_at))
    basis = replace(basis_without_latest(counted(rows), None, settings), latest=latest)
    chunks = [*to_chunks(blocks(rows, 7), basis, max_events=1)]
    made, _ = sampled([chunks])
    assert made.weights.toarray().tolist() == whole.weights.toarray().tolist()
    assert made.user_ids == whole.user_ids
    assert made.ratings.rating.tolist() == whole.ratings.rating.tolist()
    assert made.ratings.user_row.tolist() == whole.ratings.user_row.tolist()


def test_a_sample_is_of_whole_users_and_depends_on_their_ids(rows):
    """A larger sample holds the smaller one, in whatever chunks the users are."""
    basis = basis_without_latest(counted(rows), None, BatchSettings())
    of_share: dict[float, list[str]] = {}
    for share in (0.3, 0.6):
        for max_events in (1, 200):
            chunks = [*to_chunks(blocks(rows, 7), basis, max_events=max_events)]
            found, _ = sampled([chunks], share)
            names = found.user_ids.to_pylist()
            assert of_share.setdefault(share, names) == names
            assert found.evidence is not None
            assert found.began_at is not None
            assert len(found.evidence.watched) == found.weights.nnz == len(found.began_at)
            assert found.ratings.user_row.max() < len(names)
    assert 0 < len(of_share[0.3]) < len(of_share[0.6]) < 60
    assert set(of_share[0.3]) < set(of_share[0.6])
    assert in_sample(["a", "b"], 1.0).all()


def test_the_sample_has_300_interactions_an_item_or_as_many_as_set():
    """At least 2 million; a number that is set takes its place."""
    items = pa.array([f"i{n:05}" for n in range(10_000)])
    found = CountedItems(items, np.full(10_000, 600), 5.0)
    few = CountedItems(items[:100], np.full(100, 40_000), 5.0)
    settings = BatchSettings()
    assert sample_share(found, settings) == 0.5
    assert sample_share(few, settings) == 0.5
    assert sample_share(few, replace(settings, spark_sample=1_000_000)) == 0.25


def test_an_error_of_an_input_comes_from_its_task_as_it_is(history):
    """The driver raises the reader's own error, with its subject and its advice."""
    history.profiles.write_text("title,year\nHeat,1995\n")
    settings = BatchSettings(profiles=(str(history.profiles),))
    found = pylist(read_profiles(0, settings.profiles, 1, settings))
    with pytest.raises(InputError, match=r"profiles\.jsonl: .*user"):
        reports_of(about(found, REPORT))
    history.events.write_text("neither this\nnor that\n")
    settings = BatchSettings(events=(str(history.events),))
    found = pylist(read_group(0, settings.events, 1, settings, BEGAN_AT))
    with pytest.raises(InputError, match="is not a file of events: it begins with 'neither this'"):
        reports_of(about(found, REPORT))


def test_what_is_missing_is_named(history, tmp_path, capsys, monkeypatch):
    """A master, Java, PySpark: each with what to do, and the store is not made."""
    given = ["refresh", "--engine", "spark", "--events", str(history.events), "--store", "store"]
    assert main([*given, "--master", "spark://127.0.0.1:1"]) == 1
    assert "the master cannot be reached" in capsys.readouterr().err
    for url in ("sparc:host", "spark://host", "spark://a:7077,b", "local[0]", "local[x]", ""):
        assert main([*given, "--master", url]) == 1
        assert f"spark_master {url!r}: not the URL of a Spark master" in capsys.readouterr().err
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert main(given) == 1
    assert "Spark needs Java; install Java 17" in capsys.readouterr().err
    if importlib.util.find_spec("pyspark") is None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/java").touch()
        assert main(given) == 1
        assert "PySpark is not installed; install the extra" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_one_of_several_masters_is_enough():
    """The others stand by, or are down; a port above 65,535 is down, too."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        check_master(f"spark://127.0.0.1:1,127.0.0.1:{port}")
        for down in ("127.0.0.1:1", "[::1]:1", "127.0.0.1:1,127.0.0.1:99999"):
            with pytest.raises(EngineError, match="the master cannot be reached"):
                check_master(f"spark://{down}")
    for others in ("local", "local[2]", "local[*]", "local[2,3]", "yarn", "k8s://https://a:443"):
        check_master(others)


def test_settings_that_exclude_the_engine_are_refused():
    """Its lists are of models that fold in users; the local engine has no such limit."""
    for local in (
        BatchSettings(fold_in="off"),
        BatchSettings(second_stage="on"),
        BatchSettings(model="bpr"),
    ):
        with pytest.raises(ValueError, match='engine = "spark" excludes'):
            replace(local, engine="spark")
    with pytest.raises(ValueError, match="engine must be one of local, spark"):
        BatchSettings(engine="dask")
