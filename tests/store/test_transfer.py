"""The rate of a pull is limited and its progress shown; a damaged file is fetched once."""

import contextlib
import io
import logging
import threading
import time

import pytest

from store.config import load_section
from store.damaged import AGAIN_SECONDS, DamagedFile, read_damaged
from store.errors import ConfigError, ReplicaError
from store.layout import snapshot_folder
from store.pointer import current, current_or_none
from store.publish import rollback
from store.pull import pull
from store.remote import Remote
from store.replica_settings import ReplicaSettings
from store.takedown import take_down, takedowns
from store.transfer import Transfer
from tests.snapshots import make_snapshot
from tests.store.replicas import KEEP_ALL, flip_a_bit, pull_from, push_to


class Clock:
    """A clock that advances by what is slept, and by `piece_seconds` for each piece."""

    def __init__(self, piece_seconds=0.0):
        self.now, self.piece_seconds = 100.0, piece_seconds

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def send(self, transfer, *pieces):
        for n_bytes in pieces:
            self.now += self.piece_seconds
            transfer.add(n_bytes)
        return self.now - 100.0


@pytest.mark.parametrize(
    ("rate", "piece_seconds", "expected"),
    [(1000.0, 0.0, 6.0), (1000.0, 5.0, 15.0), (0.0, 0.5, 1.5)],
    ids=["limited", "slower than the limit", "no limit"],
)
def test_a_transfer_takes_as_long_as_its_rate_says(rate, piece_seconds, expected):
    """Never longer: what is slow by itself is not slowed down."""
    clock = Clock(piece_seconds)
    transfer = Transfer(rate, clock, clock.sleep)
    assert clock.send(transfer, 1000, 2000, 3000) == pytest.approx(expected)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_terminal_is_a_bar_that_is_removed(monkeypatch, caplog):
    """It is drawn before the first piece; nothing is logged beside it."""
    caplog.set_level(logging.INFO, "store")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    clock = Clock(piece_seconds=20.0)
    transfer = Transfer(clock=clock)
    with transfer.shown("generation 2", 8_000_000):
        assert "generation 2  ╌" in terminal.getvalue()
        clock.send(transfer, *[1_000_000] * 4)
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert caplog.messages == []


def test_progress_elsewhere_is_a_log_line_now_and_then(caplog):
    """A short transfer logs nothing."""
    caplog.set_level(logging.INFO, "store")
    clock = Clock(piece_seconds=1.0)
    transfer = Transfer(clock=clock)
    with transfer.shown("generation 2", 25_000_000):
        clock.send(transfer, *[1_000_000] * 9)
        assert caplog.messages == []
        clock.send(transfer, *[1_000_000] * 16)
    assert caplog.messages == [
        "generation 2: 10.0 of 25.0 MB, 1.0 MB/s",
        "generation 2: 20.0 of 25.0 MB, 1.0 MB/s",
    ]


def test_a_pull_keeps_below_the_rate_of_the_setting(two, there, node):
    """One MiB at 4 MiB a second takes a quarter of a second."""
    make_snapshot(two, {"ann": ["a"]}, ["b"], index=b"x" * (1 << 20))
    push_to(there, two)
    began = time.monotonic()
    pull(node, Remote(str(there)), KEEP_ALL, ReplicaSettings(max_mib_per_second=4.0))
    assert time.monotonic() - began > 0.25


@contextlib.contextmanager
def pulling(there, node, monkeypatch, rate):
    """Pull what is at `there` in a thread, so slowly that it lasts until it is ended."""
    monkeypatch.setattr("store.pull._URGENT_SECONDS", 0.01)
    errors: list[str] = []

    def run():
        try:
            replica = ReplicaSettings(max_mib_per_second=rate)
            pull(node, Remote(str(there)), KEEP_ALL, replica, allow_rollback=True)
        except ReplicaError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: list(node.glob("pulling/snapshots/*/items.ann.part")))
    yield errors
    thread.join()


def wait_until(is_true):
    deadline = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_takedowns_and_a_rollback_do_not_wait_for_a_transfer(two, there, node, monkeypatch):
    """A takedown is followed beside it. A rollback ends it, and a later pull continues it."""
    for generation in (1, 2):
        push_to(there, two, generation)
        pull_from(there, node)
    make_snapshot(two, {"ann": ["a"]}, ["b"], index=b"x" * (16 << 20))
    push_to(there, two)
    with pulling(there, node, monkeypatch, 2.0) as errors:
        take_down(two, ["c"], "rights ended")
        push_to(there, two)
        wait_until(lambda: list(takedowns(node)) == ["c"])
        assert current(node) == 2
        rollback(two, "lists of 2 look wrong", to=1)
        push_to(there, two)
    assert errors == [
        "generation 3: its transfer was ended: generation 1 is current there now; "
        "the next pull follows"
    ]
    assert pull_from(there, node, allow_rollback=True).is_current
    assert current(node) == 1


