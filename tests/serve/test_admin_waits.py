"""`/admin/` while something takes long: a verification, or another holder of a lock."""

import concurrent.futures
import contextlib
import fcntl
import os
import signal

import pytest

from store.layout import RECS, snapshot_folder
from store.locks import locked
from store.pointer import current
from store.takedown import takedowns
from tests.serve.server import wait_until
from tests.serve.test_admin import ENVIRON, done, post, refused
from tests.snapshots import make_snapshot


@pytest.fixture
def admin(serve, store):
    """A server of generation 2, with a token."""
    for name in ("alien", "brazil"):
        make_snapshot(store, {"ann": [name]}, ["popular"])
    server = serve("--workers", "1", nginx=True, **ENVIRON)
    server.wait_for_generation(2)
    return server


@contextlib.contextmanager
def unreadable_until_the_end(path):
    """Hold a lease: a process that opens the file waits in the kernel."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # the kernel's note that somebody waits
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield lambda: fcntl.fcntl(descriptor, fcntl.F_GETLEASE) != fcntl.F_WRLCK
    finally:
        os.close(descriptor)
        signal.signal(signal.SIGIO, before)


@pytest.mark.parametrize(
    ("action", "more"), [("rollback", {}), ("pin", {"to": 1})], ids=["rollback", "pin"]
)
def test_a_takedown_never_waits_for_a_verification(admin, store, action, more):
    """It is answered while the snapshot is still being read; then that is answered too."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        with unreadable_until_the_end(snapshot_folder(store, 1) / RECS) as is_waited_for:
            waiting = pool.submit(post, admin, f"/admin/{action}", {"why": "x", **more})
            wait_until(is_waited_for)
            done(post(admin, "/admin/takedown", {"why": "rights", "items": ["brazil"]}))
            done(post(admin, "/admin/train", {"why": "soon"}))

            assert not waiting.done()
            assert "brazil" in takedowns(store)
            assert current(store) == 2
        assert done(waiting.result()) == {"generation": 1}


def test_a_takedown_that_cannot_get_its_lock_is_503(admin, store):
    """After a bounded wait, with Retry-After and how to find the holder; then it works."""
    with locked(store / "TAKEDOWN.LOCK"):
        answer = post(admin, "/admin/takedown", {"why": "x", "items": ["brazil"]})
        problem = refused(answer, 503)

        assert int(answer.headers["Retry-After"]) > 0
        assert "fuser -v" in problem["detail"]
        assert takedowns(store) == {}
    done(post(admin, "/admin/takedown", {"why": "x", "items": ["brazil"]}))
