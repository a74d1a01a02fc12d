"""Recent views under a running server: their file appears, vanishes, changes and breaks."""

import contextlib
import os
import random
import signal
from typing import cast

import pytest

from serve.resources.recommend import best_list
from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.worker.app import make_app
from serve.worker.served import Served
from serve.worker.state import WorkerState
from store.recent import RecentViews, RecentWriter, recent_file
from store.snapshot import open_snapshot
from tests.serve.server import wait_until
from tests.snapshots import make_snapshot

PAGE_BYTES = 4096
FILMS = [f"film{n:02d}" for n in range(40)]
VECTORS = {name: [1.0, 0.02 * n] for n, name in enumerate(FILMS)}
POPULAR = ["casablanca"]
MANY = [(f"user{n:04d}", f"film{k:02d}") for n in range(500) for k in range(8)]


def fill(store, *views):
    with RecentWriter(store) as writer:
        writer.add(views)


def source(server, user="rex"):
    return server.get(f"/recommend/{user}").source


def wait_for_source(server, name, user="rex"):
    """Return once 12 answers in a row have that source, so that every worker has followed."""
    wait_until(lambda: all(source(server, user) == name for _ in range(12)))


@pytest.fixture
def published(store):
    make_snapshot(store, {"ann": ["own"]}, POPULAR, vectors=VECTORS)
    return store


@pytest.fixture
def server(serve, published):
    running = serve("--workers", "2")
    running.wait_for_generation(1)
    return running


@pytest.fixture
def collecting(server, published):
    """The same server, with a recent view of Rex."""
    fill(published, ("rex", "film00"))
    wait_for_source(server, "recent")
    return server


def test_a_file_that_appears_later_is_used(server, published):
    """A collector may start after the server."""
    assert source(server) == "popular"
    fill(published, ("rex", "film00"))
    wait_for_source(server, "recent")
    assert server.get("/recommend/rex").text.split(",")[0] == "film01"


def test_each_commit_takes_effect_at_once(collecting, published):
    """The next request already excludes the item just watched."""
    with RecentWriter(published) as writer:
        for n in range(1, 15):
            writer.add([("rex", f"film{n:02d}"), ("new", f"film{n:02d}")])
            for user in ("rex", "new"):
                assert f"film{n:02d}" not in collecting.get(f"/recommend/{user}").text.split(",")


def test_a_removed_file_is_followed(collecting, published):
    """The fallback chain continues without recent views."""
    recent_file(published).unlink()
    wait_for_source(collecting, "popular")


def test_a_replaced_file_is_followed(collecting, published, tmp_path):
    """The new file contains other users."""
    (tmp_path / "other").mkdir()
    fill(tmp_path / "other", ("sam", "film05"))
    recent_file(tmp_path / "other").rename(recent_file(published))
    wait_for_source(collecting, "recent", "sam")
    wait_for_source(collecting, "popular", "rex")


def test_a_removed_file_may_be_recreated(collecting, published):
    """Several times; the lock file left behind does not matter."""
    for _ in range(3):
        recent_file(published).unlink()
        wait_for_source(collecting, "popular")
        fill(published, ("rex", "film00"))
        wait_for_source(collecting, "recent")


def test_recent_views_survive_a_swap(collecting, published):
    """A new snapshot uses the same recent views."""
    make_snapshot(published, {"ann": ["own"]}, POPULAR, vectors=VECTORS)
    collecting.wait_for_generation(2)
    wait_for_source(collecting, "recent")


def test_a_file_beyond_lmdbs_default_size_is_followed(collecting, published):
    """It grows past 10 MiB without a worker losing it."""
    with RecentWriter(published) as writer:
        for part in range(10):
            writer.add((f"{part}+{n}", "x" * 200 + str(k)) for n in range(300) for k in range(20))
            assert {source(collecting) for _ in range(6)} == {"recent"}
    assert recent_file(published).stat().st_size > 10 << 20
    assert "recent views disabled" not in collecting.log.read_text()


def test_killed_workers_leave_no_growth(collecting, published):
    """Pages held by dead readers are reused."""
    sizes = []
    for _ in range(5):
        for _ in range(4):
            source(collecting)
        killed = collecting.wait_for_workers()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        collecting.wait_for_workers(other_than=killed)
        fill(published, *MANY)
        fill(published, *MANY)
        sizes.append(recent_file(published).stat().st_size)
    assert sizes[-1] <= sizes[1]


