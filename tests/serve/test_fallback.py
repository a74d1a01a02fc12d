"""The fallback chain: history, recent views, segment, popular, each topped up by the next."""

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
from tests.serve.running import Server, wait_until
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


def test_the_nearest_items_come_nearest_first(chain):
    """The item that was watched is left out, and the next twenty angles follow in order."""
    assert chain(history=["western00"]) == ("history", WESTERNS[1:21])


def test_the_mean_of_what_was_watched_is_searched_for(chain):
    """Who watched one of each kind is shown what lies between them."""
    source, names = chain(history=["western00", "noir00"])
    assert (source, set(names[:2])) == ("history", set(BETWEEN))


def test_only_the_latest_twenty_that_have_a_vector_count(chain):
    """What was watched long ago no longer moves the mean, nor does what nobody knows."""
    latest = [*(f"unheard+of{n}" for n in range(30)), *NOIRS[:20]]
    _, names = chain(history=[*latest, *WESTERNS[:25]])
    assert names[:10] == NOIRS[20:30]


def test_a_long_history_is_left_out_whole(chain):
    """All of it, even the part that does not move the mean."""
    _, names = chain(history=[*WESTERNS, *NOIRS[:15]])
    assert set(names) & {*WESTERNS, *NOIRS[:15]} == set()
    assert len(names) == LIST_LENGTH


def test_a_history_of_strangers_is_no_history(chain):
    """Items without a vector lead to the next step."""
    assert chain("ida", history=["unheard+of"])[0] == "segment"
    assert chain(history=["hit03"]) == ("popular", [*HITS[:3], *HITS[4:21]])


def test_opposite_vectors_are_no_trouble(tmp_path):
    """A mean of nothing at all still makes a list."""
    vectors = {"left": [-1, 0], "right": [1, 0], "up": [0, 1]}
    make_snapshot(tmp_path, {}, ["pop"], vectors=vectors)
    with open_snapshot(tmp_path, 1) as snapshot:
        names = Served(snapshot).answer(b"x", [b"left", b"right"]).names
    assert sorted(names) == [b"pop", b"up"]


# Recent views, and who comes first


def test_recent_views_are_a_history(chain):
    """The same neighbours, under their own name."""
    assert chain(recent=["western00"]) == ("recent", WESTERNS[1:21])


def test_what_the_request_says_comes_first(chain):
    """History leads, recent views top it up, and both are left out."""
    source, names = chain(history=["noir00"], recent=["western00"], hidden=NOIRS[3:])
    assert (source, names[:2]) == ("history", ["noir01", "noir02"])
    assert not {"noir00", "western00"} & set(names)


def test_recent_views_top_up_a_history_without_vectors(chain):
    """The step that gave the first item names the answer."""
    assert chain(history=["unheard+of"], recent=["western00"])[0] == "recent"


# Segment, backing off


@pytest.mark.parametrize(
    ("user", "first"),
    [
        ("ida", ["abc1", "abc2", "ab1", *SEGMENTS["25-34"], "b1", "b2", "c1", "hit00"]),
        ("jim", [*SEGMENTS["25-34"], "hit00"]),
        ("kim", ["b1", "b2", "c1", "hit00"]),
    ],
)
def test_a_segment_is_topped_up_by_wider_ones(chain, user, first):
    """From the whole key to its parts, each item once, then the popular list."""
    source, names = chain(user)
    assert (source, names[: len(first)]) == ("segment", first)
    assert len(names) == LIST_LENGTH


def test_a_segment_without_lists_is_skipped(chain):
    """A profile that fits no list leads to the popular one."""
    assert chain("lea") == ("popular", HITS[:20])


def test_neighbours_come_before_the_segment(chain):
    """What somebody does says more than who they are; the segment tops up."""
    source, names = chain("kim", history=["western00"], hidden=[*WESTERNS[4:], *NOIRS, *BETWEEN])
    assert source == "history"
    assert names[:6] == ["western01", "western02", "western03", "b1", "b2", "c1"]


# Popular


def test_a_stranger_gets_the_popular_list(chain):
    """Its bytes are those of the table."""
    assert chain() == ("popular", HITS[:20])


def test_the_reserve_fills_the_popular_list(chain):
    """What was seen or is taken down makes room for what comes after it."""
    _, names = chain(history=["hit01"], hidden=["hit02", "hit03"])
    assert names == ["hit00", *HITS[4:23]]


def test_nothing_left_is_an_empty_answer(chain):
    """The caller then knows what to say."""
    everything = [*HITS, *SEGMENTS["reserve"], *VECTORS]
    assert chain(hidden=everything) == ("popular", [])


# Minors


@pytest.mark.parametrize("user", ["mia", "ned"])
@pytest.mark.parametrize("history", [(), ("western00",), ("unheard+of",)])
def test_a_minor_is_shown_no_adult_title(chain, user, history):
    """At no step; and the list is as long as any."""
    _, names = chain(user, history=history)
    assert not set(names) & set(ADULT)
    assert len(names) == LIST_LENGTH


