"""A snapshot in shards: the same tables as in one file, and what is wrong with a damaged one."""

import json
from typing import Any

import pytest

import store.writer
from batch.tables.shards import shards_of
from store.check import broken_records
from store.dump import dump, load
from store.errors import CorruptSnapshotError, IncompatibleSnapshotError, WriteError
from store.layout import MANIFEST, RECS, shard_file, snapshot_folder
from store.manifest import Manifest, read_manifest, verify
from store.publish import writing
from store.shards import shard_of
from store.snapshot import open_snapshot
from store.writer import SnapshotWriter
from tests.snapshots import make_snapshot

N_SHARDS = 3
USERS = [f"user{number}" for number in range(90)]
CONTENTS: dict[str, Any] = {
    "lists": {user: ["a", "b"] for user in USERS},
    "popular": ["a", "c"],
    "spares": {user: ["c"] for user in USERS[::2]},
    "profiles": dict.fromkeys(USERS[::3], "F"),
}
TABLES = ("users", "spares", "profiles", "similar", "fallback", "items", "rows")


@pytest.fixture
def divided(tmp_path):
    make_snapshot(tmp_path / "divided", **CONTENTS, n_shards=N_SHARDS)
    return tmp_path / "divided"


def test_it_has_the_records_of_one_file_and_says_how_they_are_divided(divided, tmp_path):
    make_snapshot(tmp_path / "whole", **CONTENTS)
    with open_snapshot(divided, 1) as snapshot, open_snapshot(tmp_path / "whole", 1) as whole:
        assert list(broken_records(snapshot)) == []
        for name in TABLES:
            assert list(getattr(snapshot, name)) == list(getattr(whole, name)), name
        assert all(snapshot.users.get(user.encode()) == b"a,b" for user in USERS)
        assert snapshot.manifest.counts == whole.manifest.counts
        assert snapshot.manifest.as_json()["shards"]["n_shards"] == N_SHARDS
        assert "shards" not in whole.manifest.as_json()
        files = snapshot.manifest.files.keys() - whole.manifest.files.keys()
    assert files == {shard_file(shard) for shard in range(N_SHARDS)}


def test_a_dump_of_it_gives_the_same_bytes(divided):
    """Also its shards; a dump whose manifest is not whole is refused elsewhere."""
    with open_snapshot(divided, 1) as snapshot:
        lines = [json.dumps(line) for line in dump(snapshot, snapshot.manifest.as_json())]
    with writing(divided):
        load(divided, lines)
    one, two = (snapshot_folder(divided, generation) for generation in (1, 2))
    for name in read_manifest(one).data_files:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


@pytest.mark.parametrize("chunk", [7, 1000])
def test_the_division_in_bulk_and_small_transactions_keep_every_record(
    tmp_path, monkeypatch, chunk
):
    monkeypatch.setattr(store.writer, "CHUNK_RECORDS", chunk)
    records = sorted((user.encode(), user.encode()) for user in USERS)
    with writing(tmp_path), SnapshotWriter(tmp_path, N_SHARDS, shards_of) as writer:
        assert writer.table(RECS, "users", records) == len(records)
        with pytest.raises(WriteError, match="keys out of order"):
            writer.table(RECS, "spares", records[::-1])


def test_a_user_in_the_wrong_shard_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("store.shards.shard_function", lambda _: lambda _: 1)
    make_snapshot(tmp_path, **CONTENTS, n_shards=N_SHARDS)
    monkeypatch.undo()
    with open_snapshot(tmp_path, 1) as snapshot:
        problems = list(broken_records(snapshot))
    found = {one for one in problems if one.startswith("users")}
    wrong = [user for user in USERS if shard_of(user.encode(), N_SHARDS) != 1]
    assert found == {f"users: {user}: is in another user's shard" for user in wrong}


def test_a_missing_shard_is_damage_and_an_unknown_one_a_wrong_setting(divided):
    with pytest.raises(IncompatibleSnapshotError, match=r"3 shards, .* not shard 3; correct"):
        open_snapshot(divided, 1, shards={0, 3})
    with open_snapshot(divided, 1, shards={0}) as snapshot:
        closed = {snapshot.closed_shard_of(user.encode()) for user in USERS}
        found = [user for user in USERS if snapshot.users.get(user.encode())]
    assert closed == {None, 1, 2}
    assert found == [user for user in USERS if shard_of(user.encode(), N_SHARDS) == 0]
    (snapshot_folder(divided, 1) / shard_file(1)).unlink()
    open_snapshot(divided, 1, shards={0, 2}).close()
    with pytest.raises(CorruptSnapshotError, match=r"recs\.01\.mdb: cannot be read"):
        verify(snapshot_folder(divided, 1))


@pytest.mark.parametrize(
    ("shards", "problem"),
    [
        ({"n_shards": 4, "hash": "murmurhash2-split-clients-1"}, "contradict each other"),
        ({"n_shards": 3, "hash": "crc32"}, "not a division by this code's hash"),
        ({"n_shards": True}, "not a division"),
        ({"n": 3}, "shards:"),
        ([3], "shards:"),
        (None, "contradict each other"),
    ],
)
def test_a_manifest_of_another_division_is_refused(divided, shards, problem):
    path = snapshot_folder(divided, 1) / MANIFEST
    document = json.loads(path.read_text())
    assert Manifest.from_json(document).n_shards == N_SHARDS
    with pytest.raises(ValueError, match=problem):
        Manifest.from_json(document | {"shards": shards})