# Broken files


def emptied(path):
    path.write_bytes(b"")


def garbage(path):
    path.write_bytes(random.Random(1).randbytes(60_000))


def directory(path):
    path.unlink()
    path.mkdir()


def cut_within_the_header(path):
    os.truncate(path, 5000)


def cut_behind_the_header(path):
    os.truncate(path, 2 * PAGE_BYTES)


def broken_pages(path):
    with path.open("r+b") as file:
        file.seek(2 * PAGE_BYTES)
        file.write(random.Random(2).randbytes(path.stat().st_size - 2 * PAGE_BYTES))


DAMAGE = pytest.mark.parametrize(
    "damage",
    [emptied, garbage, directory, cut_within_the_header, cut_behind_the_header, broken_pages],
    ids=lambda f: f.__name__,
)


def is_popular(server, user):
    """Whether the answer is the popular list; False also if the worker died."""
    with contextlib.suppress(ConnectionError):
        return source(server, user) == "popular"
    return False


@DAMAGE
def test_a_damaged_file_at_the_start_is_ignored(serve, published, damage):
    """Lists and fallbacks are served, and no worker dies."""
    fill(published, *MANY)
    damage(recent_file(published))
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    workers = server.wait_for_workers()

    for _ in range(30):
        assert source(server, "user0001") == "popular"
        assert source(server, "ann") == "list"

    assert server.workers() == workers


@DAMAGE
def test_a_file_damaged_under_the_server_is_ignored(collecting, published, damage):
    """Each worker may die once; its successor ignores the file and serves."""
    fill(published, *MANY)
    damage(recent_file(published))

    for user in ("user0001", "rex"):
        wait_until(lambda u=user: all(is_popular(collecting, u) for _ in range(12)))
    assert source(collecting, "ann") == "list"
    assert collecting.health()["generation"] == 1
    assert collecting.process.poll() is None


@pytest.mark.parametrize("damage", [emptied, garbage, directory], ids=lambda f: f.__name__)
def test_a_new_file_replaces_a_damaged_one(collecting, published, damage):
    """The remedy that the message names: remove the file, and it fills again."""
    path = recent_file(published)
    damage(path)
    wait_until(lambda: all(is_popular(collecting, "rex") for _ in range(12)))
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()

    fill(published, ("rex", "film00"))

    wait_for_source(collecting, "recent")


# The hot path


class ForbiddenViews:
    """Recent views that fail at each lookup."""

    def get(self, user_id):
        raise AssertionError(f"recent views of {user_id!r} were looked up")


def test_a_user_with_a_list_causes_no_lookup_of_recent_views(published):
    """Neither on the hot path nor off it; a user without a list does."""
    state = WorkerState(ServeSettings(), Scoreboard(1))
    state.recent = cast(RecentViews, ForbiddenViews())
    with open_snapshot(published, 1) as snapshot:
        state.served = Served(snapshot)
        hot = {"PATH_INFO": "/recommend/ann", "REQUEST_METHOD": "GET"}
        assert make_app(state)(hot, lambda *_: None) == [b"own"]
        assert best_list(state, state.served, "ann", [b"film00"]).source == "list"
        with pytest.raises(AssertionError, match="rex"):
            best_list(state, state.served, "rex")


def test_a_known_user_is_one_lookup(published, monkeypatch):
    """Counted at the tables themselves."""
    lookups = []

    def recording(get, name):
        def get_and_record(key):
            lookups.append(name)
            return get(key)

        return get_and_record

    state = WorkerState(ServeSettings(), Scoreboard(1))
    app = make_app(state)
    with open_snapshot(published, 1) as snapshot:
        for name in ("users", "spares", "similar", "fallback", "profiles", "items", "rows"):
            table = getattr(snapshot, name)
            monkeypatch.setattr(table, "get", recording(table.get, name))
        state.served = Served(snapshot)
        lookups.clear()
        assert app({"PATH_INFO": "/recommend/ann", "REQUEST_METHOD": "GET"}, lambda *_: None)
    assert lookups == ["users"]