def test_a_newer_generation_does_not_end_a_transfer(two, there, node, monkeypatch):
    """Else none would arrive where generations follow each other fast."""
    make_snapshot(two, {"ann": ["a"]}, ["b"], index=b"x" * (1 << 20))
    push_to(there, two)
    with pulling(there, node, monkeypatch, 1.0) as errors:
        make_snapshot(two, {"ann": ["a"]}, ["b"])
        push_to(there, two)
    assert errors == []
    assert current(node) == 3


class CountingRemote(Remote):
    """Counts what is fetched."""

    fetched: list[str]

    def __init__(self, url):
        super().__init__(url)
        self.fetched = []

    def fetch(self, name, *limits):
        self.fetched.append(name.rpartition("/")[2])
        super().fetch(name, *limits)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "problem"),
    [(flip_a_bit, "does not match its SHA256SUMS"), (truncate, "bytes arrived")],
)
def test_a_damaged_file_is_fetched_once(two, there, node, damage, problem):
    """Each pull reports it in the same words; once it is repaired, it alone is fetched again."""
    push_to(there, two, 1)
    pull_from(there, node)
    push_to(there, two)
    file = snapshot_folder(there, 2) / "recs.mdb"
    damage(file)
    remote = CountingRemote(str(there))
    messages = set()
    for _ in range(3):
        with pytest.raises(ReplicaError, match=problem) as error:
            pull(node, remote, KEEP_ALL)
        messages.add(str(error.value))
    assert len(messages) == 1
    assert sorted(remote.fetched) == ["MANIFEST.json", "factors.mdb", "items.ann", "recs.mdb"]
    assert current(node) == 1
    file.unlink()
    push_to(there, two)
    pull(node, remote, KEEP_ALL)
    assert remote.fetched[4:] == ["recs.mdb"]
    assert current(node) == 2
    assert read_damaged(node / "pulling") is None


def test_a_newer_generation_is_pulled_past_a_damaged_one(two, there, node):
    push_to(there, two)
    flip_a_bit(snapshot_folder(there, 2) / "recs.mdb")
    with pytest.raises(ReplicaError, match="does not match"):
        pull_from(there, node)
    assert current_or_none(node) is None
    make_snapshot(two, {"ann": ["a"]}, ["b"])
    push_to(there, two)
    pull_from(there, node)
    assert current(node) == 3


def test_a_damaged_file_is_fetched_again_after_an_hour():
    """It may have been damaged on the way; a clock that was set back does not delay it."""
    damaged = DamagedFile("snapshots/000002/recs.mdb", "v", 1000.0, "does not match")
    assert not damaged.is_due("v", 1000.0 + AGAIN_SECONDS - 1)
    assert damaged.is_due("v", 1000.0 + AGAIN_SECONDS)
    assert damaged.is_due("v", 999.0)
    assert damaged.is_due("w", 1001.0)
    assert damaged.is_due(None, 1001.0)


@pytest.mark.parametrize("content", [b"", b"a\tb\n", b"a\tb\tsoon\td\n", b"\xff", b"x" * 5000])
def test_an_unreadable_record_of_damage_is_none(tmp_path, content):
    (tmp_path / "DAMAGED").write_bytes(content)
    assert read_damaged(tmp_path) is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('name = "a/b"', "name must have 1 to 63 letters"),
        ('barrier = ["a", ""]', "name must have 1 to 63 letters"),
        ('barrier = ["a", "a"]', "barrier must not name a replica twice"),
        ('name = "c"\nbarrier = ["a", "b"]', "barrier must list the name of this machine, 'c'"),
        ("max_wait_seconds = 59", "max_wait_seconds must be at least twice report_seconds, 30.0"),
        ("max_wait_seconds = inf", "finite"),
        ("lead_seconds = 0", "lead_seconds must be above 0"),
        ("report_seconds = nan", "report_seconds must be above 0"),
        ("max_mib_per_second = 0.01", "max_mib_per_second must be 0, or at least 0.1"),
        ("max_mib_per_second = -1", "max_mib_per_second must be 0, or at least 0.1"),
        ('max_mib_per_second = "10"', "must be of type float"),
        ("bandwidth = 3", "has no key 'bandwidth'; its keys: name, barrier"),
    ],
)
def test_wrong_settings_of_a_replica_are_refused(tmp_path, line, problem):
    file = tmp_path / "marquee.toml"
    file.write_text(f"[replica]\n{line}\n")
    with pytest.raises(ConfigError) as error:
        load_section("replica", ReplicaSettings, file, {})
    assert problem in str(error.value)


def test_right_settings_of_a_replica_are_read(tmp_path):
    """The name may come from the environment."""
    file = tmp_path / "marquee.toml"
    file.write_text('[replica]\nbarrier = ["a", "b.example"]\nmax_mib_per_second = 40\n')
    read = load_section("replica", ReplicaSettings, file, {"MARQUEE_REPLICA_NAME": "b.example"})
    assert read == ReplicaSettings("b.example", ("a", "b.example"), max_mib_per_second=40.0)
