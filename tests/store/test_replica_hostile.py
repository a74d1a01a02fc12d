"""A hostile HTTP server: bombs, redirects, lies and replays are refused, one line each."""

import contextlib
import functools
import gzip
import http.server
import logging
import shutil
import subprocess
import sys
import threading
import time

import pytest

from store.config import StoreSettings
from store.errors import ReplicaError
from store.pointer import current_or_none
from store.remote import Remote, TransferLimit
from store.signing import SigningKey, make_key
from store.takedown import take_down, takedowns
from tests.snapshots import files_of, make_snapshot
from tests.store.conftest import ROOT
from tests.store.replicas import pull_from, push_to, snapshot_files
from tests.store.test_replica_servers import _environ

BOMB_BYTES = 1 << 30  # what a bomb sends or unpacks to, unless the client stops
TIMEOUT_SECONDS = 60
MARK = "MARK"  # in all that the server sends during an attack


class HostileServer(http.server.ThreadingHTTPServer):
    """Serves a directory, and answers some names with an attack.

    Attributes:
        folder: Directory that is served.
        attacks: Function that answers a request, by the end of its path.
        requested: Paths that were requested.
        n_bytes: Size of what attacks have sent.
    """

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), HostileHandler)
        self.folder = folder
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.attacks = {}
        self.requested: list[str] = []
        self.n_bytes = 0


class HostileHandler(http.server.SimpleHTTPRequestHandler):
    """Answers with an attack where there is one."""

    server: HostileServer

    def __init__(self, request, address, server):
        super().__init__(request, address, server, directory=server.folder)

    def do_GET(self):
        self.server.requested.append(self.path)
        for end, attack in list(self.server.attacks.items()):
            if self.path.endswith(end):
                with contextlib.suppress(OSError):  # the client hangs up
                    attack(self)
                self.close_connection = True
                return
        super().do_GET()

    def begin(self, status=200, **headers):
        self.send_response(status, MARK)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def send(self, data):
        self.wfile.write(data)
        self.server.n_bytes += len(data)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(folder):
    with HostileServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server(tmp_path):
    """A hostile server of `there`, not yet attacking."""
    with serving(tmp_path / "there") as server:
        yield server


@pytest.fixture
def key(tmp_path):
    """A private key."""
    make_key(tmp_path / "push.key")
    return SigningKey(tmp_path / "push.key")


@pytest.fixture(params=["signed", "unsigned"])
def settings(request, key):
    """The settings of a node with and without trusted keys."""
    return StoreSettings(keep=100, trusted_keys=(key.public,) if request.param == "signed" else ())


# Attacks


def endless_body(handler):
    """Send a body without a length."""
    handler.begin()
    for _ in range(BOMB_BYTES >> 20):
        handler.send(MARK.encode() * (1 << 18))


def endless_chunks(handler):
    """Send a chunked body."""
    handler.protocol_version = "HTTP/1.1"
    handler.begin(Transfer_Encoding="chunked")
    for _ in range(BOMB_BYTES >> 20):
        handler.send(b"100000\r\n" + MARK.encode() * (1 << 18) + b"\r\n")


def large_length(handler):
    """Announce a terabyte."""
    handler.begin(Content_Length=1 << 40)
    handler.send(MARK.encode())


def gzip_bomb(handler):
    """Send a compressed body that nobody asked for."""
    body = gzip.compress(MARK.encode() * (1 << 22))
    handler.begin(Content_Encoding="gzip", Content_Length=len(body))
    handler.send(body)


def silent_gzip_bomb(handler):
    """Send a compressed body that is much larger than the file, as deflate."""
    body = gzip.compress(MARK.encode() * (1 << 22))
    handler.begin(Content_Encoding="x-gzip, gzip")
    handler.send(body)


def truncated(handler):
    """Announce more than is sent."""
    handler.begin(Content_Length=50)
    handler.send(b"1")


