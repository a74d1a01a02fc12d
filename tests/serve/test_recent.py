"""Recent views under a running server: their file comes, goes, changes, breaks; all is served."""

import contextlib
import os
import random
import signal

import pytest

from serve.counting import Counts
from serve.resources.recommend import best_list
from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.worker.app import MarqueeApp
from serve.worker.served import Served
from store.recent import RecentWriter, recent_file
from store.snapshot import open_snapshot
from tests.serve.running import wait_until
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
    """Return once every worker answers so: as many answers in a row as leave no doubt."""
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
    """The same, and Rex has just watched something."""
    fill(published, ("rex", "film00"))
    wait_for_source(server, "recent")
    return server


def test_the_file_may_come_later(server, published):
    """A collector that is started while all runs is heard."""
    assert source(server) == "popular"
    fill(published, ("rex", "film00"))
    wait_for_source(server, "recent")
    assert server.get("/recommend/rex").text.split(",")[0] == "film01"


def test_each_commit_counts_at_once(collecting, published):
    """The next request already leaves out what was watched a moment ago."""
    with RecentWriter(published) as writer:
        for n in range(1, 15):
            writer.add([("rex", f"film{n:02d}"), ("new", f"film{n:02d}")])
            for user in ("rex", "new"):
                assert f"film{n:02d}" not in collecting.get(f"/recommend/{user}").text.split(",")


def test_the_file_may_go(collecting, published):
    """Who removes it gets the chain without it."""
    recent_file(published).unlink()
    wait_for_source(collecting, "popular")


def test_the_file_may_be_replaced(collecting, published, tmp_path):
    """By another, with other users."""
    (tmp_path / "other").mkdir()
    fill(tmp_path / "other", ("sam", "film05"))
    recent_file(tmp_path / "other").rename(recent_file(published))
    wait_for_source(collecting, "recent", "sam")
    wait_for_source(collecting, "popular", "rex")


def test_it_may_go_and_come_again(collecting, published):
    """Several times, and a lock file that is left over does no harm."""
    for _ in range(3):
        recent_file(published).unlink()
        wait_for_source(collecting, "popular")
        fill(published, ("rex", "film00"))
        wait_for_source(collecting, "recent")


def test_it_outlives_a_swap(collecting, published):
    """A new snapshot, the same recent views."""
    make_snapshot(published, {"ann": ["own"]}, POPULAR, vectors=VECTORS)
    collecting.wait_for_generation(2)
    wait_for_source(collecting, "recent")


def test_it_may_grow(collecting, published):
    """Past the 10 MiB that LMDB maps by itself; no worker loses it for a moment."""
    with RecentWriter(published) as writer:
        for part in range(10):
            writer.add((f"{part}+{n}", "x" * 200 + str(k)) for n in range(300) for k in range(20))
            assert {source(collecting) for _ in range(6)} == {"recent"}
    assert recent_file(published).stat().st_size > 10 << 20
    assert "recent views are left out" not in collecting.log.read_text()


def test_killed_workers_leave_no_growth(collecting, published):
    """The pages that they may have held are used again."""
    sizes = []
    for _ in range(5):
        for _ in range(4):
            source(collecting)
        killed = collecting.workers()
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


HARM = pytest.mark.parametrize(
    "harm",
    [emptied, garbage, directory, cut_within_the_header, cut_behind_the_header, broken_pages],
    ids=lambda f: f.__name__,
)


def is_popular(server, user):
    """False, too, where the worker died over it."""
    with contextlib.suppress(ConnectionError):
        return source(server, user) == "popular"
    return False


@HARM
def test_a_file_that_is_none_at_the_start_is_left_out(serve, published, harm):
    """All is served but what would have come of it."""
    fill(published, *MANY)
    harm(recent_file(published))
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    workers = server.workers()

    for _ in range(30):
        assert source(server, "user0001") == "popular"
        assert source(server, "ann") == "list"

    assert server.workers() == workers


@HARM
def test_a_file_that_breaks_under_the_server_is_left_out(collecting, published, harm):
    """At the worst each worker dies once; the next finds it broken, and serves."""
    fill(published, *MANY)
    harm(recent_file(published))

    for user in ("user0001", "rex"):
        wait_until(lambda u=user: all(is_popular(collecting, u) for _ in range(12)))
    assert source(collecting, "ann") == "list"
    assert collecting.health()["generation"] == 1
    assert collecting.process.poll() is None


@pytest.mark.parametrize("harm", [emptied, garbage, directory], ids=lambda f: f.__name__)
def test_a_sound_file_in_its_place_is_used(collecting, published, harm):
    """The way out that the message names: remove it, and it fills again."""
    path = recent_file(published)
    harm(path)
    wait_until(lambda: all(is_popular(collecting, "rex") for _ in range(12)))
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()

    fill(published, ("rex", "film00"))

    wait_for_source(collecting, "recent")


# The hot path


class Unasked:
    """Recent views that nobody may look into."""

    def get(self, user_id):
        raise AssertionError(f"somebody looked for {user_id!r}")


def test_a_user_with_a_list_causes_no_look(published):
    """Not on the hot path, nor off it; a user without one does."""
    app = MarqueeApp(Scoreboard(1), ServeSettings(), Counts())
    app.recent = Unasked()
    with open_snapshot(published, 1) as snapshot:
        app.served = Served(snapshot)
        hot = {"PATH_INFO": "/recommend/ann", "REQUEST_METHOD": "GET"}
        assert app(hot, lambda *_: None) == [b"own"]
        assert best_list(app, app.served, "ann", [b"film00"]).source == "list"
        with pytest.raises(AssertionError, match="rex"):
            best_list(app, app.served, "rex")


def test_a_known_user_is_one_lookup(published):
    """Counted at the table itself."""
    asked = []
    app = MarqueeApp(Scoreboard(1), ServeSettings(), Counts())
    with open_snapshot(published, 1) as snapshot:
        for name in ("users", "spares", "similar", "fallback", "profiles", "items", "rows"):
            table = getattr(snapshot, name)
            table.get = lambda key, name=name, get=table.get: asked.append(name) or get(key)
        app.served = Served(snapshot)
        asked.clear()
        assert app({"PATH_INFO": "/recommend/ann", "REQUEST_METHOD": "GET"}, lambda *_: None)
    assert asked == ["users"]
