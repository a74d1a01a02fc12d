"""Push and pull through real servers on this machine: Python's HTTP server, and moto's S3."""

import contextlib
import functools
import http.server
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from store.layout import DATA_FILES, MANIFEST, REPORT_FILES, snapshot_folder
from store.pointer import current
from store.prune import prune
from store.publish import rollback, writing
from store.signing import make_key
from store.takedown import take_down, takedowns
from tests.snapshots import make_snapshot
from tests.store.conftest import ROOT
from tests.store.replicas import snapshot_files

pytestmark = pytest.mark.alone
N_ROUNDS = 4  # of the kill test
# moto accepts any signature
_AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=here/20260101/us-east-1/s3/aws4_request"
BIG = b"a large index" * 1_500_000  # 20 MB


@pytest.fixture
def marquee():
    """Return a function that runs `python -m store --store …` with the keys of the S3 server."""

    def run(store, *arguments, **environ):
        return subprocess.run(
            [sys.executable, "-m", "store", "--store", store, *map(str, arguments)],
            cwd=ROOT,
            env=_environ(environ),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def _environ(given):
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("MARQUEE_")}
    return inherited | {"AWS_ACCESS_KEY_ID": "here", "AWS_SECRET_ACCESS_KEY": "only"} | given


def output_of(done):
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# HTTP


class Server(http.server.ThreadingHTTPServer):
    """An HTTP server of the directory `there`; it records the requested names."""

    def __init__(self, there):
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=there))
        self.there = there
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.requested: list[str] = []
        self.torn: set[str] = set()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a directory, and truncates the files that are named in `torn`."""

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        assert isinstance(self.server, Server)
        self.server.requested.append(name)
        if name not in self.server.torn:
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(b"half of it")

    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path):
    """A directory behind a real HTTP server."""
    there = tmp_path / "there"
    there.mkdir()
    with Server(there) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_node_pulls_over_http(two, node, served, marquee):
    """Snapshot and takedowns arrive byte for byte."""
    take_down(two, ["c"], "rights ended")
    output_of(marquee(two, "push", served.there))
    assert output_of(marquee(node, "pull", served.url)) == "generation 2 is current\n"
    assert snapshot_files(node, 2) == snapshot_files(two, 2)
    assert takedowns(node) == takedowns(two)


def test_an_interrupted_download_is_continued(two, node, served, marquee):
    """An error and no current generation; the next pull requests the missing file."""
    output_of(marquee(two, "push", served.there))
    served.torn.add("recs.mdb")
    done = marquee(node, "pull", served.url)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert not (node / "CURRENT").exists()
    served.torn.clear()
    served.requested.clear()
    output_of(marquee(node, "pull", served.url))
    pointers = ["CURRENT", "TAKEDOWN", "EXPERIMENT"]
    assert served.requested == [*pointers, "SHA256SUMS", "recs.mdb", *REPORT_FILES]
    assert snapshot_files(node, 2) == snapshot_files(two, 2)


def test_push_over_http_is_refused(two, served, marquee):
    """One line on standard error."""
    done = marquee(two, "push", served.url)
    assert done.returncode == 1
    assert "can only be pulled from" in done.stderr


@pytest.fixture
def closed_port():
    """A port without a listener."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_server_that_is_down_is_one_line(node, marquee, closed_port):
    """Status 1; the password in the URL is not shown."""
    done = marquee(node, "pull", f"http://ann:secret@127.0.0.1:{closed_port}/marquee")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Cannot connect" in done.stderr
    assert "secret" not in done.stderr


