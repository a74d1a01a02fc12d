"""Shards of users: as nginx computes them, one at a time and in bulk."""

import contextlib
import http.client
import random
import shutil
import subprocess
from collections import Counter
from itertools import pairwise

import pytest

from batch.tables.shards import shards_of
from benchmarks.harness.servers import free_port
from store.ids import is_user_id
from store.shards import MAX_SHARDS, nginx_shares, shard_ends, shard_of
from tests.serve.server import wait_until

COUNTS = (*range(2, 17), MAX_SHARDS)
CHARACTERS = [chr(code) for code in range(33, 127) if is_user_id(chr(code))]


def random_ids(n_ids):
    """Return ids of all lengths and characters, the same in each run."""
    rng = random.Random(5)
    lengths = [1 + number % 64 for number in range(n_ids)]
    return ["".join(rng.choices(CHARACTERS, k=length)) for length in lengths]


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_a_users_shard_is_that_of_nginx(tmp_path):
    with nginx_splitting(tmp_path) as connection:
        for user_id in random_ids(640):
            connection.request("GET", "/", headers={"X-User": user_id})
            by_nginx = connection.getresponse().read().decode().split()
            own = [str(shard_of(user_id.encode(), n_shards)) for n_shards in COUNTS]
            assert by_nginx == own, user_id


@contextlib.contextmanager
def nginx_splitting(folder):
    """Start an nginx that answers with a user's shard for each number of shards."""
    splits = "\n".join(
        f"split_clients $http_x_user $of_{n_shards} {{ {parts(n_shards)} }}" for n_shards in COUNTS
    )
    answer = " ".join(f"$of_{n_shards}" for n_shards in COUNTS)
    port = free_port()
    (folder / "nginx.conf").write_text(f"""
        daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;
        events {{ }}
        http {{
            access_log off; keepalive_requests 100000; client_body_temp_path {folder}/body;
            {splits}
            server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{answer}"; }} }}
        }}""")
    process = subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf"])
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        wait_until(lambda: accepts(connection))
        yield connection
    finally:
        connection.close()
        process.terminate()
        process.wait()


def accepts(connection):
    with contextlib.suppress(ConnectionRefusedError):
        connection.connect()
        return True


def parts(n_shards):
    """Return the body of a `split_clients` block."""
    return " ".join(f"{share} {shard};" for shard, share in enumerate(nginx_shares(n_shards)))


@pytest.mark.parametrize("n_shards", [1, 3, 16, MAX_SHARDS])
def test_one_at_a_time_and_in_bulk_are_the_same(n_shards):
    ids = [user_id.encode() for user_id in random_ids(2_000)]
    shards = shards_of(ids, n_shards)
    assert shards.tolist() == [shard_of(user_id, n_shards) for user_id in ids]
    assert set(Counter(shards.tolist())) == set(range(n_shards))
    assert shards_of([], n_shards).tolist() == []


def test_shares_are_equal_within_a_hundredth_of_a_percent():
    for n_shards in COUNTS:
        ends = [0, *shard_ends(n_shards), 1 << 32]
        sizes = [end - begin for begin, end in pairwise(ends)]
        assert max(sizes) - min(sizes) < (1 << 32) / 9_999
    assert nginx_shares(3) == ["33.33%", "33.33%", "*"]
    assert nginx_shares(1) == ["*"]