def short(handler):
    """Send less than the file, with the length of that."""
    handler.begin(Content_Length=1)
    handler.send(b"x")


def empty(handler):
    """Send nothing at all, not even a status."""


def negative_length(handler):
    """Announce a length that is not one."""
    handler.begin(Content_Length=-5)
    handler.send(MARK.encode())


def long_header(handler):
    """Send a header of a megabyte."""
    handler.begin(X_Mark=MARK * (1 << 18))


def status(number):
    def answer(handler):
        handler.begin(number, Content_Length=len(MARK))
        handler.send(MARK.encode())

    return answer


def digits(handler):
    """Send a number of 5,000 digits."""
    handler.begin()
    handler.send(b"9" * 5000)


def page(handler):
    """Send a page of another site."""
    handler.begin(Content_Type="text/html")
    handler.send(f"<html>{MARK}</html>".encode())


ATTACKS = [
    *((name, attack) for attack in (endless_body, gzip_bomb, truncated, page, status(503))
      for name in ("/CURRENT", "/TAKEDOWN", "/SHA256SUMS", "/MANIFEST.json", "/recs.mdb")),
    *(("/recs.mdb", attack) for attack in (endless_chunks, large_length, short, status(206))),
    *(("/CURRENT", attack) for attack in (
        endless_chunks, large_length, silent_gzip_bomb, empty, negative_length, long_header,
        digits, status(204), status(302), status(401), status(500))),
]  # fmt: skip


def attack_id(value):
    return value.strip("/") if isinstance(value, str) else getattr(value, "__name__", "")


def state(node):
    """Return what is served from a store, and its history."""
    files = files_of(node) if node.exists() else {}
    return {name: data for name, data in files.items() if not str(name).startswith("pulling")}


@pytest.mark.parametrize(("name", "attack"), ATTACKS, ids=attack_id)
def test_an_attack_is_refused(two, there, node, server, key, settings, name, attack):
    """One line without content, little is read, the store is as it was, and goes on."""
    take_down(two, ["c"], "rights ended")
    push_to(there, two, 1, key)
    pull_from(server.url, node, settings)
    push_to(there, two, key=key)
    before = state(node)
    server.attacks = {name: attack}
    with pytest.raises(ReplicaError) as caught:
        pull_from(server.url, node, settings)
    message = str(caught.value)
    assert message.startswith(server.url)
    assert "\n" not in message
    assert MARK not in message
    assert len(message) < 300
    assert server.n_bytes < BOMB_BYTES // 8
    assert state(node) == before
    server.attacks = {}
    assert pull_from(server.url, node, settings).is_current
    assert snapshot_files(node, 2) == snapshot_files(two, 2)


@pytest.mark.parametrize("name", ["/CURRENT.sig", "/TAKEDOWN.sig", "/SHA256SUMS.sig"])
@pytest.mark.parametrize("attack", [endless_body, gzip_bomb, page, status(404)], ids=attack_id)
def test_an_attack_on_a_signature_is_refused(two, there, node, server, key, name, attack):
    """A missing signature, too."""
    settings = StoreSettings(keep=100, trusted_keys=(key.public,))
    push_to(there, two, 1, key)
    pull_from(server.url, node, settings)
    push_to(there, two, key=key)
    before = state(node)
    server.attacks = {name: attack}
    with pytest.raises(ReplicaError) as caught:
        pull_from(server.url, node, settings)
    assert MARK not in str(caught.value)
    assert state(node) == before


def redirect_to(url):
    def redirect(handler):
        handler.begin(302, Location=url + handler.path)

    return redirect


@pytest.mark.parametrize("name", ["/CURRENT", "/recs.mdb"])
def test_a_redirect_to_another_host_is_refused(two, there, node, server, key, settings, name):
    """The other host gets no request, even though it has the right files."""
    push_to(there, two, key=key)
    with serving(there) as other:
        server.attacks = {name: redirect_to(other.url)}
        with pytest.raises(ReplicaError, match="redirects to another host; pull from that one"):
            pull_from(server.url, node, settings)
        assert other.requested == []
    assert current_or_none(node) is None


