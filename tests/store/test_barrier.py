"""Replicas with a barrier flip together; a rollback, takedowns and a dead replica do not wait."""

import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.arms import start_experiment, stop_experiment
from store.barrier import flip_time
from store.errors import ConfigError, ReplicaError
from store.experiment import read_experiment
from store.pointer import current, current_or_none
from store.publish import pin, rollback
from store.pull import pull
from store.remote import Remote
from store.replica_settings import ReplicaSettings
from store.replica_status import ReplicaStatus, read_status, report
from store.takedown import take_down, takedowns
from tests.experiments import experiment_of, make_arm
from tests.snapshots import make_snapshot
from tests.store.replicas import KEEP_ALL, push_to

NAMES = ("a", "b", "c")
TIMEOUT_SECONDS = 60


def settings_of(name, names=NAMES, max_wait_seconds=60.0):
    return ReplicaSettings(name, names, max_wait_seconds, lead_seconds=0.05, report_seconds=0.5)


class Fleet:
    """Replicas `a`, `b` and `c` of a directory, all on generation 1; generation 2 is pushed."""

    def __init__(self, folder, origin):
        self.folder, self.origin, self.there = folder, origin, folder / "there"
        self.remote = Remote(str(self.there))
        push_to(self.there, origin, 1)
        for name in NAMES:
            self.pull(name)
        push_to(self.there, origin)

    def node(self, name):
        return self.folder / name

    def pull(self, name, **options):
        return pull(self.node(name), self.remote, KEEP_ALL, settings_of(name, **options))

    def served(self):
        return [current_or_none(self.node(name)) for name in NAMES]

    def status(self, name):
        status = read_status(self.remote, name)
        assert status is not None
        return status

    def age_report(self, name, seconds):
        """Make the last report of a replica older, as if it was gone since."""
        file = self.there / "replicas" / f"{name}.json"
        document = json.loads(file.read_text())
        file.write_text(json.dumps(document | {"seen_at": document["seen_at"] - seconds}))


@pytest.fixture
def fleet(tmp_path, two):
    return Fleet(tmp_path, two)


def test_replicas_wait_for_each_other(fleet):
    """The generation is in place and not served until the last has it; then all flip."""
    done = fleet.pull("a")
    assert (done.is_current, done.has_changed, done.waiting_for) == (False, True, ("b", "c"))
    assert done.state == "is in place, not served: it waits for b, c"
    assert fleet.pull("b").waiting_for == ("c",)
    assert not fleet.pull("a").has_changed
    assert fleet.served() == [1, 1, 1]
    assert fleet.pull("c").is_current
    assert fleet.pull("a").is_current
    assert fleet.pull("b").is_current
    assert fleet.served() == [2, 2, 2]


def test_without_a_barrier_none_waits(fleet):
    """A name alone makes reports."""
    done = pull(fleet.node("a"), fleet.remote, KEEP_ALL, ReplicaSettings("a"))
    assert (done.is_current, done.waiting_for) == (True, ())
    status = fleet.status("a")
    assert (status.current, status.ready, status.problem) == (2, 2, "")


