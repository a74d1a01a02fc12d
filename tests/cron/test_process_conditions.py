"""Conditions of other processes, by the `/metrics` of a real server and of the collector."""

import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import start_http_server

from cron.process_conditions import ProcessWatcher
from stream.collect.ledger_state import LedgerState
from stream.collect.metrics import CollectorMetrics
from stream.collect.source import Lag
from tests.serve.server import Server, flip_byte, force_current, wait_until
from tests.snapshots import make_snapshot

MINUTE = timedelta(minutes=1)


class Looks:
    """Looks at one process, each some minutes after the one before."""

    def __init__(self, address):
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self._watcher = ProcessWatcher([f"http://{address}/metrics"], 10, 60)
        self._address = address
        self.current = None

    def after(self, minutes):
        """Return the levels of a look, without the address in their names."""
        self.now += minutes * MINUTE
        found = [*self._watcher.conditions(self.now, self.current)]
        assert {one.name for one in found} <= self._watcher.names
        return {one.name.removesuffix(f" {self._address}"): one.level for one in found}


@pytest.fixture
def collector():
    """Yield the metrics of a collector, and looks at its port."""
    metrics = CollectorMetrics()
    http, thread = start_http_server(0, "127.0.0.1", metrics.registry)
    yield metrics, Looks(f"127.0.0.1:{http.server_port}")
    http.shutdown()
    http.server_close()
    thread.join()


def test_a_lag_is_an_alarm_once_it_has_lasted(collector):
    """For ten minutes beyond the limit; urgent at six times that; well again at once."""
    metrics, looks = collector

    def levels(minutes_behind, n_looks):
        lags = [Lag(("log", "0"), 9, 60.0 * minutes_behind), Lag(("log", "1"), 0, 0.0)]
        metrics.set_state(LedgerState(), lags, 0.0)
        return [looks.after(1).get("lag of") for _ in range(n_looks)]

    assert levels(0, 11) == [None] * 10 + [0]
    assert levels(20, 12) == [0] * 10 + [1, 1]
    assert levels(0, 2) == [0, 0]
    assert levels(90, 11)[-1] == 2


def test_lost_events_are_an_alarm_for_a_day(collector):
    """Those that were lost before the first look are not."""
    metrics, looks = collector
    metrics.set_state(LedgerState(gaps=[("log", "0", 1, 2)]), [], 0.0)
    assert "lost events at" not in looks.after(0)
    assert looks.after(24 * 60)["lost events at"] == 0
    metrics.set_state(LedgerState(gaps=[("log", "0", 1, 2), ("log", "0", 5, 9)]), [], 0.0)
    found = [looks.after(1), looks.after(23 * 60), looks.after(61)]
    assert [levels["lost events at"] for levels in found] == [1, 1, 0]


def test_a_server_with_dying_workers_a_refused_snapshot_and_no_answer(tmp_path):
    """Each is an alarm, and none of them in a healthy server."""
    store = tmp_path / "store"
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    make_snapshot(store, {"ann": ["brazil"]}, ["alien"], flip=False)
    with Server(store, tmp_path, "--workers", "3") as server:
        looks = Looks(f"{server.host}:{server.port}")
        assert looks.after(0) == {"no answer of": 0}
        well = {"no answer of": 0, "workers of": 0, "refused snapshot at": 0}
        assert looks.after(15) == well
        looks.current = 2  # where it is looked at from; it serves 1, as a replica without a pull
        assert [looks.after(m).get("generation of") for m in (0, 59, 1, 300)] == [None, None, 1, 2]
        looks.current = 1
        assert looks.after(1) == {**well, "generation of": 0}
        looks.current = None
        for _ in range(2):
            pids = server.wait_for_workers()
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            server.wait_for_workers(other_than=pids)
        flip_byte(store, 2)
        force_current(store, "2")
        wait_until(lambda: server.health()["status"] == "degraded")
        bad = wait_until(lambda: (found := looks.after(0.01))["refused snapshot at"] and found)
        assert bad == {"no answer of": 0, "workers of": 1, "refused snapshot at": 1}
        force_current(store, "1")
        wait_until(lambda: server.health()["status"] == "ok")
        looks.after(1)  # what was counted after the last look
        assert looks.after(16) == well
    assert [looks.after(minutes) for minutes in (4, 1, 60)] == [
        {"no answer of": level} for level in (0, 1, 2)
    ]


def test_counters_that_start_again_count_on(collector):
    """A process that was restarted has lost the events that it counts since."""
    metrics, looks = collector
    metrics.set_state(LedgerState(gaps=[("log", "0", 1, 2)] * 3), [], 0.0)
    looks.after(0)
    metrics.set_state(LedgerState(gaps=[("log", "0", 1, 2)]), [], 0.0)
    assert looks.after(1)["lost events at"] == 1