def test_watching_continues_after_errors(two, node, served):
    """Equal errors are logged once, and the first push is pulled."""
    process = subprocess.Popen(
        [sys.executable, "-m", "store", "--store", node, "pull", served.url, "--watch=0.05"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not served.requested:
            time.sleep(0.01)
        make_snapshot(served.there, {"ann": ["a"]}, ["b"])  # the directory is a store itself
        deadline = time.monotonic() + 60
        while not (node / "CURRENT").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.terminate()
        _, log = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "Traceback" not in log
    assert log.count("nothing has been pushed there yet") == 1


# S3


class Bucket:
    """A bucket of an S3 server, read and written over plain HTTP."""

    def __init__(self, endpoint, name):
        self.endpoint, self.name = endpoint, name
        self.url = f"s3://{name}/marquee"
        self._request("PUT", "", b"")

    def get(self, name):
        return self._request("GET", f"/marquee/{name}", None)

    def put(self, name, data):
        self._request("PUT", f"/marquee/{name}", data)

    def remove(self, name):
        self._request("DELETE", f"/marquee/{name}", None)

    def has(self, name):
        try:
            self.get(name)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return False
        return True

    def _request(self, method, path, data):
        url = f"{self.endpoint}/{self.name}{path}"
        request = urllib.request.Request(url, data=data, method=method)
        request.add_header("Authorization", _AUTHORIZATION)
        request.add_header("Content-Type", "application/octet-stream")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()


@pytest.fixture(scope="module")
def s3():
    """The address of an S3 server for these tests."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(endpoint, timeout=5):
                break
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield endpoint
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def bucket(s3, request):
    """A new bucket."""
    return Bucket(s3, f"bucket-{abs(hash(request.node.name))}")


@pytest.fixture
def with_s3(marquee, s3):
    """`marquee`, with the server's address in its environment."""
    return functools.partial(marquee, AWS_ENDPOINT_URL=s3)


def test_a_node_pulls_over_s3(two, node, bucket, with_s3):
    """Byte for byte; a second push sends takedowns and the report alone."""
    output_of(with_s3(two, "push", bucket.url))
    assert output_of(with_s3(node, "pull", bucket.url)) == "generation 2 is current\n"
    assert snapshot_files(node, 2) == snapshot_files(two, 2)
    take_down(two, ["c"], "rights ended")
    (snapshot_folder(two, 2) / "report.html").write_text("<p>made again")
    assert output_of(with_s3(two, "push", bucket.url)).endswith("; 0.0 MB sent\n")
    output_of(with_s3(node, "pull", bucket.url))
    assert takedowns(node) == takedowns(two)
    assert snapshot_files(node, 2) == snapshot_files(two, 2)


def test_a_node_pulls_two_shards_over_s3(store, node, bucket, with_s3):
    """The objects of the other shards may be missing; nothing else may."""
    for prefix in ("a", "b"):
        lists = {f"user{number}": [f"{prefix}{number}"] for number in range(40)}
        make_snapshot(store, lists, ["b1"], n_shards=4)
    output_of(with_s3(store, "push", bucket.url, "--generation", 1))
    bucket.remove("snapshots/000001/recs.03.mdb")
    shards = {"MARQUEE_REPLICA_SHARDS": "0,2"}
    assert output_of(with_s3(node, "pull", bucket.url, **shards)) == "generation 1 is current\n"
    away = {"recs.01.mdb", "recs.03.mdb"}
    expected = snapshot_files(store, 1).keys() - away | {"SHARDS"}
    assert snapshot_files(node, 1).keys() == expected
    assert with_s3(node, "pull", bucket.url).returncode == 1  # all are wanted, and one is missing
    output_of(with_s3(store, "push", bucket.url))
    output_of(with_s3(node, "pull", bucket.url, **shards))
    assert current(node) == 2
    whole, partial = snapshot_files(store, 2), snapshot_files(node, 2)
    assert partial == {name: whole[name] for name in whole if name not in away} | {
        "SHARDS": b"0,2\n"
    }


def test_a_signed_replica_over_s3(two, node, bucket, with_s3, tmp_path):
    """The node trusts the key; an unsigned or exchanged pointer is refused."""
    make_key(tmp_path / "push.key")
    signing = {"MARQUEE_STORE_SIGNING_KEY": str(tmp_path / "push.key")}
    trusting = {"MARQUEE_STORE_TRUSTED_KEYS": f'["{tmp_path}/push.key.pub"]'}
    output_of(with_s3(two, "push", bucket.url))
    done = with_s3(node, "pull", bucket.url, **trusting)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "CURRENT: is not signed" in done.stderr
    output_of(with_s3(two, "push", bucket.url, **signing))
    output_of(with_s3(node, "pull", bucket.url, **trusting))
    assert snapshot_files(node, 2) == snapshot_files(two, 2)
    bucket.put("CURRENT", b"1\n")
    done = with_s3(node, "pull", bucket.url, **trusting)
    assert "CURRENT: its signature is over another file or content" in done.stderr
    assert current(node) == 2


def test_an_object_that_is_too_large_is_not_fetched(two, node, bucket, with_s3):
    """Neither a small file nor a data file; the size in the manifest is the limit."""
    output_of(with_s3(two, "push", bucket.url))
    bucket.put("snapshots/000002/items.ann", b"x" * 1_000_000)
    done = with_s3(node, "pull", bucket.url)
    assert "items.ann: is larger than the 12 bytes that it may have" in done.stderr
    bucket.put("CURRENT", b"2" * 1_000_000)
    done = with_s3(node, "pull", bucket.url)
    assert "CURRENT: is larger than the 64 bytes that it may have" in done.stderr
    assert not (node / "CURRENT").exists()


def test_rollback_and_prune_over_s3(two, node, bucket, with_s3):
    """The node follows the rollback; pruned snapshots are removed from the bucket."""
    for generation in (1, 2):
        output_of(with_s3(two, "push", bucket.url, "--generation", generation))
    rollback(two, "lists of 2 look wrong")
    output_of(with_s3(two, "push", bucket.url))
    output_of(with_s3(node, "pull", bucket.url))
    assert current(node) == 1
    make_snapshot(two, {"ann": ["a"]}, ["b"])
    with writing(two):
        assert prune(two, keep=1) == [1, 2]
    assert output_of(with_s3(two, "push", bucket.url)).endswith("pruned there: 1, 2\n")
    assert not bucket.has("snapshots/000002/recs.mdb")
    assert bucket.has("manifests/000002.json")
    output_of(with_s3(node, "pull", bucket.url))
    assert current(node) == 3


def test_a_corrupt_object_never_becomes_current(two, node, bucket, with_s3):
    """The error names it; after its repair it is pulled."""
    output_of(with_s3(two, "push", bucket.url))
    name = "snapshots/000002/recs.mdb"
    sound = bucket.get(name)
    bucket.put(name, sound[:-1] + b"x")
    done = with_s3(node, "pull", bucket.url)
    assert done.returncode == 1
    assert f"{name}: does not match its SHA256SUMS" in done.stderr
    assert not (node / "CURRENT").exists()
    bucket.put(name, sound)
    output_of(with_s3(node, "pull", bucket.url))


def test_a_missing_bucket_is_not_created(two, s3, with_s3):
    """One line on standard error."""
    done = with_s3(two, "push", "s3://mistyped/marquee")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    with pytest.raises(urllib.error.HTTPError), urllib.request.urlopen(f"{s3}/mistyped"):
        pass


def test_a_killed_push_to_s3_leaves_a_complete_snapshot(two, node, bucket, with_s3, s3):
    """SIGKILL at random times: the pointer names a complete snapshot, and the next push works."""
    rng = random.Random("kill")
    make_snapshot(two, {"ann": ["a"]}, ["b"], index=BIG)
    for _ in range(N_ROUNDS):
        process = subprocess.Popen(
            [sys.executable, "-m", "store", "--store", two, "push", bucket.url],
            cwd=ROOT,
            env=_environ({"AWS_ENDPOINT_URL": s3}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.6, 1.5))
        process.kill()
        process.wait()
        if bucket.has("CURRENT"):
            assert all(bucket.has(f"snapshots/000003/{n}") for n in (MANIFEST, *DATA_FILES))
            assert bucket.has("snapshots/000003/SHA256SUMS")
    output_of(with_s3(two, "push", bucket.url))
    output_of(with_s3(node, "pull", bucket.url))
    assert snapshot_files(node, 3) == snapshot_files(two, 3)
