"""The fallback chain: history, recent views, segment, popular, each completed by the next."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.worker.served import Served
from store.layout import LIST_LENGTH
from store.recent import RecentWriter
from store.snapshot import open_snapshot
from store.takedown import take_down
from tests.serve.server import Server, wait_until
from tests.snapshots import make_snapshot

WESTERNS = [f"western{n:02d}" for n in range(30)]
NOIRS = [f"noir{n:02d}" for n in range(30)]
BETWEEN = ["noir+western+1", "noir+western+2"]
HITS = [f"hit{n:02d}" for n in range(25)]
VECTORS = {
    **{name: [1.0, 0.01 * n, 0.0] for n, name in enumerate(WESTERNS)},
    **{name: [0.0, 0.01 * n, 1.0] for n, name in enumerate(NOIRS)},
    **{name: [1.0, 0.001 * n, 1.0] for n, name in enumerate(BETWEEN)},
}  # angles grow with the number, so the nearest to the first are known
SEGMENTS = {
    "25-34/F/artist": ["abc1", "abc2"],
    "25-34/F": ["ab1", "abc1"],
    "25-34": [f"a{n}" for n in range(5)],
    "F": ["b1", "b2"],
    "artist": ["c1"],
    "reserve": [f"reserve{n}" for n in range(10)],
}
PROFILES = {
    "ida": "25-34/F/artist",
    "jim": "25-34/M/clerk",
    "kim": "18-24/F/artist",
    "lea": "45-49/X/none",
    "mia": "25-34/F/artist minor",
    "ned": " minor",
}
ADULT = ["western01", "abc1", "a0", "hit00", "reserve0"]
OWN = [f"own{n:02d}" for n in range(20)]
SPARES = [f"spare{n}" for n in range(10)]


def make_chain_snapshot(store):
    return make_snapshot(
        store,
        {"ann": OWN, "bob": ["own00", "own01"]},
        HITS[:20],
        spares={"ann": SPARES},
        segments={**SEGMENTS, "reserve": [*HITS[20:], *SEGMENTS["reserve"]]},
        profiles=PROFILES,
        about={name: {"adult": True} for name in ADULT},
        vectors=VECTORS,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain") / "store"
    make_chain_snapshot(folder)
    return folder


@pytest.fixture(scope="module")
def snapshot(store):
    with open_snapshot(store, 1) as opened:
        yield opened


@pytest.fixture
def chain(snapshot):
    """`chain("ida", history=["a"])` -> source, names."""

    def answer(user="nobody", history=(), recent=(), hidden=()):
        served = Served(snapshot, frozenset(name.encode() for name in hidden))
        made = served.answer(
            user.encode(), [name.encode() for name in history], [name.encode() for name in recent]
        )
        return made.source, [name.decode() for name in made.names]

    return answer


# History


def test_neighbours_of_a_history_come_nearest_first(chain):
    """The watched item is excluded, and the next twenty angles follow in order."""
    assert chain(history=["western00"]) == ("history", WESTERNS[1:21])


def test_the_mean_of_a_history_is_searched_for(chain):
    """A history of one item of each kind leads to the items between them."""
    source, names = chain(history=["western00", "noir00"])
    assert (source, set(names[:2])) == ("history", set(BETWEEN))


def test_only_the_latest_twenty_items_with_a_vector_count(chain):
    """Older and unknown items do not move the mean."""
    latest = [*(f"unknown+item{n}" for n in range(30)), *NOIRS[:20]]
    _, names = chain(history=[*latest, *WESTERNS[:25]])
    assert names[:10] == NOIRS[20:30]


def test_all_items_of_a_long_history_are_excluded(chain):
    """Also those that do not move the mean."""
    _, names = chain(history=[*WESTERNS, *NOIRS[:15]])
    assert set(names) & {*WESTERNS, *NOIRS[:15]} == set()
    assert len(names) == LIST_LENGTH


def test_a_history_without_vectors_leads_to_the_next_step(chain):
    """Its items are excluded all the same."""
    assert chain("ida", history=["unknown+item"])[0] == "segment"
    assert chain(history=["hit03"]) == ("popular", [*HITS[:3], *HITS[4:21]])


def test_opposite_vectors_still_make_a_list(tmp_path):
    """Their mean is zero."""
    vectors = {"left": [-1, 0], "right": [1, 0], "up": [0, 1]}
    make_snapshot(tmp_path, {}, ["pop"], vectors=vectors)
    with open_snapshot(tmp_path, 1) as snapshot:
        names = Served(snapshot).answer(b"x", [b"left", b"right"]).names
    assert sorted(names) == [b"pop", b"up"]


# Recent views, and the order of steps


def test_recent_views_work_like_a_history(chain):
    """The same neighbours, with another source."""
    assert chain(recent=["western00"]) == ("recent", WESTERNS[1:21])


def test_a_history_in_the_request_precedes_recent_views(chain):
    """Recent views complete the list, and the items of both are excluded."""
    source, names = chain(history=["noir00"], recent=["western00"], hidden=NOIRS[3:])
    assert (source, names[:2]) == ("history", ["noir01", "noir02"])
    assert not {"noir00", "western00"} & set(names)


def test_recent_views_complete_a_history_without_vectors(chain):
    """The step that gave the first item is the source."""
    assert chain(history=["unknown+item"], recent=["western00"])[0] == "recent"


# Segments


@pytest.mark.parametrize(
    ("user", "first"),
    [
        ("ida", ["abc1", "abc2", "ab1", *SEGMENTS["25-34"], "b1", "b2", "c1", "hit00"]),
        ("jim", [*SEGMENTS["25-34"], "hit00"]),
        ("kim", ["b1", "b2", "c1", "hit00"]),
    ],
)
def test_a_segment_is_completed_by_wider_ones(chain, user, first):
    """From the whole key to its parts, each item once, then the popular list."""
    source, names = chain(user)
    assert (source, names[: len(first)]) == ("segment", first)
    assert len(names) == LIST_LENGTH


def test_a_segment_without_lists_is_skipped(chain):
    """The popular list follows."""
    assert chain("lea") == ("popular", HITS[:20])


def test_neighbours_precede_the_segment(chain):
    """The segment completes the list."""
    source, names = chain("kim", history=["western00"], hidden=[*WESTERNS[4:], *NOIRS, *BETWEEN])
    assert source == "history"
    assert names[:6] == ["western01", "western02", "western03", "b1", "b2", "c1"]


# Popular


def test_an_unknown_user_gets_the_popular_list(chain):
    """Exactly the list of the table."""
    assert chain() == ("popular", HITS[:20])


def test_the_reserve_completes_the_popular_list(chain):
    """Its items replace those watched or taken down."""
    _, names = chain(history=["hit01"], hidden=["hit02", "hit03"])
    assert names == ["hit00", *HITS[4:23]]


def test_the_answer_is_empty_if_every_item_is_hidden(chain):
    """The caller handles that case."""
    everything = [*HITS, *SEGMENTS["reserve"], *VECTORS]
    assert chain(hidden=everything) == ("popular", [])


# Minors


@pytest.mark.parametrize("user", ["mia", "ned"])
@pytest.mark.parametrize("history", [(), ("western00",), ("unknown+item",)])
def test_a_minor_gets_no_adult_title(chain, user, history):
    """At any step, and the list has its full length."""
    _, names = chain(user, history=history)
    assert not set(names) & set(ADULT)
    assert len(names) == LIST_LENGTH


def test_an_adult_gets_adult_titles(chain):
    """The counterpart: the same titles appear for other users."""
    assert "abc1" in chain("ida")[1]
    assert "hit00" in chain()[1]
    assert "western01" in chain(history=["western00"])[1]


def test_a_minors_list_is_completed_without_adult_titles(tmp_path):
    """After a takedown in the user's own list."""
    make_snapshot(
        *(tmp_path, {"mia": ["x", "y"]}, ["hit", "adult", "other"]),
        profiles={"mia": "F minor"},
        about={"adult": {"adult": True}},
    )
    with open_snapshot(tmp_path, 1) as snapshot:
        served = Served(snapshot, frozenset([b"x", b"hit"]))
        assert served.get(b"mia") == b"y,other"


