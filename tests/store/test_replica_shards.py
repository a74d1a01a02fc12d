"""Replicas of shards: what did not change is neither pushed nor pulled again."""

import pytest

from store.forget import forget
from store.layout import shard_file, snapshot_folder
from store.remote import Remote
from store.shards import shard_of
from store.snapshot import open_snapshot
from tests.snapshots import make_snapshot
from tests.store.replicas import assert_current_is_complete, flip_a_bit, pull_from, push_to

N_SHARDS = 4
LISTS = {f"user{number}": [f"item{number % 7}", "other"] for number in range(60)}
GONE = "user17"
SHARD = shard_file(shard_of(GONE.encode(), N_SHARDS))
CHANGED = {SHARD, "factors.mdb", "MANIFEST.json"}  # the user has a vector, too
REUSED = {shard_file(shard) for shard in range(N_SHARDS)} - CHANGED | {"recs.mdb", "items.ann"}


@pytest.fixture
def moved(monkeypatch):
    """The names of files that are sent or fetched."""
    names: set[str] = set()
    for verb in ("send", "fetch"):
        real = getattr(Remote, verb)

        def record(self, one, other, *more, real=real):
            names.add(next(path for path in (one, other) if not isinstance(path, str)).name)
            return real(self, one, other, *more)

        monkeypatch.setattr(Remote, verb, record)
    return names


@pytest.fixture
def there(tmp_path, moved):
    """A remote and a node with generation 1; here it is replaced by one without a user."""
    store, remote, node = tmp_path / "store", tmp_path / "remote", tmp_path / "node"
    make_snapshot(store, LISTS, ["other"], n_shards=N_SHARDS)
    push_to(remote, store)
    pull_from(remote, node)
    assert moved >= CHANGED | REUSED
    forget(store, [GONE], "test", wait_seconds=0)
    moved.clear()
    return remote


def test_only_what_changed_is_pushed_and_pulled(there, tmp_path, moved):
    """A user was forgotten: one shard and the vectors differ."""
    push_to(there, tmp_path / "store")
    assert moved == CHANGED
    moved.clear()
    pull_from(there, tmp_path / "node")
    assert moved == CHANGED
    assert_current_is_complete(tmp_path / "node")
    with open_snapshot(tmp_path / "node", 2) as snapshot:
        users = {user.decode() for user, _ in snapshot.users}
        assert users == LISTS.keys() - {GONE}


def test_a_damaged_file_here_is_fetched_instead(there, tmp_path, moved):
    push_to(there, tmp_path / "store")
    moved.clear()
    damaged = sorted(REUSED)[0]
    flip_a_bit(snapshot_folder(tmp_path / "node", 1) / damaged)
    pull_from(there, tmp_path / "node")
    assert moved == {*CHANGED, damaged}
    assert_current_is_complete(tmp_path / "node")
