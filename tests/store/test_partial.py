"""A node that pulls some shards alone: what is absent by choice is not damage."""

import json

import pytest

from store.__main__ import main
from store.commands.ls import listing
from store.config import StoreSettings
from store.doctor import problems
from store.errors import (
    CorruptSnapshotError,
    IncompatibleSnapshotError,
    PartialSnapshotError,
    ReplicaError,
)
from store.forget import forget
from store.layout import CHECKSUMS, DATA_FILES, MANIFEST, generations, shard_file, snapshot_folder
from store.manifest import kept_manifest, verify
from store.partial import shards_in_place
from store.pointer import current
from store.publish import pin, rollback, unpin
from store.pull import pull
from store.remote import Remote
from store.replica_settings import ReplicaSettings
from store.shards import shard_of
from store.snapshot import open_snapshot, open_what_is_here
from store.takedown import take_down, takedowns
from tests.snapshots import files_of, make_snapshot
from tests.store.replicas import flip_a_bit, push_to

N_SHARDS = 4
USERS = [f"user{number}" for number in range(60)]
HERE = {user for user in USERS if shard_of(user.encode(), N_SHARDS) < 2}
SHARED = {*DATA_FILES, MANIFEST, CHECKSUMS, "SHARDS"}


def publish(origin, there, prefix="item"):
    """Make a generation and push it."""
    lists = {user: [f"{prefix}{number % 7}", "other"] for number, user in enumerate(USERS)}
    make_snapshot(origin, lists, ["other"], n_shards=N_SHARDS)
    push_to(there, origin)


def pull_shards(there, node, shards, keep=100):
    replica = ReplicaSettings(shards=shards)
    return pull(node, Remote(str(there)), StoreSettings(keep=keep), replica)


def files(node, generation=1):
    return {path.name for path in snapshot_folder(node, generation).iterdir()}


@pytest.fixture
def origin(tmp_path, there):
    """A store with generation 1, which lies at the remote, too."""
    publish(tmp_path / "origin", there)
    return tmp_path / "origin"


@pytest.fixture
def partial(origin, there, node):
    """A node that has shards 0 and 1 of it."""
    assert pull_shards(there, node, "0,1").is_current
    return node


def test_only_the_shards_that_are_named_are_pulled(partial):
    assert files(partial) == SHARED | {"recs.00.mdb", "recs.01.mdb"}
    folder = snapshot_folder(partial, 1)
    assert verify(folder, {0, 1}).n_shards == N_SHARDS
    with open_what_is_here(partial, 1) as snapshot:
        assert {user.decode() for user, _ in snapshot.users} == HERE
        assert snapshot.closed_shards == {2, 3}
    assert list(problems(partial)) == []


@pytest.mark.parametrize("shards", [None, {0, 2}])
def test_what_needs_another_shard_is_refused(partial, shards):
    with pytest.raises(
        PartialSnapshotError, match=r"shard 2 was not pulled .*\[replica\] `shards`"
    ):
        verify(snapshot_folder(partial, 1), shards)
    with pytest.raises(PartialSnapshotError):
        open_snapshot(partial, 1, verified=True, shards=shards)


def test_damage_is_found_as_elsewhere(partial, there, node):
    """A shard that should be here, a damaged one, and a record of shards that is not one."""
    folder = snapshot_folder(partial, 1)
    (folder / "recs.01.mdb").rename(folder / "aside")
    with pytest.raises(CorruptSnapshotError, match=r"recs\.01\.mdb: cannot be read"):
        open_what_is_here(partial, 1)
    (folder / "aside").rename(folder / "recs.01.mdb")
    flip_a_bit(folder / "recs.01.mdb")
    with pytest.raises(CorruptSnapshotError, match="SHA-256"):
        open_what_is_here(partial, 1)
    assert "damaged" in next(problems(partial)).what
    flip_a_bit(folder / "recs.01.mdb")
    (folder / "SHARDS").write_text("0;1")
    with pytest.raises(CorruptSnapshotError, match="SHARDS: cannot be read"):
        open_what_is_here(partial, 1)
    (folder / "SHARDS").unlink()
    with pytest.raises(CorruptSnapshotError, match=r"recs\.02\.mdb: cannot be read"):
        open_what_is_here(partial, 1)


