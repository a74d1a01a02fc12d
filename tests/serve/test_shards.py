"""Users in shards: the same answers as from one file, and fallbacks for shards elsewhere."""

import contextlib
import random
import re

import pytest

from store.check import broken_records
from store.shards import shard_of
from store.snapshot import open_snapshot
from store.takedown import take_down
from tests.serve.server import Server, ask
from tests.snapshots import make_snapshot

N_SHARDS = 4
ITEMS = [f"film+{number}" for number in range(60)]
ADULT = {name: {"adult": number % 3 == 0} for number, name in enumerate(ITEMS)}
USERS = [f"{number:06}" for number in range(0, 3000, 10)]
UNKNOWN = [f"stranger{number}" for number in range(40)]
PROFILES = dict.fromkeys(UNKNOWN[:30:2], "25-34/F") | dict.fromkeys(UNKNOWN[1:30:2], "F minor")
HIDDEN = ITEMS[7]


def contents():
    """Return the content of a snapshot, the same at each call."""
    rng = random.Random(3)
    drawn = {user: rng.sample(ITEMS, 15) for user in USERS}
    return {
        "lists": {user: names[:10] for user, names in drawn.items()},
        "popular": ITEMS[:20],
        "spares": {user: names[10:] for user, names in drawn.items()},
        "segments": {"25-34/F": ITEMS[20:40], "F": ITEMS[40:60]},
        "profiles": PROFILES,
        "about": ADULT,
        "parameters": {"rules": {"adult_filter": True}},
    }


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two stores of the same data: in one file, and in shards."""
    folder = tmp_path_factory.mktemp("stores")
    for name, n_shards in (("whole", 1), ("divided", N_SHARDS)):
        make_snapshot(folder / name, **contents(), n_shards=n_shards)
        take_down(folder / name, [HIDDEN], "test")
    return folder


@pytest.fixture(scope="module")
def servers(stores):
    """Servers of the whole store, of all shards, and of two of them."""
    with contextlib.ExitStack() as running:

        def serve(name, store, **environ):
            (stores / name).mkdir()
            server = Server(stores / store, stores / name, "--workers", "1", **environ)
            running.enter_context(server).wait_for_generation(1)
            return server

        yield (
            serve("a", "whole"),
            serve("b", "divided"),
            serve("c", "divided", MARQUEE_SERVE_SHARDS="0,1"),
        )


def answers(server, users):
    """Return status, source, closed shard and body for each user."""
    with server.connect() as connection:
        found = [ask(connection, f"/recommend/{user}") for user in users]
    return [(one.status, one.source, closed_shard(one), one.body) for one in found]


def closed_shard(answer):
    return answer.headers["X-Marquee-Closed-Shard"]


def test_shards_and_one_file_give_every_user_the_same_answer(servers):
    whole, divided, _ = servers
    users = [*USERS, *UNKNOWN]
    expected = answers(whole, users)
    assert answers(divided, users) == expected
    assert {source for _, source, _, _ in expected} == {"list", "segment", "popular"}
    assert len({body for *_, body in expected}) > len(USERS)
    assert not any(HIDDEN in body.decode().split(",") for *_, body in expected)


def test_users_of_a_closed_shard_get_a_fallback_that_says_so(servers):
    """Its profiles are elsewhere, too, so nobody of it gets an adult title."""
    whole, _, two_shards = servers
    users = [*USERS[:100], *UNKNOWN]
    for user, own, found in zip(
        users, answers(whole, users), answers(two_shards, users), strict=True
    ):
        shard = shard_of(user.encode(), N_SHARDS)
        if shard < 2:
            assert found == own
        else:
            status, source, closed, body = found
            assert (status, source, closed) == (200, "popular", str(shard))
            assert not any(ADULT[name]["adult"] for name in body.decode().split(","))
    metrics = two_shards.get("/metrics").text
    [n_closed] = re.findall(r'requests_total\{source="closed_shard",status="200"\} (\d+)', metrics)
    assert int(n_closed) > 0


def test_a_snapshot_in_shards_is_sound_and_says_how_it_is_divided(stores):
    with (
        open_snapshot(stores / "divided", 1) as divided,
        open_snapshot(stores / "whole", 1) as whole,
    ):
        assert list(broken_records(divided)) == []
        for name in ("users", "spares", "profiles", "similar", "fallback", "items", "rows"):
            assert list(getattr(divided, name)) == list(getattr(whole, name)), name
        assert divided.manifest.counts == whole.manifest.counts
        assert divided.manifest.n_shards == N_SHARDS
        assert divided.manifest.files.keys() - whole.manifest.files == {
            f"recs.{shard:02}.mdb" for shard in range(N_SHARDS)
        }