def test_none_flips_before_all_have_it_in_place(fleet):
    """Three replicas poll at once, each in a thread; the reports say when each was ready."""

    def poll(name):
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not fleet.pull(name).is_current:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    threads = [threading.Thread(target=poll, args=(name,)) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fleet.served() == [2, 2, 2]
    ready_at = [fleet.status(name).ready_at for name in NAMES]
    flipped_at = [(fleet.node(name) / "CURRENT").stat().st_mtime for name in NAMES]
    assert min(flipped_at) > max(ready_at)


def test_a_replica_that_is_gone_is_left_out_with_a_report(fleet, caplog):
    """A last report as old as the longest wait; a younger one is waited for."""
    assert fleet.pull("a").waiting_for == ("b", "c")
    fleet.age_report("c", 61)
    assert fleet.pull("b").is_current
    assert fleet.pull("a").is_current
    [line] = caplog.messages
    assert line.startswith("generation 2 is served without c: its last report is 6")
    assert fleet.served() == [2, 2, 1]
    assert fleet.pull("c").is_current  # it is back


def test_a_replica_that_reports_but_fails_is_waited_for_so_long_alone(fleet, caplog):
    """The longest wait counts from the first replica that was ready."""
    for name in ("b", "c"):
        report(fleet.node(name), fleet.remote, settings_of(name), None, "the disk is full")
    deadline = time.monotonic() + TIMEOUT_SECONDS
    n_waits = 0
    while not fleet.pull("a", max_wait_seconds=1.0).is_current:
        assert time.monotonic() < deadline
        n_waits += 1
        time.sleep(0.05)
        report(
            fleet.node("b"), fleet.remote, settings_of("b"), None, f"the disk is full, {n_waits}"
        )
    assert n_waits > 1
    assert "generation 2 is served without c: the disk is full" in caplog.messages


def test_a_rollback_and_takedowns_wait_for_none(fleet):
    """All others are dead; the rollback is followed at once, as are takedowns during a wait."""
    for name in NAMES:
        fleet.pull(name)
    fleet.pull("a")
    assert current(fleet.node("a")) == 2
    make_snapshot(fleet.origin, {"ann": ["a"]}, ["b"])
    take_down(fleet.origin, ["c"], "rights ended")
    push_to(fleet.there, fleet.origin)
    assert fleet.pull("a").waiting_for == ("b", "c")
    assert list(takedowns(fleet.node("a"))) == ["c"]
    rollback(fleet.origin, "lists of 3 look wrong", to=1)
    push_to(fleet.there, fleet.origin)
    assert pull(
        fleet.node("a"), fleet.remote, KEEP_ALL, settings_of("a"), allow_rollback=True
    ).is_current
    assert current(fleet.node("a")) == 1


def test_a_generation_that_is_rolled_back_during_the_wait_is_never_served(fleet):
    fleet.pull("a")
    push_to(fleet.there, fleet.origin, 1)
    for name in NAMES:
        assert fleet.pull(name).is_current
    assert fleet.served() == [1, 1, 1]


def test_others_do_not_wait_for_a_pinned_replica(fleet):
    """It has the generation in place, and does not serve it."""
    pin(fleet.node("c"), "festival")
    fleet.pull("c")
    fleet.pull("a")
    fleet.pull("b")
    fleet.pull("a")
    assert fleet.served() == [2, 2, 1]
    assert fleet.status("c").is_pinned


def test_arms_of_an_experiment_wait_as_one(fleet):
    """All arms move when every replica has them all; the end of the experiment does not wait."""
    for name in ("a", "b", "a", "c", "a", "b"):
        fleet.pull(name)
    assert fleet.served() == [2, 2, 2]
    make_arm(fleet.origin, "new", arm="treatment")
    start_experiment(fleet.origin, experiment_of(2, 3), "test")
    push_to(fleet.there, fleet.origin)
    assert fleet.pull("a").waiting_for == ("b", "c")
    assert read_experiment(fleet.node("a")) is None
    for name in ("b", "c", "a", "b"):
        fleet.pull(name)
    assert [read_experiment(fleet.node(name)) for name in NAMES] == [experiment_of(2, 3)] * 3
    stop_experiment(fleet.origin, "test")
    push_to(fleet.there, fleet.origin)
    assert fleet.pull("a").waiting_for == ()
    assert read_experiment(fleet.node("a")) is None


def test_the_first_generation_of_all_is_served_at_once(tmp_path, two, there):
    """There is no older list that a user could go back to."""
    push_to(there, two)
    done = pull(tmp_path / "a", Remote(str(there)), KEEP_ALL, settings_of("a"))
    assert done.is_current


def test_a_new_replica_beside_others_waits_as_they_do(fleet, tmp_path):
    """It would serve lists that those of the others are older than."""
    done = pull(tmp_path / "d", fleet.remote, KEEP_ALL, settings_of("d", (*NAMES, "d")))
    assert done.waiting_for == NAMES
    assert current_or_none(tmp_path / "d") is None


def test_a_replica_flips_though_the_network_fails_once_all_are_ready(fleet, monkeypatch):
    """The time of the flip is known by then; it reports when the network is back."""
    fleet.pull("a")
    fleet.pull("b")
    real = time.sleep

    def sleep(seconds):
        fleet.there.rename(fleet.there.with_name("away"))
        real(seconds)

    with monkeypatch.context() as patch:
        patch.setattr("store.barrier.time.sleep", sleep)
        fleet.pull("c")
    assert fleet.served() == [1, 1, 2]
    with pytest.raises(ReplicaError):
        fleet.pull("a")
    assert not fleet.there.exists()  # nothing is written where nothing is mounted
    fleet.there.with_name("away").rename(fleet.there)
    for name in NAMES:
        assert fleet.pull(name).is_current
    assert fleet.status("c").current == 2


def test_a_failed_pull_is_reported(fleet):
    """With the error; the next one that succeeds removes it."""
    (fleet.there / "CURRENT").write_text("nonsense")
    with pytest.raises(ReplicaError):
        fleet.pull("a")
    assert "does not hold a generation" in fleet.status("a").problem
    push_to(fleet.there, fleet.origin, 1)
    fleet.pull("a")
    assert fleet.status("a").problem == ""


def test_an_unchanged_state_is_reported_now_and_then(fleet):
    """Not at each poll, so that a bucket is not written to all the time."""
    settings = ReplicaSettings("a", report_seconds=100, max_wait_seconds=200)
    file = fleet.there / "replicas" / "a.json"

    def poll():
        pull(fleet.node("a"), fleet.remote, KEEP_ALL, settings)
        return file.read_text()

    first = poll()
    assert poll() == first
    fleet.age_report("a", 101)
    assert poll() > first


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"x" * 9000,
        b'{"format_version": 2}',
        b'{"format_version": 1, "seen_at": 1e99, "current": 1, "ready": 1, "ready_at": 0, '
        b'"is_pinned": false, "problem": ""}',
        b'{"format_version": 1, "seen_at": 1, "current": "1", "ready": 1, "ready_at": 0, '
        b'"is_pinned": false, "problem": ""}',
    ],
)
def test_a_report_that_cannot_be_read_is_as_none(fleet, content):
    """It is waited for, and what is wrong is said."""
    (fleet.there / "replicas" / "b.json").write_bytes(content)
    assert "its report is" in fleet.status("b").problem
    assert fleet.pull("a").waiting_for == ("b", "c")
    assert fleet.pull("b").waiting_for == ("c",)  # and overwritten


