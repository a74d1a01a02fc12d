"""The ledger: synced records, a torn end cut off, one writer, and everything damaged refused."""

import errno
import os
import time

import pytest

from stream.collect.ledger import Ledger, encoded, read_state
from stream.errors import FencedError, LedgerError

KEY = "kafka:t#1 0"


def flush_record(first, last, number=1):
    span = {"log": "kafka:t#1", "partition": "0", "first": first, "last": last, "messages": 1}
    return {
        "kind": "flush", "number": number, "at": 0.0, "files": [], "spans": [span],
        "accepted": 1, "quarantined": 0, "quarantine": {},
    }  # fmt: skip


@pytest.fixture
def path(tmp_path):
    """A ledger with one flush."""
    with Ledger(tmp_path / "LEDGER") as ledger:
        ledger.begin({})
        ledger.append(flush_record(0, 9))
    return tmp_path / "LEDGER"


def test_a_ledger_says_the_same_after_a_restart(path):
    with Ledger(path) as ledger:
        ledger.begin({})
        ledger.append(flush_record(10, 19, 2))
        ledger.append({"kind": "gap", "log": "kafka:t#1", "partition": "0", "first": 20, "end": 30})
        ledger.append(flush_record(30, 39, 3))
    state = read_state(path)
    assert state.ranges[KEY] == ((0, 19), (30, 39))
    assert (state.next[KEY], state.gaps) == (40, [("kafka:t#1", "0", 20, 30)])
    assert (state.generation, state.number, state.accepted) == (2, 3, 3)


@pytest.mark.parametrize("n_cut", [1, 5, 40])
def test_a_torn_end_is_cut_off(path, n_cut):
    """It was never acted on; the next record follows the last whole one."""
    whole = path.read_bytes()
    torn = encoded({**flush_record(10, 19, 2), "generation": 1})
    path.write_bytes(whole + torn[:-n_cut])
    with Ledger(path) as ledger:
        assert ledger.state.next[KEY] == 10
        assert path.read_bytes() == whole
        ledger.append(flush_record(10, 12, 2))
    assert read_state(path).next[KEY] == 13


def test_damage_before_the_end_is_an_error(path):
    """A record that was acted on is not skipped in silence."""
    data = bytearray(path.read_bytes())
    data[data.index(b"begin")] ^= 1
    path.write_bytes(data)
    with pytest.raises(LedgerError, match=r"damaged.*rebuild"):
        Ledger(path)


def test_a_newer_version_is_an_error(path):
    path.write_bytes(encoded({"kind": "ledger", "version": 2}))
    with pytest.raises(LedgerError, match="version 2"):
        Ledger(path)


def test_an_empty_file_is_a_new_ledger(tmp_path):
    (tmp_path / "LEDGER").touch()
    with Ledger(tmp_path / "LEDGER") as ledger:
        assert ledger.state.next == {}
    assert read_state(tmp_path / "LEDGER").generation == 0


def test_a_second_collector_is_refused(path):
    with Ledger(path), pytest.raises(FencedError, match="another collector is running"):
        Ledger(path)
    with Ledger(path):
        pass


def test_a_paused_collector_finds_its_successor_and_its_record_does_not_count(path):
    """Where the lock does not reach: on another machine, or removed by hand."""
    with Ledger(path) as old:
        old.begin({})
        path.with_name("LOCK").unlink()
        with Ledger(path) as new:
            new.begin({})
            with pytest.raises(FencedError, match="taken over"):
                old.append(flush_record(10, 19, 2))
            with path.open("ab") as file:  # the moment between its check and its write
                file.write(encoded({**flush_record(10, 19, 2), "generation": old.generation}))
            new.append(flush_record(10, 14, 2))
            assert new.state.next[KEY] == 15
    assert read_state(path).next[KEY] == 15


def test_a_replaced_ledger_stops_its_writer(path):
    with Ledger(path) as ledger:
        ledger.begin({})
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
        with pytest.raises(FencedError, match="replaced"):
            ledger.append(flush_record(10, 19, 2))


def test_a_full_disk_leaves_the_ledger_unchanged(path, monkeypatch):
    with Ledger(path) as ledger:
        ledger.begin({})
        before, write = path.read_bytes(), os.write
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda file, data: write(file, data[:20]))
            with pytest.raises(OSError, match="No space"):
                ledger.append(flush_record(10, 19, 2))
        assert path.read_bytes() == before
        ledger.append(flush_record(10, 19, 2))
    assert read_state(path).next[KEY] == 20


def test_a_failed_sync_ends_the_collector(path, monkeypatch):
    """Whether the record is on disk cannot be known: only a restart can tell."""
    with Ledger(path) as ledger:
        ledger.begin({})

        def fail(_file):
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(LedgerError, match="cannot be synced"):
            ledger.append(flush_record(10, 19, 2))


def test_100_000_flushes_are_read_in_5_seconds_and_compacted(tmp_path):
    path = tmp_path / "LEDGER"
    records = (
        encoded({**flush_record(10 * n, 10 * n + 9, n), "generation": 1}) for n in range(100_000)
    )
    path.write_bytes(encoded({"kind": "ledger", "version": 1}) + b"".join(records))
    began = time.process_time()
    with Ledger(path) as ledger:
        assert time.process_time() - began < 5
        ledger.begin({})
        before = ledger.state.as_json()
        ledger.compact(200_000)
        assert path.stat().st_size > 10_000_000
        ledger.compact()
        assert ledger.state.as_json() == before
        ledger.append(flush_record(1_000_000, 1_000_009, 100_000))
    assert path.stat().st_size < 10_000
    assert read_state(path).ranges[KEY] == ((0, 1_000_009),)