def test_a_redirect_on_the_same_host_is_followed(two, there, node, server, key, settings):
    """The twin: a directory that moved."""
    push_to(there, two, key=key)
    there.rename(there.with_name("moved"))
    server.folder = there.parent
    server.attacks = {}

    def moved(handler):
        handler.begin(301, Location=f"/moved/{handler.path.removeprefix('/old/')}")

    for end in ("CURRENT", "recs.mdb"):
        server.attacks[f"/old/{end}"] = moved
    server.attacks["/old/snapshots/000002/recs.mdb"] = moved
    (there.parent / "old").symlink_to(there.with_name("moved"))
    assert pull_from(f"{server.url}/old", node, settings).is_current
    assert snapshot_files(node, 2) == snapshot_files(two, 2)


def test_a_redirect_without_an_end_is_refused(two, there, node, server, key, settings):
    """To itself, again and again."""
    push_to(there, two, key=key)
    server.attacks = {"/CURRENT": redirect_to("")}
    with pytest.raises(ReplicaError, match="TooManyRedirects"):
        pull_from(server.url, node, settings)


def test_a_replay_over_http_is_refused(two, there, node, server, key):
    """The whole remote as it was before."""
    settings = StoreSettings(keep=100, trusted_keys=(key.public,))
    push_to(there, two, 1, key)
    older = shutil.copytree(there, there.with_name("older"))
    push_to(there, two, key=key)
    pull_from(server.url, node, settings)
    before = state(node)
    server.folder = older
    with pytest.raises(ReplicaError, match="is lower than"):
        pull_from(server.url, node, settings)
    assert state(node) == before


def test_a_snapshot_that_does_not_fit_is_not_fetched(two, there, node, server, settings, key):
    """The message has the sizes; no data file is requested."""
    push_to(there, two, key=key)
    with pytest.MonkeyPatch.context() as patch:
        usage = shutil.disk_usage(there)._replace(free=16 << 20)
        patch.setattr("store.pull.shutil.disk_usage", lambda _: usage)
        with pytest.raises(ReplicaError, match=r"16\.\d MB are needed, but 16\.8 MB are free"):
            pull_from(server.url, node, settings)
    assert not any(path.endswith(("mdb", "ann")) for path in server.requested)
    assert pull_from(server.url, node, settings).is_current


def test_a_transfer_that_drips_is_stopped():
    """Fewer than 1,024 bytes a second on average, after the first minute."""
    now = [0.0]
    limit = TransferLimit("http://host/CURRENT", 1 << 30, lambda: now[0])
    for now[0] in range(61):
        limit.relative_update(1)
    now[0] = 61.0
    with pytest.raises(ReplicaError, match="CURRENT: sent 62 bytes in 61 s"):
        limit.relative_update(1)


def test_a_transfer_over_a_slow_line_goes_on():
    """The twin: 2 kB a second for an hour."""
    now = [0.0]
    limit = TransferLimit("http://host/recs.mdb", 1 << 30, lambda: now[0])
    for now[0] in range(1, 3600):
        limit.relative_update(2048)


def test_a_token_in_the_query_is_sent_and_not_shown(two, there, node, server):
    """It follows each file's name; neither errors nor the journal have it."""
    push_to(there, two)
    url = f"{server.url}/?token=secret"
    pull_from(url, node)
    assert {path.partition("?")[2] for path in server.requested} == {"token=secret"}
    assert "secret" not in (node / "JOURNAL").read_text()
    server.attacks = {"/CURRENT?token=secret": status(500)}
    with pytest.raises(ReplicaError, match="HTTP status 500") as caught:
        pull_from(url, node)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "is_plain"),
    [
        ("http://builder/m", True),
        ("http://192.0.2.1:8000/m", True),
        ("https://builder/m", False),
        ("http://127.0.0.1:8000/m", False),
        ("http://[::1]:8000/m", False),
        ("/mnt/m", False),
    ],
)
def test_plain_http_from_another_host_is_recognised(url, is_plain):
    """Nothing is connected to."""
    assert Remote(url).is_plain_http == is_plain