def test_a_machine_that_cannot_report_is_an_error(two, node):
    """Without a name, or over HTTP; without a barrier it needs neither."""
    with pytest.raises(ConfigError, match="name: is missing, but"):
        pull(node, Remote("/nowhere"), KEEP_ALL, ReplicaSettings(barrier=NAMES))
    with pytest.raises(ConfigError, match="reports cannot be written to http"):
        pull(node, Remote("http://127.0.0.1:9/m"), KEEP_ALL, ReplicaSettings("a"))


MAX_WAIT, LEAD = 300.0, 5.0
SETTINGS = ReplicaSettings("a", NAMES, MAX_WAIT, LEAD)
TIMES = st.floats(1000.0, 5000.0)
READY = st.builds(lambda at: ReplicaStatus(at, 1, 2, at), TIMES)
LATE = st.one_of(st.none(), st.builds(lambda at: ReplicaStatus(at, 1, 1, at), TIMES))


@given(READY, st.lists(st.one_of(READY, LATE), max_size=5))
def test_the_flip_is_after_all_that_are_ready_in_time_and_never_later_than_the_limit(one, others):
    statuses = {str(index): status for index, status in enumerate((one, *others))}
    ready = [status.ready_at for status in statuses.values() if status and status.has(2)]
    at = flip_time(statuses, 2, SETTINGS)
    limit = min(ready) + MAX_WAIT
    assert min(ready) + LEAD <= at <= limit + LEAD
    assert all(at >= ready_at + LEAD for ready_at in ready if ready_at <= limit)
    if len(ready) == len(statuses):
        assert at == min(max(ready), limit) + LEAD


@given(st.floats(0, MAX_WAIT), st.floats(0, MAX_WAIT * 3))
def test_a_silent_replica_counts_from_its_last_report(silent_before, ready_at):
    first = 10_000.0
    silent = ReplicaStatus(first - silent_before, 1, 1, 500.0)
    other = ReplicaStatus(first + ready_at, 1, 2, first + ready_at)
    statuses = {"a": ReplicaStatus(first, 1, 2, first), "b": other, "c": silent}
    expected = min(max(first + ready_at, first - silent_before + MAX_WAIT), first + MAX_WAIT)
    assert flip_time(statuses, 2, SETTINGS) == expected + LEAD
