"""`/metrics`: exact sums over all workers, in the format of Prometheus."""

import os
import signal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from store.layout import snapshot_folder
from store.takedown import take_down
from tests.serve.code_copy import CodeCopy
from tests.serve.server import ask, flip_byte, force_current, wait_until
from tests.snapshots import make_snapshot

N_REQUESTS = 30  # of each target, on connections that both workers share
EXPECTED_KINDS = {
    "/recommend/ann": ("list", "200"),
    "/recommend/ann?n=1": ("list", "200"),
    "/recommend/zoe": ("popular", "200"),
    "/recommend/bob": ("segment", "200"),
    "/recommend/zoe?history=east+1": ("history", "200"),
    "/similar/alien": ("similar", "200"),
    "/model/status": ("other", "200"),
    "/recommend/a,b": ("error", "400"),
    "/similar/never+seen": ("error", "404"),
    "/nowhere": ("error", "404"),
}


@pytest.fixture
def serve(serve, tmp_path):
    """Start servers whose metrics are never those of a second ago."""
    code = CodeCopy(tmp_path / "code")
    code.change("serve/resources/metrics.py", "_SECONDS: Final = 1.0", "_SECONDS: Final = 0.0")
    return lambda *options, **more: serve(*options, **code.environ, **more)


@pytest.fixture
def stocked(store):
    make_snapshot(
        store,
        {"ann": ["alien"]},
        ["brazil"],
        segments={"F": ["diva"]},
        profiles={"bob": "F"},
        vectors={f"east+{n}": [1.0, n / 10] for n in range(5)},
    )
    return store


def samples(server):
    """Return every value by name and labels."""
    families = text_string_to_metric_families(server.get("/metrics").text)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(server, name):
    return samples(server)[name,]


def counted(found, name="marquee_requests_total"):
    """Return a sample's values by source and status."""
    return {
        (labels["source"], labels["status"]): n
        for (sample, *pairs), n in found.items()
        if sample == name and (labels := dict(pairs))
    }


def difference(after, before):
    return {key: n - before.get(key, 0) for key, n in after.items() if n != before.get(key, 0)}


def send_all(server):
    for worker in server.wait_for_workers():  # so that both have counted
        with server.connect_to(worker) as connection:
            for target in EXPECTED_KINDS:
                for _ in range(N_REQUESTS // 2):
                    ask(connection, target)


def expected():
    sums: dict[tuple[str, str], int] = {}
    for kind in EXPECTED_KINDS.values():
        sums[kind] = sums.get(kind, 0) + N_REQUESTS
    return sums


def settled(server):
    """Return the samples once they include every earlier answer."""
    server.wait_for_ticks()
    return samples(server)


def test_requests_are_counted_exactly_over_all_workers(serve, stocked):
    """By source and status, whichever worker is scraped."""
    server = serve("--workers", "2")
    server.wait_for_generation(1)
    before = counted(settled(server))
    send_all(server)

    moved = difference(counted(settled(server)), before)

    others = 1 + server.n_workers  # the scrape before, and what `connect_to` asks of each worker
    assert moved == {**expected(), ("other", "200"): N_REQUESTS + others}


def test_the_histogram_counts_every_request_once(serve, stocked):
    """Its count is the counter's value, its buckets never fall, its sum is a time.

    Of the lists that are one lookup it takes every 16th of each worker, the first included.
    """
    server = serve("--workers", "2")
    server.wait_for_generation(1)
    send_all(server)
    found = settled(server)
    counter = {kind: n for kind, n in counted(found).items() if n}

    assert {*expected()} <= counter.keys()
    timed = counted(found, "marquee_request_seconds_count")
    n_lists, n_timed_lists = counter.pop(("list", "200")), timed.pop(("list", "200"))
    assert timed == counter
    assert n_lists // 16 <= n_timed_lists < n_lists
    for source, status in counter:
        labels = ("source", source), ("status", status)
        buckets = sorted(
            (float(dict(pairs)["le"]), n)
            for (name, *pairs), n in found.items()
            if name == "marquee_request_seconds_bucket" and set(labels) <= set(pairs)
        )
        counts = [n for _, n in buckets]
        assert counts == sorted(counts)
        assert buckets[-1] == (float("inf"), counter[source, status])
        seconds = found["marquee_request_seconds_sum", *labels]
        assert 0 < seconds < counter[source, status] * 10


@pytest.mark.parametrize("behind_nginx", [False, True], ids=["bare", "behind_nginx"])
def test_metrics_are_prometheus_text(serve, stocked, behind_nginx):
    """The parser reads them, and every name begins with marquee_."""
    server = serve("--workers", "1", nginx=behind_nginx)
    server.wait_for_generation(1)
    answer = server.get("/metrics")

    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    families = [*text_string_to_metric_families(answer.text)]
    assert all(f.name.startswith("marquee_") and f.documentation for f in families)
    assert {f.name: f.type for f in families}.items() >= {
        "marquee_requests": "counter",
        "marquee_request_seconds": "histogram",
        "marquee_generation": "gauge",
        "marquee_snapshot_age_seconds": "gauge",
        "marquee_takedowns": "gauge",
        "marquee_respawns": "counter",
        "marquee_swaps": "counter",
        "marquee_refusals": "counter",
    }.items()


def test_a_respawn_is_counted_and_counts_stay(serve, stocked):
    """The new worker continues the counts of its slot."""
    server = serve("--workers", "2")
    server.wait_for_generation(1)
    send_all(server)
    before = settled(server)
    assert before["marquee_respawns_total",] == 0

    [victim, _] = old = server.wait_for_workers()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in server.workers())
    server.wait_for_workers(other_than=[victim])

    assert len({*server.workers()} & {*old}) == 1
    assert value(server, "marquee_respawns_total") == 1
    after = counted(samples(server))
    assert all(after[kind] >= n for kind, n in counted(before).items() if n)


