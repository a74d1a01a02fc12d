"""The speed layer over its life: replays, restarts, folded days, publishes, roll-backs."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batch.events.day_files import all_files, grouped_by_day
from batch.models.choose import recommender
from batch.rules.settings import RuleSettings
from store.assignment import Assignment
from store.errors import StoreBusyError
from store.fresh import FreshWriter, fresh_file, fresh_lock
from store.locks import locked
from store.manifest import sha256
from store.publish import publish
from stream.__main__ import main
from stream.collect.folder import CollectorFolder
from stream.collect.folding import fold_day
from stream.fresh.layer import SpeedLayer
from stream.fresh.metrics import FreshMetrics
from stream.fresh.new_files import NewFiles
from stream.fresh.settings import FreshSettings
from tests.serve.server import wait_until
from tests.stream.fresh_snapshots import (
    SETTINGS,
    World,
    expected_lists,
    made_events,
    made_items,
    write_segment,
    write_snapshot,
)
from tests.stream.test_fresh_lists import fresh_lists, latest_of, run_layer

LAYER = FreshSettings(metrics_port=0)
ROOT = Path(__file__).resolve().parents[2]


class Service:
    """A store with a snapshot, and the partitions that it was made from."""

    def __init__(self, folder):
        self.store, self.events = folder / "store", folder / "events"
        settings = dataclasses.replace(SETTINGS, model="ials")
        self.world = World(made_items(), settings, RuleSettings(availability=False))
        self.read = made_events(3, 0, 7)
        write_segment(self.events, self.read, None)
        self.refresh()

    def refresh(self, more=None):
        """Publish a snapshot of everything in the partitions."""
        self.read = self.read + more if more else self.read
        interactions = self.world.interactions(self.read)
        model = recommender("ials", self.world.settings).fit(interactions.weights, n_threads=1)
        self.lists = write_snapshot(
            self.store, self.world, model, interactions, inputs=self.inputs()
        )

    def inputs(self):
        files = sorted(self.events.rglob("*.parquet"))
        return [
            {
                "name": file.name, "kind": "Parquet", "rejected": 0,
                "bytes": file.stat().st_size, "sha256": sha256(file),
            }
            for file in files
        ]  # fmt: skip

    def expected(self, more, generation=1):
        """Return the lists of everything read and more, by one of the snapshots."""
        latest = latest_of(self.world, self.read)
        return expected_lists(
            self.store, self.world, self.read + more, latest, generation=generation
        )


@pytest.fixture
def service(tmp_path):
    return Service(tmp_path)


def check(service, more, users, generation=1):
    expected = service.expected(more, generation)
    assert fresh_lists(service.store) == {user: expected[user] for user in users}


def users_of(*events):
    return {
        name.encode()
        for some in events
        for table in (some.views, some.ratings)
        for name in table["user_id"].to_pylist()
    }


FIRST = made_events(7, 7, 1, users=range(12), n_events=40)
SECOND = made_events(8, 7, 1, users=range(6, 42), n_events=60)


def test_what_the_snapshot_has_read_is_not_read_again(service):
    """Its files, by their hashes; without new events there is no fresh list."""
    inputs = service.inputs()
    assert NewFiles(service.events, inputs).look() == []
    assert len(NewFiles(service.events, inputs[1:]).look()) == 1
    assert run_layer(service.store, service.events) == 0
    assert fresh_lists(service.store) == {}


def test_segments_add_up(service):
    """A list has all events since the snapshot, whichever segment they lie in."""
    write_segment(service.events, FIRST, 1)
    run_layer(service.store, service.events)
    write_segment(service.events, SECOND, 2)
    run_layer(service.store, service.events)
    changed = users_of(FIRST, SECOND) & fresh_lists(service.store).keys()
    assert len(changed) > 30
    check(service, FIRST + SECOND, changed)


def test_reading_again_changes_nothing(service):
    """After a restart, after a day was folded anew, and from copies of the same events."""
    write_segment(service.events, FIRST, 1)
    run_layer(service.store, service.events)
    made = fresh_file(service.store).read_bytes()
    run_layer(service.store, service.events)
    write_segment(service.events, FIRST, 2)
    write_segment(service.events, service.read + FIRST, None)
    run_layer(service.store, service.events)
    assert fresh_file(service.store).read_bytes() == made


def test_a_damaged_history_is_made_again_from_all_events(service):
    """Those of the first segment too, although they were read before; in one run."""
    write_segment(service.events, FIRST, 1)
    run_layer(service.store, service.events)
    user = sorted(users_of(FIRST) & users_of(SECOND) & fresh_lists(service.store).keys())[0]
    with FreshWriter(service.store) as writer:
        [history] = writer.histories([user])
    content = fresh_file(service.store).read_bytes()
    assert history
    assert history in content
    damaged = history[:-1] + bytes([history[-1] ^ 1])
    fresh_file(service.store).write_bytes(content.replace(history, damaged))
    write_segment(service.events, SECOND, 2)
    run_layer(service.store, service.events)
    fresh = fresh_lists(service.store)
    assert user in fresh
    check(service, FIRST + SECOND, fresh.keys())


def test_lists_of_another_version_of_the_format_are_made_again(service):
    """As if they were of another generation."""
    write_segment(service.events, FIRST, 1)
    run_layer(service.store, service.events)
    made = fresh_lists(service.store)
    content = fresh_file(service.store).read_bytes()
    fresh_file(service.store).write_bytes(content.replace(b"format3", b"format2"))
    with FreshWriter(service.store) as writer:
        assert writer.assignment is None
    assert run_layer(service.store, service.events) > 0
    assert fresh_lists(service.store) == made
    with FreshWriter(service.store) as writer:
        assert writer.assignment == Assignment((1,))


def test_a_day_that_was_folded_before_it_was_read_is_read(service):
    """Its segments are gone, and its own file has another hash than the manifest says."""
    write_segment(service.events, service.read + FIRST, None)
    run_layer(service.store, service.events)
    users = fresh_lists(service.store).keys()
    assert len(users) > 5
    check(service, FIRST, users)


@pytest.mark.parametrize("n_read", [2, 1, 0])
def test_a_day_of_segments_that_were_read_is_not_read_again(service, n_read):
    """By the running layer; with one more segment, which it has not read, it is."""
    metrics = FreshMetrics()
    folder = CollectorFolder.make(service.events)
    with (
        FreshWriter(service.store) as writer,
        SpeedLayer(service.store, service.events, LAYER, writer, metrics) as layer,
    ):
        for number, events in enumerate((FIRST, SECOND), 1):
            if number == n_read + 1:
                step_to_end(layer)
            write_segment(service.events, events, number)
        if n_read == 2:
            step_to_end(layer)
        for files in grouped_by_day(path for _, path in all_files(service.events)):
            fold_day(folder, files)
        step_to_end(layer)
        n_days = metrics.registry.get_sample_value("marquee_fresh_files_total", {"part": "day"})
    assert bool(n_days) is (n_read < 2)
    changed = users_of(FIRST, SECOND) & fresh_lists(service.store).keys()
    assert len(changed) > 30
    check(service, FIRST + SECOND, changed)


def step_to_end(layer):
    while layer.step():
        pass


def test_a_publish_drops_what_it_contains_and_keeps_what_it_does_not(service):
    """The snapshot has read the first segment, and not the second."""
    write_segment(service.events, FIRST, 1)
    run_layer(service.store, service.events)
    service.refresh(FIRST)
    write_segment(service.events, SECOND, 2)
    run_layer(service.store, service.events)
    fresh = fresh_lists(service.store)
    assert not (users_of(FIRST) - users_of(SECOND)) & fresh.keys()
    check(service, SECOND, fresh.keys() & users_of(SECOND), generation=2)
    assert users_of(SECOND) - users_of(service.read) <= fresh.keys()


def test_after_a_roll_back_all_later_events_are_in_the_lists(service):
    """Those of the first segment too, which only the later snapshot has read."""
    read = service.read
    write_segment(service.events, FIRST, 1)
    service.refresh(FIRST)
    write_segment(service.events, SECOND, 2)
    run_layer(service.store, service.events)
    publish(service.store, 1, "test")
    run_layer(service.store, service.events)
    service.read = read
    check(service, FIRST + SECOND, fresh_lists(service.store).keys())
    with FreshWriter(service.store) as writer:
        assert writer.assignment == Assignment((1,))


def test_there_is_one_speed_layer(service):
    """A second one is refused while the first runs."""
    command = ["fresh", "--once", "--store", str(service.store), "--events", str(service.events)]
    with locked(fresh_lock(service.store)):
        assert main(command) == 1
        with pytest.raises(StoreBusyError), locked(fresh_lock(service.store)):
            pass
    write_segment(service.events, FIRST, 1)
    assert main(command) == 0
    assert fresh_lists(service.store)


def test_it_follows_until_it_is_told_to_stop(service, tmp_path):
    """As a process: killed in the middle it leaves whole lists, and another one goes on."""
    command = [sys.executable, "-m", "stream", "fresh", "--store", str(service.store)]
    environment = {**os.environ, "MARQUEE_FRESH_METRICS_PORT": "0", "PYTHONPATH": str(ROOT)}
    command += ["--events", str(service.events)]
    log = tmp_path / "fresh.log"
    for events, number, end in ((FIRST, 1, signal.SIGKILL), (SECOND, 2, signal.SIGTERM)):
        with log.open("w") as file:
            running = subprocess.Popen(command, env=environment, stderr=file, cwd=tmp_path)
        try:
            wait_until(lambda: "following" in log.read_text())
            before = fresh_file(service.store).stat().st_mtime_ns
            write_segment(service.events, events, number)
            wait_until(lambda was=before: fresh_file(service.store).stat().st_mtime_ns != was)
        finally:
            running.send_signal(end)
            assert running.wait(20) == (0 if end == signal.SIGTERM else -signal.SIGKILL)
    run_layer(service.store, service.events)
    users = fresh_lists(service.store).keys()
    check(service, FIRST + SECOND, users)
    assert len(users) > 30


def test_an_empty_store_has_no_fresh_lists(tmp_path):
    """Nor does a store whose snapshot has no files for folding in."""
    (tmp_path / "store").mkdir()
    assert run_layer(tmp_path / "store", tmp_path / "events") == 0
    assert fresh_lists(tmp_path / "store") == {}