def test_a_damaged_shard_elsewhere_concerns_others_alone(origin, there, node, tmp_path):
    flip_a_bit(snapshot_folder(there, 1) / shard_file(3))
    assert pull_shards(there, node, "0,1").is_current
    with pytest.raises(ReplicaError, match=r"recs\.03\.mdb"):
        pull_shards(there, tmp_path / "other", "2,3")


def test_shards_that_are_added_complete_a_snapshot(partial, there, origin):
    """One, then all; what is here is not fetched again, and less than before removes nothing."""
    (there / "snapshots" / "000001" / "recs.00.mdb").unlink()
    pull_shards(there, partial, "2")
    assert shards_in_place(snapshot_folder(partial, 1)) == frozenset({0, 1, 2})
    pull_shards(there, partial, "0")
    assert shards_in_place(snapshot_folder(partial, 1)) == frozenset({0, 1, 2})
    pull_shards(there, partial, "all")
    assert files_of(snapshot_folder(partial, 1)) == files_of(snapshot_folder(origin, 1))
    assert not (partial / "pulling").exists()


def test_a_shard_that_does_not_exist_is_refused_before_anything_is_fetched(origin, there, node):
    with pytest.raises(IncompatibleSnapshotError, match="has 4 shards, from 0, and not shard 7"):
        pull_shards(there, node, "1,7")
    assert not list((node / "pulling").rglob("*.mdb"))
    assert pull_shards(there, node, "1").is_current


def test_pin_rollback_takedown_and_retention_are_as_elsewhere(partial, origin, there):
    pin(partial, "a festival")
    publish(origin, there, "new")
    take_down(origin, ["new3"], "rights ended")
    push_to(there, origin)
    assert not pull_shards(there, partial, "0,1").is_current
    assert files(partial, 2) == SHARED | {"recs.00.mdb", "recs.01.mdb"}
    assert takedowns(partial).keys() == {"new3"}
    unpin(partial, "over")
    assert current(partial) == 2
    rollback(partial, "lists look wrong")
    assert current(partial) == 1
    publish(origin, there)
    assert pull_shards(there, partial, "0,1", keep=1).is_current
    assert generations(partial) == [3]
    assert kept_manifest(partial, 1).n_shards == N_SHARDS


def test_a_push_from_it_is_refused_and_sends_nothing(partial, tmp_path):
    take_down(partial, ["item3"], "rights ended")
    with pytest.raises(PartialSnapshotError, match="only shards 0,1 were pulled to this machine"):
        push_to(tmp_path / "elsewhere", partial)
    assert not (tmp_path / "elsewhere").exists()


def test_forgetting_in_it_is_refused(partial):
    with pytest.raises(PartialSnapshotError):
        forget(partial, [min(HERE)], "test", wait_seconds=0)
    assert generations(partial) == [1]


def test_the_verbs_say_what_is_here(partial, capsys):
    """Figures are of the shards here; a user of another shard is not one without a list."""

    def run(*verb):
        status = main(["--store", str(partial), *verb])
        return status, *capsys.readouterr()

    own, away = min(HERE), min(set(USERS) - HERE)
    assert run("verify")[1] == f"generation 1: ok; {len(HERE)} lists checked\n"
    assert "    1  partial: shards 0,1 of 4\n" in run("ls")[1]
    [entry] = listing(partial).snapshots
    suffixes = (".mdb", ".ann")
    data = [one for one in snapshot_folder(partial, 1).iterdir() if one.suffix in suffixes]
    assert entry["n_bytes"] == sum(path.stat().st_size for path in data)
    assert run("get", own)[0] == 0
    assert json.loads(run("explain", own, "--json")[1])["source"] == "list"
    for verb, problem in (
        (["get", away], f"of user {away} is not here"),
        (["explain", away], f"of user {away} is not here"),
        (["dump"], "was not pulled to this machine"),
        (["diff", "1", "1"], "was not pulled to this machine"),
    ):
        status, output, error = run(*verb)
        assert (status, output) == (1, "")
        assert problem in error