def test_swaps_and_refusals_are_counted(serve, stocked):
    """A swap for each served snapshot, a refusal for the damaged one."""
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    swaps = value(server, "marquee_swaps_total")
    make_snapshot(stocked, {"ann": ["diva"]}, ["brazil"])
    server.wait_for_generation(2)

    assert value(server, "marquee_swaps_total") == swaps + 1
    assert value(server, "marquee_generation") == 2
    assert value(server, "marquee_refusals_total") == 0
    assert value(server, "marquee_problem") == 0

    make_snapshot(stocked, {"ann": ["zulu"]}, ["brazil"], flip=False)
    flip_byte(stocked, 3)
    force_current(stocked, "3")
    wait_until(lambda: value(server, "marquee_refusals_total") == 1)
    assert value(server, "marquee_generation") == 2
    assert value(server, "marquee_swaps_total") == swaps + 1
    assert value(server, "marquee_problem") == 1


def test_sizes_on_the_disk(serve, stocked):
    """The bytes of the served snapshot's files, and room beside them; another one is larger."""
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    small = value(server, "marquee_snapshot_bytes")
    assert small == sum(file.stat().st_size for file in snapshot_folder(stocked, 1).iterdir())
    assert value(server, "marquee_disk_free_bytes") > 0

    make_snapshot(stocked, {f"user{n}": [f"item{n}"] for n in range(5_000)}, ["brazil"])
    server.wait_for_generation(2)
    assert value(server, "marquee_snapshot_bytes") > small


def test_takedowns_are_counted(serve, stocked):
    """The gauge is the number of items taken down."""
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    assert value(server, "marquee_takedowns") == 0
    take_down(stocked, ["alien", "diva"], "licence ended")

    wait_until(lambda: value(server, "marquee_takedowns") == 2)


def test_an_empty_store_has_metrics(serve):
    """Generation 0, and the 503 among the requests."""
    server = serve("--workers", "1")
    server.get("/recommend/ann")
    wait_until(lambda: counted(samples(server))["error", "503"] == 1)

    assert value(server, "marquee_generation") == 0
    assert value(server, "marquee_problem") == 1


def test_the_snapshots_age_is_in_seconds(serve, stocked):
    """It grows by the seconds between two scrapes."""
    server = serve("--workers", "1")
    server.wait_for_generation(1)

    assert value(server, "marquee_snapshot_age_seconds") > 86_400