@pytest.mark.parametrize("is_trusting", [False, True])
def test_a_pull_over_plain_http_warns_once(monkeypatch, capsys, node, is_trusting, key):
    """Without trusted keys; also with --watch, which polls again and again."""
    from store.commands import replica

    trusted = f'["{key.public}"]' if is_trusting else "[]"
    monkeypatch.setenv("MARQUEE_STORE_TRUSTED_KEYS", trusted)
    monkeypatch.setattr(replica, "watch", lambda *_, **__: sys.exit(0))
    monkeypatch.setattr(replica, "_exit_at_a_signal", lambda: None)
    lines = []
    monkeypatch.setattr(logging.getLogger(replica.__name__), "warning", lambda *a: lines.append(a))
    from store.__main__ import main

    with pytest.raises(SystemExit):
        main(["--store", str(node), "pull", "http://ann:secret@builder.invalid/m", "--watch=1"])
    assert len(lines) == (0 if is_trusting else 1)
    assert "secret" not in str(lines)


# --watch


@pytest.fixture
def watching(node, server, key, tmp_path):
    """`pull --watch` in a process of its own, which trusts `key`; its log is a file."""
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "store", "--store", node, "pull", server.url, "--watch=0.05"],
            cwd=ROOT,
            env=_environ({"MARQUEE_STORE_TRUSTED_KEYS": f'["{key.public}"]'}),
            stderr=file,
        )
    yield process, log
    process.kill()
    process.wait()


def wait_until(is_true):
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_watch_lives_through_all_attacks(two, there, node, server, key, watching):
    """One line each, without content; what is pushed afterwards is pulled."""
    process, log = watching
    push_to(there, two, 1, key)
    wait_until(lambda: current_or_none(node) == 1)
    older = shutil.copytree(there, there.with_name("older"))
    push_to(there, two, key=key)
    wait_until(lambda: current_or_none(node) == 2)
    wait_until(functools.partial(_has_polled, server))
    before = state(node)
    attacks = [endless_body, page, status(500), redirect_to("http://localhost:9"), gzip_bomb]
    for attack in attacks:
        n_lines = log.read_text().count("\n")
        server.attacks = {"/CURRENT.sig": attack}
        wait_until(functools.partial(_has_lines, log, n_lines + 1))
        server.attacks = {}
        wait_until(functools.partial(_has_polled, server))
    server.folder = older
    wait_until(lambda: "is lower than" in log.read_text())
    assert state(node) == before
    assert process.poll() is None
    server.folder = there
    take_down(two, ["c"], "rights ended")
    make_snapshot(two, {"ann": ["a"]}, ["b"])
    push_to(there, two, key=key)
    wait_until(lambda: current_or_none(node) == 3)
    assert list(takedowns(node)) == ["c"]
    process.terminate()
    assert process.wait(TIMEOUT_SECONDS) == 0
    lines = log.read_text().splitlines()
    errors = [line for line in lines if " ERROR " in line]
    assert all(f" {server.url}" in line for line in errors)
    for what in (
        "is larger than",
        "its signature file cannot be read",
        "HTTP status 500",
        "redirects to another host",
        "compresses its answers",
        "is lower than",
    ):
        assert sum(what in line for line in errors) == 1
    assert MARK not in log.read_text()
    assert "Traceback" not in log.read_text()


def _has_lines(log, n_lines):
    return log.read_text().count("\n") >= n_lines


def _has_polled(server, n_polls=2):
    """Wait until honest polls have ended: each asks for the checksums last."""
    server.requested.clear()
    wait_until(lambda: sum(path.endswith("/SHA256SUMS") for path in server.requested) >= n_polls)
    return True
