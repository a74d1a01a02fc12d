"""Posted events: from the spool into partitions without loss, and from a POST to a fresh list."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest

from batch.events.parsed import RATINGS, VIEWS
from batch.events.positions import Positions
from benchmarks.harness.servers import free_port
from store.fresh import fresh_lock, read_summary
from store.locks import locked
from store.spool import Spool, SpoolLimits, spool_files, spool_folder
from stream.__main__ import main
from stream.collect.fresh_process import FreshProcess
from stream.collect.spool_source import SpoolSource
from tests.serve.server import ROOT, Server, environment, wait_until
from tests.serve.test_admin import ENVIRON, post
from tests.stream.collecting import (
    MAX_LINE_BYTES,
    all_rows,
    bulk_rows,
    collect_all,
    ledger_state,
    made_lines,
    opened,
    quarantined,
)
from tests.stream.fresh_snapshots import MadeEvents, _table
from tests.stream.test_fresh_layer import Service

LIMITS = SpoolLimits(max_mib=64, min_free_mib=0)


@pytest.fixture
def folder(tmp_path):
    return spool_folder(tmp_path)


@contextlib.contextmanager
def following(tmp_path, folder):
    with opened(tmp_path) as (collector, _):
        collector.sources.append(SpoolSource(folder, collector.ledger, collector, MAX_LINE_BYTES))
        yield collector


def appended(spool, lines):
    spool.append(b"".join(line + b"\n" for line in lines))


def torn(spool, folder, rng):
    """End a server in the middle of a write, and return the next one."""
    spool.close()
    spool._lock.close()
    if files := spool_files(folder):
        with files[-1].path.open("ab") as file:
            file.write(b"2026-03-01T00:00:07,1,GET /create_account"[: rng.randint(1, 40)])
    return Spool(folder, LIMITS)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_ends_in_between_nothing_is_lost_or_taken_twice(
    tmp_path, folder, monkeypatch, seed
):
    """Random steps: appended, the server killed, collected, flushed, the collector killed."""
    monkeypatch.setattr("store.spool._FILE_BYTES", 2_000)
    rng = random.Random(seed)
    lines = made_lines(400, seed, n_broken=9)
    left, spool = list(lines), Spool(folder, LIMITS)
    while left:
        with following(tmp_path, folder) as collector:
            for _ in range(rng.randint(3, 12)):
                step = rng.randint(0, 5)
                if step < 3:
                    n_lines = rng.randint(1, 30)
                    appended(spool, left[:n_lines])
                    del left[:n_lines]
                elif step == 3:
                    spool = torn(spool, folder, rng)
                elif step == 4:
                    collector.step()
                else:
                    collector.flush()
    with following(tmp_path, folder) as collector:
        collect_all(collector)
        collector.flush()
        collector.step()
    rows, rejected = bulk_rows(tmp_path, lines)
    state = ledger_state(tmp_path)
    assert (state.accepted + state.quarantined, state.quarantined) == (400, rejected.total())
    assert all_rows(tmp_path / "events") == rows
    assert len(quarantined(tmp_path)) == rejected.total()
    assert len(spool_files(folder)) == 1


def test_only_what_is_durable_is_removed(tmp_path, folder, monkeypatch):
    """Read is not enough: a file goes after the flush, and also where no line comes any more."""
    monkeypatch.setattr("store.spool._FILE_BYTES", 1)
    spool, lines = Spool(folder, LIMITS), made_lines(30)
    for number in range(3):
        appended(spool, lines[10 * number :][:10])
    with following(tmp_path, folder) as collector:
        collect_all(collector)
        assert len(spool_files(folder)) == 3
        assert [lag.n_messages for lag in collector.sources[0].lags()] == [0]
        collector.flush()
        collector.step()
        assert len(spool_files(folder)) == 1
    segment = next((tmp_path / "events").rglob("*.parquet"))
    assert 0 <= time.time() - Positions.of_file(segment).arrived_at < 60


# The whole way

AT = "2026-03-08T12:00:00"
USERS = ("u03", "u44")  # one with a list, and a new one
VIEWED = ("i07", "i11")


def posted():
    """Events of both users, as a body and as the batch would read them."""
    at = int(datetime.fromisoformat(AT).replace(tzinfo=UTC).timestamp())
    views = [(user, item, 80, 1, at, at) for user in USERS for item in VIEWED]
    ratings = [(user, "i20", 5.0, at) for user in USERS]
    events = [
        *({"type": "view", "user_id": user, "item_id": item, "minute": 80, "at": AT}
          for user in USERS for item in VIEWED),
        *({"type": "rating", "user_id": user, "item_id": "i20", "rating": 5, "at": AT}
          for user in USERS),
    ]  # fmt: skip
    body = "\n".join(map(json.dumps, events))
    return body, MadeEvents(_table(VIEWS, views), _table(RATINGS, ratings))


@contextlib.contextmanager
def collecting(tmp_path, service, port):
    """Run `python -m stream collect --fresh`."""
    config = tmp_path / "marquee.toml"
    config.write_text(
        f'[stream]\nevents = "{service.events}"\nflush_seconds = 0.1\nmetrics_port = 0\n'
        f"min_free_mib = 0.0\n[fresh]\nmetrics_port = {port}\npoll_seconds = 0.05\n"
        f'[batch]\nquarantine = "{tmp_path / "quarantine"}"\n'
        f'user_pattern = "u[0-9]+"\nitem_pattern = "i[0-9]+"\n[store]\npath = "{service.store}"\n'
    )
    command = [sys.executable, "-m", "stream", "collect", "--fresh", "--config", str(config)]
    with (tmp_path / "stream.log").open("a") as log:
        running = subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=log)
    try:
        yield running, config
    finally:
        if running.poll() is None:
            running.terminate()
        running.wait(30)


def is_free(path):
    with contextlib.suppress(Exception), locked(path):
        return True
    return False


def children(pid):
    """Return the children of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def test_from_a_post_to_a_fresh_list(tmp_path, capsys):
    """The lists of a known and of a new user are those that the batch would make.

    Then the speed layer is killed, and started again by the collector; then the collector is
    killed, and the speed layer ends.
    """
    service = Service(tmp_path)
    body, events = posted()
    expected = service.expected(events)
    with Server(
        service.store, tmp_path, "--workers", "1", nginx=True, **ENVIRON,
        MARQUEE_SERVE_SPOOL_MIN_FREE_MIB="0",
    ) as server:  # fmt: skip
        wait_until(lambda: server.health()["generation"] == 1)
        port = free_port()
        with collecting(tmp_path, service, port) as (collector, config):
            assert post(server, "/events", body).status == 202
            for user in USERS:
                wait_until(lambda u=user: server.get(f"/recommend/{u}").source == "fresh")
                wait_until(
                    lambda u=user: server.get(f"/recommend/{u}").body == expected[u.encode()][0]
                )
            assert main(["status", "--config", str(config), "--json"]) == 0
            status = json.loads(capsys.readouterr().out)
            assert (status["accepted"], status["fresh"]["is_running"]) == (6, True)
            assert (status["fresh"]["generation"], status["fresh"]["users"]) == (1, 2)
            assert 0 <= time.time() - status["fresh"]["newest_at"] < 60

            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                lines = answer.read().decode().splitlines()
            metrics = dict(line.rsplit(" ", 1) for line in lines if "_fresh_" in line)
            assert float(metrics["marquee_fresh_event_seconds_count"]) >= 1
            assert 0.1 < float(metrics["marquee_fresh_event_seconds_sum"]) < 60
            assert 0 <= time.time() - float(metrics["marquee_fresh_newest_list_seconds"]) < 60

            log = tmp_path / "stream.log"
            (layer,) = children(collector.pid)
            os.kill(layer, signal.SIGKILL)
            wait_until(lambda: "collecting continues" in log.read_text())
            assert post(server, "/events", body.replace("u03", "u05")).status == 202
            wait_until(lambda: server.get("/recommend/u05").source == "fresh")
            collector.kill()
            wait_until(lambda: is_free(fresh_lock(service.store)))
    assert read_summary(service.store).n_lists == 3


def test_a_child_that_cannot_be_started_is_tried_again(caplog):
    """And one that ends; leaving the `with` ends one that runs."""
    for command, why in (
        (["/nonexistent/python"], "cannot be started"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "ended with status 3"),
    ):
        caplog.clear()
        with FreshProcess(command, min_pause_seconds=0.01):
            wait_until(lambda w=why: caplog.text.count(w) > 1)
    began = time.monotonic()
    with FreshProcess([sys.executable, "-c", "import time; time.sleep(600)"]):
        pass
    assert time.monotonic() - began < 60
