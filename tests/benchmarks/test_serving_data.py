"""The store of the serving benchmark: valid, with every table filled, and built once."""

import json
import random

import annoy
import pytest

from benchmarks.serving.data import prepare
from benchmarks.serving.targets import KINDS
from store.layout import INDEX
from store.manifest import verify
from store.recent import RecentViews
from store.snapshot import open_snapshot

N_USERS, N_ITEMS = 300, 400


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("serving"), N_USERS, N_ITEMS)


@pytest.fixture
def snapshot(data):
    with open_snapshot(data.store, 1) as snapshot:
        yield snapshot


def test_lists_are_like_real_ones(data, snapshot):
    """20 items and 10 spares, all different, of the catalogue, not adult; 550 bytes."""
    known = {name.decode() for name, about in snapshot.items if not json.loads(about)["adult"]}
    assert set(data.item_ids()) == known
    spares = dict(snapshot.spares)
    lists = dict(snapshot.users)
    assert lists.keys() == spares.keys() == {b"%d" % user for user in range(N_USERS)}
    for user, body in lists.items():
        first, rest = set(body.decode().split(",")), set(spares[user].decode().split(","))
        assert (len(first), len(rest), first & rest) == (20, 10, set())
        assert first | rest <= known
    assert 500 < sum(map(len, lists.values())) / N_USERS < 600


def test_every_fallback_step_has_its_data(data, snapshot):
    """Profiles name segments with a list, recent users have views, rows match the index."""
    segments = {text.split()[0] for _, text in snapshot.profiles}
    assert all(snapshot.fallback.get(segment) for segment in segments)
    assert all(snapshot.profiles.get(b"%d" % user) for user in data.profiled_users)
    views = RecentViews(data.store)
    assert all(len(views.get(b"%d" % user)) == 3 for user in data.recent_users)
    views.close()
    index = annoy.AnnoyIndex(64, "angular")
    index.load(str(snapshot.folder / INDEX))
    assert index.get_n_items() == len(dict(snapshot.rows)) == len(dict(snapshot.items)) == N_ITEMS


def test_unknown_users_have_no_data(data, snapshot):
    """They have neither list nor profile nor views."""
    views = RecentViews(data.store)
    for user in data.unknown_users:
        key = b"%d" % user
        known = snapshot.users.get(key), snapshot.profiles.get(key), views.get(key)
        assert known == (None, None, [])
    views.close()


def test_it_is_built_once(data):
    """The second call returns the same valid snapshot without building it again."""
    before = data.recs.stat()
    assert prepare(data.folder.parent, N_USERS, N_ITEMS) == data
    assert data.recs.stat().st_mtime_ns == before.st_mtime_ns
    assert verify(data.recs.parent).counts["recs.mdb/users"] == N_USERS


@pytest.mark.parametrize("name", KINDS)
def test_targets_are_random_and_quoted(data, name):
    """Many different targets, each a path that needs no further quoting."""
    targets = KINDS[name].targets(data, random.Random(1))
    assert len(set(targets)) >= min(len(targets), 20)
    assert all(target.startswith("/recommend/") and target.isascii() for target in targets)
    assert not {" ", "+", "#"} & set("".join(targets))
    assert all(("?history=" in target) == (name == "history") for target in targets)
