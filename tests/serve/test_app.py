"""The application without a server: the cost of a request, and swaps in the middle of one."""

import contextlib

import falcon.testing
import pytest

from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.worker.app import add_hot_path, make_falcon_app
from serve.worker.served import Served
from serve.worker.state import WorkerState
from store.snapshot import open_snapshot
from tests.snapshots import make_snapshot


class RecordingTable:
    """A table that records the keys of its lookups and calls a function at each."""

    def __init__(self, table, at_each=lambda: None):
        self.keys = []
        self._table = table
        self._at_each = at_each

    def get(self, key):
        self.keys.append(key)
        self._at_each()
        return self._table.get(key)


class RequestCounter:
    """Falcon middleware that counts the requests that reach Falcon's router."""

    def __init__(self):
        self.n_requests = 0

    def process_request(self, req, resp):
        self.n_requests += 1


@pytest.fixture
def two(store):
    """Two open snapshots that share no list."""
    make_snapshot(store, {"ann": ["alien"]}, ["old"])
    make_snapshot(store, {"ann": ["brazil"]}, ["new"])
    with open_snapshot(store, 1) as first, open_snapshot(store, 2) as second:
        yield Served(first), Served(second)


class App:
    """A worker's application with its state; it records lookups and requests to Falcon."""

    def __init__(self, *emergency_list):
        self.state = WorkerState(ServeSettings(emergency_list=emergency_list), Scoreboard(1))
        self.falcon_requests = RequestCounter()
        falcon_app = make_falcon_app(self.state)
        falcon_app.add_middleware(self.falcon_requests)
        self.answer = add_hot_path(falcon_app, self.state)
        self.lookups = None

    def serve_from(self, served, at_each=lambda: None):
        """Serve a snapshot, and record the lookups of lists."""
        self.lookups = RecordingTable(served.snapshot.users, at_each)
        served.get = self.lookups.get
        self.state.served = served


@pytest.fixture
def app(two):
    """An application that serves generation 1."""
    made = App()
    made.serve_from(two[0])
    return made


def call(app, path, method="GET", query=None):
    """Call the app as bjoern does, which leaves out QUERY_STRING without a query."""
    environ = falcon.testing.create_environ(path, method=method)
    del environ["QUERY_STRING"]
    if query is not None:
        environ["QUERY_STRING"] = query
    started = []
    chunks = app.answer(environ, lambda status, headers, *_: started.append((status, headers)))
    [(status, headers)] = started
    with contextlib.closing(chunks) if hasattr(chunks, "close") else contextlib.nullcontext():
        body = b"".join(chunks)
    return status, {name.lower(): text for name, text in headers}, body, chunks


def test_a_known_user_costs_one_lookup(app):
    """The hot path looks up the user's id in the table of lists, once."""
    _, _, body, _ = call(app, "/recommend/ann")

    assert (app.lookups.keys, body) == ([b"ann"], b"alien")


def test_a_known_user_never_reaches_the_router(app):
    """The hot path answers before Falcon sees the request."""
    call(app, "/recommend/ann")

    assert app.falcon_requests.n_requests == 0


def test_a_known_users_answer_is_a_list_of_one_bytes(app):
    """The form that bjoern writes at once."""
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
def test_everything_else_reaches_the_router(app, path, method, query):
    """The counterpart: Falcon sees any other request, once."""
    call(app, path, method, query)

    assert app.falcon_requests.n_requests == 1


def test_an_empty_id_is_never_looked_up(app):
    """LMDB refuses an empty key."""
    status, _, _, _ = call(app, "/recommend/")

    assert (status, app.lookups.keys) == ("400 Bad Request", [])


def test_a_swap_during_the_lookup_does_not_mix_the_answer(app, two):
    """A tick between lookup and answer: header and body are of the old generation."""

    def swap():
        app.state.served = two[1]

    app.serve_from(two[0], swap)
    _, headers, body, _ = call(app, "/recommend/ann")

    assert (headers["x-marquee-generation"], body) == ("1", b"alien")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/recommend/ann", "/recommend/zoe"])
def test_a_swap_during_a_resource_does_not_mix_the_answer(app, two, path, method):
    """A tick in the middle of a resource: header and list are of one generation."""

    def swap():
        app.state.served = two[1]

    app.serve_from(two[0], swap)
    _, headers, body, _ = call(app, path, method, query="")

    generation = {"ann": {b"alien": "1", b"brazil": "2"}, "zoe": {b"old": "1", b"new": "2"}}
    if method == "HEAD":  # the lists differ in length only for ann
        body = {"5": b"alien", "6": b"brazil", "3": b"old"}[headers["content-length"]]
    assert headers["x-marquee-generation"] == generation[path[-3:]][body]


def test_a_snapshot_without_a_popular_list_leaves_the_emergency_list(store):
    """An unknown user gets 200 and the emergency list."""
    make_snapshot(store, {"ann": ["alien"]}, [])
    app = App("zulu")
    with open_snapshot(store, 1) as snapshot:
        app.state.served = Served(snapshot)
        status, headers, body, _ = call(app, "/recommend/zoe")

    assert (status, headers.get("x-marquee-source"), body) == ("200 OK", "static", b"zulu")