def test_a_grown_up_is(chain):
    """The twin: the same titles are there for others."""
    assert "abc1" in chain("ida")[1]
    assert "hit00" in chain()[1]
    assert "western01" in chain(history=["western00"])[1]


def test_a_takedown_shows_a_minor_no_adult_title(tmp_path):
    """Who has a list of their own is topped up from the popular one, without such titles."""
    make_snapshot(
        *(tmp_path, {"mia": ["x", "y"]}, ["hit", "adult", "other"]),
        profiles={"mia": "F minor"},
        about={"adult": {"adult": True}},
    )
    with open_snapshot(tmp_path, 1) as snapshot:
        served = Served(snapshot, frozenset([b"x", b"hit"]))
        assert served.get(b"mia") == b"y,other"


# Users with a list, and a history


def test_an_own_list_without_what_was_seen(chain):
    """The spares follow, and the list stays as long as it was."""
    source, names = chain("ann", history=["own03", "own05"])
    left = [name for name in OWN if name not in ("own03", "own05")]
    assert (source, names) == ("list", [*left, *SPARES[:2]])


def test_an_own_list_whose_spares_are_used_up(chain):
    """The chain fills it: neighbours first, and nothing that was seen."""
    seen = [*OWN[:15], "western00"]
    source, names = chain("ann", history=seen, hidden=SPARES[1:])
    assert source == "list"
    assert names[:6] == [*OWN[15:], "spare0"]
    assert names[6:] == WESTERNS[1:15]


def test_a_short_list_stays_as_short(chain):
    """Topping up is for what was taken away."""
    assert chain("bob", history=["own00"])[1][0] == "own01"
    assert len(chain("bob", history=["own00"])[1]) == 2


def test_a_history_that_says_nothing_changes_nothing(chain):
    """The list as it stands."""
    assert chain("ann", history=["unheard+of"]) == ("list", OWN)


# Whatever the tables hold

NAMES = [f"item{n:02d}" for n in range(60)]
KEYS = ["a/b/c", "a/b", "a", "b", "c"]
some_names = st.lists(st.sampled_from(NAMES), max_size=30, unique=True)
watched = st.lists(st.sampled_from([*NAMES, "unheard+of"]), max_size=40)
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
def test_every_answer_is_whole(tables, user, history, recent, hidden):
    """Nothing twice, seen, taken down or adult to a minor; as full as its tables allow."""
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
    """A worker that knows recent views of `rex` and of `ann`."""
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
    """The header names it, the body is a line of ids."""
    for target, source, first in [
        ("/recommend/ann", "list", OWN[0]),
        ("/recommend/ann?history=own00", "list", OWN[1]),
        ("/recommend/nobody?history=western00", "history", WESTERNS[1]),
        ("/recommend/rex?history=western00", "history", WESTERNS[1]),
        ("/recommend/ida", "segment", "abc1"),
        ("/recommend/nobody", "popular", HITS[0]),
        ("/recommend/nobody?history=unheard+of,%20,,%2C", "popular", HITS[0]),
    ]:
        answer = server.get(target)
        assert (answer.source, ids(answer)[0]) == (source, first), target
        assert len(ids(answer)) == LIST_LENGTH


def test_recent_views_are_left_out_over_http(server):
    """Both of them, and their neighbours are shown."""
    names = ids(server.get("/recommend/rex"))
    assert not {"noir03", "western00"} & set(names)
    assert set(names) & set(WESTERNS)


def test_a_list_is_not_touched_by_recent_views(server):
    """The hot path asks one table; the next refresh will know what was seen."""
    assert ids(server.get("/recommend/ann")) == OWN


def test_a_takedown_holds_at_every_step(server, serve_store):
    """Within a second no step gives the item any more."""
    gone = ["own01", "western01", "western02", "abc1", "hit00"]
    take_down(serve_store[0], gone, "licence ended")
    wait_until(lambda: server.health()["taken_down"] == len(gone))

    for target in ("ann", "ann?history=own00", "x?history=western00", "rex", "ida", "nobody"):
        names = ids(server.get(f"/recommend/{target}"))
        assert not set(names) & set(gone), target
        assert len(names) == LIST_LENGTH


def test_a_long_history_is_answered(server):
    """As many ids as a request line may carry, all of them left out."""
    history = ",".join([*WESTERNS, *NOIRS, *(f"unheard+of{n}" for n in range(400))])
    names = ids(server.get(f"/recommend/nobody?history={history}"))
    assert not {*WESTERNS, *NOIRS} & set(names)
    assert len(names) == LIST_LENGTH


def test_n_and_json_hold_for_the_chain(server):
    """So many, and each with its title."""
    assert ids(server.get("/recommend/nobody?history=western00&n=3")) == WESTERNS[1:4]
    answer = server.get("/recommend/nobody?history=western00&n=3&format=json")
    assert '"source": "history"' in answer.text
    assert '"title": "Western01"' in answer.text
