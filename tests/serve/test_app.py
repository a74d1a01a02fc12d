"""The application without a server: what one request costs, and what a swap may not mix."""

import contextlib

import falcon.testing
import pytest

from serve.counting import Counts
from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.worker.app import MarqueeApp
from serve.worker.served import Served
from store.snapshot import open_snapshot
from tests.snapshots import make_snapshot


class Counting:
    """A table that writes down the keys asked for, and does something at each."""

    def __init__(self, table, at_each=lambda: None):
        self.keys = []
        self._table = table
        self._at_each = at_each

    def get(self, key):
        self.keys.append(key)
        self._at_each()
        return self._table.get(key)


class Passing:
    """Falcon middleware that counts the requests which come to Falcon's router."""

    def __init__(self):
        self.n_requests = 0

    def process_request(self, req, resp):
        self.n_requests += 1


@pytest.fixture
def two(store):
    """Two open snapshots; the lists and the popular list of each are all its own."""
    make_snapshot(store, {"ann": ["alien"]}, ["old"])
    make_snapshot(store, {"ann": ["brazil"]}, ["new"])
    with open_snapshot(store, 1) as first, open_snapshot(store, 2) as second:
        yield Served(first), Served(second)


def make_app(*emergency_list):
    return MarqueeApp(Scoreboard(1), ServeSettings(emergency_list=emergency_list), Counts())


def serve_from(app, served, at_each=lambda: None):
    """Let the app serve a snapshot, and write down which lists it looks up."""
    served.lookups = Counting(served.snapshot.users, at_each)
    served.get = served.lookups.get
    app.served = served


@pytest.fixture
def app(two):
    """It serves generation 1, counts its lookups and what passes to Falcon."""
    made = make_app()
    serve_from(made, two[0])
    made.passing = Passing()
    made.add_middleware(made.passing)
    return made


def call(app, path, method="GET", query=None):
    """Call the app as bjoern does, which leaves out QUERY_STRING where there is no query."""
    environ = falcon.testing.create_environ(path, method=method)
    del environ["QUERY_STRING"]
    if query is not None:
        environ["QUERY_STRING"] = query
    started = []
    chunks = app(environ, lambda status, headers, *_: started.append((status, headers)))
    [(status, headers)] = started
    with contextlib.closing(chunks) if hasattr(chunks, "close") else contextlib.nullcontext():
        body = b"".join(chunks)
    return status, {name.lower(): text for name, text in headers}, body, chunks


def test_a_known_user_costs_one_lookup(app):
    """The hot path asks the table of lists once, by the user's id."""
    _, _, body, _ = call(app, "/recommend/ann")

    assert (app.served.lookups.keys, body) == ([b"ann"], b"alien")


def test_a_known_user_never_comes_to_the_router(app):
    """The hot path answers before Falcon sees the request."""
    call(app, "/recommend/ann")

    assert app.passing.n_requests == 0


def test_a_known_users_answer_is_a_list_of_one_bytes(app):
    """That is the form which bjoern writes at once."""
    chunks = call(app, "/recommend/ann")[3]

    assert type(chunks) is list
    assert [type(chunk) for chunk in chunks] == [bytes]


@pytest.mark.parametrize(
    ("path", "method", "query"),
    [
        ("/recommend/zoe", "GET", None),
        ("/recommend/", "GET", None),
        ("/recommend/ann", "HEAD", None),
        ("/recommend/ann", "POST", None),
        ("/recommend/ann", "GET", "format=json"),
        ("/healthz", "GET", None),
        ("/nowhere", "GET", None),
    ],
)
def test_everything_else_comes_to_the_router(app, path, method, query):
    """The twin: what is not a known user's plain GET is Falcon's, once."""
    call(app, path, method, query)

    assert app.passing.n_requests == 1


def test_an_empty_id_is_never_looked_up(app):
    """LMDB refuses an empty key."""
    status, _, _, _ = call(app, "/recommend/")

    assert (status, app.served.lookups.keys) == ("400 Bad Request", [])


def test_a_swap_in_the_middle_of_a_list_is_not_seen(app, two):
    """A tick between lookup and answer: header and body are of the old generation."""

    def swap():
        app.served = two[1]

    serve_from(app, two[0], swap)
    _, headers, body, _ = call(app, "/recommend/ann")

    assert (headers["x-marquee-generation"], body) == ("1", b"alien")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/recommend/ann", "/recommend/zoe"])
def test_a_swap_in_the_middle_of_falcons_answer_is_not_seen(app, two, path, method):
    """A tick in the middle of a resource: header and list are of one generation."""

    def swap():
        app.served = two[1]

    serve_from(app, two[0], swap)
    _, headers, body, _ = call(app, path, method, query="")

    generation = {"ann": {b"alien": "1", b"brazil": "2"}, "zoe": {b"old": "1", b"new": "2"}}
    if method == "HEAD":  # the lists differ in length only for ann
        body = {"5": b"alien", "6": b"brazil", "3": b"old"}[headers["content-length"]]
    assert headers["x-marquee-generation"] == generation[path[-3:]][body]


def test_a_snapshot_without_a_popular_list_leaves_the_emergency_list(store):
    """Better a static list than none: an unknown user gets 200."""
    make_snapshot(store, {"ann": ["alien"]}, [])
    app = make_app("zulu")
    with open_snapshot(store, 1) as snapshot:
        app.served = Served(snapshot)
        status, headers, body, _ = call(app, "/recommend/zoe")

    assert (status, headers.get("x-marquee-source"), body) == ("200 OK", "static", b"zulu")
