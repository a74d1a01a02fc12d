"""Shards of users: as nginx computes them, one at a time and in bulk."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from batch.tables.shards import shards_of
from benchmarks.harness.servers import free_port
from store.ids import is_user_id
from store.shards import MAX_SHARDS, nginx_shares, shard_ends, shard_of
from tests.nginx_process import running_nginx

COUNTS = (*range(2, 17), MAX_SHARDS)
CHARACTERS = [chr(code) for code in range(33, 127) if is_user_id(chr(code))]


def random_ids(n_ids):
    """Return ids of all lengths and characters, the same in each run."""
    rng = random.Random(5)
    lengths = [1 + number % 64 for number in range(n_ids)]
    return ["".join(rng.choices(CHARACTERS, k=length)) for length in lengths]


def test_a_users_shard_is_that_of_nginx(tmp_path):
    port = free_port()
    splits = "\n".join(
        f"split_clients $http_x_user $of_{n_shards} {{ {parts(n_shards)} }}" for n_shards in COUNTS
    )
    answer = " ".join(f"$of_{n_shards}" for n_shards in COUNTS)
    server = f'server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{answer}"; }} }}'
    with running_nginx(tmp_path, port, f"keepalive_requests 100000; {splits} {server}") as nginx:
        for user_id in random_ids(640):
            nginx.request("GET", "/", headers={"X-User": user_id})
            by_nginx = nginx.getresponse().read().decode().split()
            own = [str(shard_of(user_id.encode(), n_shards)) for n_shards in COUNTS]
            assert by_nginx == own, user_id


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