# Users with a list, and a history


def test_spares_replace_watched_items_in_an_own_list(chain):
    """The list keeps its length."""
    source, names = chain("ann", history=["own03", "own05"])
    left = [name for name in OWN if name not in ("own03", "own05")]
    assert (source, names) == ("list", [*left, *SPARES[:2]])


def test_the_chain_completes_an_own_list_without_spares(chain):
    """Neighbours come first; watched items stay excluded."""
    seen = [*OWN[:15], "western00"]
    source, names = chain("ann", history=seen, hidden=SPARES[1:])
    assert source == "list"
    assert names[:6] == [*OWN[15:], "spare0"]
    assert names[6:] == WESTERNS[1:15]


def test_a_short_list_keeps_its_length(chain):
    """Only removed items are replaced."""
    assert chain("bob", history=["own00"])[1][0] == "own01"
    assert len(chain("bob", history=["own00"])[1]) == 2


def test_an_unknown_history_does_not_change_an_own_list(chain):
    """The list is served as stored."""
    assert chain("ann", history=["unknown+item"]) == ("list", OWN)


# Arbitrary tables

NAMES = [f"item{n:02d}" for n in range(60)]
KEYS = ["a/b/c", "a/b", "a", "b", "c"]
some_names = st.lists(st.sampled_from(NAMES), max_size=30, unique=True)
watched = st.lists(st.sampled_from([*NAMES, "unknown+item"]), max_size=40)
vector = st.lists(st.integers(-2, 2), min_size=3, max_size=3)


@st.composite
def tables(draw):
    return {
        "popular": draw(some_names),
        "segments": draw(st.dictionaries(st.sampled_from([*KEYS, "reserve"]), some_names)),
        "vectors": draw(st.dictionaries(st.sampled_from(NAMES), vector, max_size=40)),
        "about": {name: {"adult": True} for name in draw(some_names)},
        "profiles": {"minor": f"{draw(st.sampled_from(KEYS))} minor", "user": "a/b/c"},
    }


@settings(max_examples=60, deadline=None)
@given(
    tables=tables(),
    user=st.sampled_from(["minor", "user", "nobody"]),
    history=watched,
    recent=watched,
    hidden=st.sets(st.sampled_from(NAMES), max_size=25),
)
def test_every_answer_is_valid(tables, user, history, recent, hidden):
    """No item twice, watched, taken down or adult for a minor; as long as the tables allow."""
    with tempfile.TemporaryDirectory() as folder:
        make_snapshot(Path(folder), {}, **tables)
        with open_snapshot(Path(folder), 1) as snapshot:
            served = Served(snapshot, frozenset(name.encode() for name in hidden))
            made = served.answer(
                user.encode(), [n.encode() for n in history], [n.encode() for n in recent]
            )
    names = [name.decode() for name in made.names]
    adult = set(tables["about"]) if user == "minor" else set()
    forbidden = {*history, *recent, *hidden} | adult

    assert len(names) == len(set(names)) <= LIST_LENGTH
    assert not set(names) & forbidden
    assert set(names) <= set(NAMES)
    steps = [("segment", tables["segments"].get(key, [])) for key in keys_of(tables, user)]
    steps += [("popular", tables["popular"]), ("popular", tables["segments"].get("reserve", []))]
    allowed = [(step, name) for step, listed in steps for name in listed if name not in forbidden]
    assert len(names) == LIST_LENGTH or {name for _, name in allowed} <= set(names)
    if not {*history, *recent} & tables["vectors"].keys():
        assert names == list(dict.fromkeys(name for _, name in allowed))[:LIST_LENGTH]
        assert made.source == (allowed[0][0] if allowed else "popular")


def keys_of(tables, user):
    segment = tables["profiles"].get(user, "").partition(" ")[0]
    return {"a/b/c": KEYS, "a/b": ["a/b", "a", "b"], "": []}.get(segment, [segment])


# On a running server


@pytest.fixture
def server(serve_store):
    """A server with recent views of `rex` and of `ann`."""
    store, running = serve_store
    with RecentWriter(store) as writer:
        writer.add([("rex", "noir03"), ("rex", "western00"), ("ann", "own00")])
    wait_until(lambda: running.get("/recommend/rex").source == "recent")
    return running


@pytest.fixture
def serve_store(tmp_path):
    make_chain_snapshot(tmp_path / "store")
    with Server(tmp_path / "store", tmp_path, "--workers", "1") as running:
        running.wait_for_generation(1)
        yield tmp_path / "store", running


def ids(answer):
    assert answer.status == 200
    return answer.text.split(",")


def test_every_step_is_reached_over_http(server):
    """The header names the step, and the body is a line of ids."""
    for target, source, first in [
        ("/recommend/ann", "list", OWN[0]),
        ("/recommend/ann?history=own00", "list", OWN[1]),
        ("/recommend/nobody?history=western00", "history", WESTERNS[1]),
        ("/recommend/rex?history=western00", "history", WESTERNS[1]),
        ("/recommend/ida", "segment", "abc1"),
        ("/recommend/nobody", "popular", HITS[0]),
        ("/recommend/nobody?history=unknown+item,%20,,%2C", "popular", HITS[0]),
    ]:
        answer = server.get(target)
        assert (answer.source, ids(answer)[0]) == (source, first), target
        assert len(ids(answer)) == LIST_LENGTH


def test_recent_views_are_excluded_over_http(server):
    """Their neighbours are in the list."""
    names = ids(server.get("/recommend/rex"))
    assert not {"noir03", "western00"} & set(names)
    assert set(names) & set(WESTERNS)


def test_recent_views_do_not_change_an_own_list(server):
    """The hot path reads one table; the next refresh includes the views."""
    assert ids(server.get("/recommend/ann")) == OWN


def test_a_takedown_affects_every_step(server, serve_store):
    """No step returns the items any more."""
    gone = ["own01", "western01", "western02", "abc1", "hit00"]
    take_down(serve_store[0], gone, "licence ended")
    wait_until(lambda: server.health()["taken_down"] == len(gone))

    for target in ("ann", "ann?history=own00", "x?history=western00", "rex", "ida", "nobody"):
        names = ids(server.get(f"/recommend/{target}"))
        assert not set(names) & set(gone), target
        assert len(names) == LIST_LENGTH


def test_a_history_of_maximum_length_is_answered(server):
    """All its items are excluded."""
    history = ",".join([*WESTERNS, *NOIRS, *(f"unknown+item{n}" for n in range(400))])
    names = ids(server.get(f"/recommend/nobody?history={history}"))
    assert not {*WESTERNS, *NOIRS} & set(names)
    assert len(names) == LIST_LENGTH


def test_n_and_json_apply_to_fallbacks(server):
    """The number of items is right, and each has its title."""
    assert ids(server.get("/recommend/nobody?history=western00&n=3")) == WESTERNS[1:4]
    answer = server.get("/recommend/nobody?history=western00&n=3&format=json")
    assert '"source": "history"' in answer.text
    assert '"title": "Western01"' in answer.text
