"""Capacity: counts give what a refresh needs; a machine too small is refused, no other one."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from batch.capacity.check import check_events, warn_of_files
from batch.capacity.needs import needed_disk, needed_memory
from batch.capacity.sizes import DataSize, size_of_events, size_of_files
from batch.errors import CapacityError
from batch.events.read import read_events
from batch.settings import BatchSettings

GIB = 1 << 30
N_USERS, N_ITEMS = 300, 40


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Two files of views and one of ratings, with 300 users and 40 items."""
    folder = tmp_path_factory.mktemp("events")
    users = np.arange(900) % N_USERS
    views = {"user_id": users, "item_id": users % N_ITEMS, "minutes": users % 90}
    for name in ("a", "b"):
        pq.write_table(pa.table(views), folder / f"{name}.parquet")
    ratings = {"user_id": users[:50], "item_id": users[:50] % N_ITEMS, "rating": users[:50] % 5 + 1}
    pq.write_table(pa.table(ratings), folder / "ratings.parquet")
    return BatchSettings(events=(str(folder),), quarantine=str(folder / ".quarantine"))


@pytest.fixture(scope="module")
def events(settings):
    return read_events(settings).events


def machine(monkeypatch, total, available=None, disk=1000 * GIB):
    """Let the machine have so many bytes."""
    monkeypatch.setattr("batch.capacity.check.total_bytes", lambda: total)
    left = total if available is None else available
    monkeypatch.setattr("batch.capacity.check.available_bytes", lambda: left)
    monkeypatch.setattr("batch.capacity.check.resident_bytes", lambda: 0)
    monkeypatch.setattr("batch.capacity.check._free_disk", lambda _: disk)


def test_files_of_parquet_are_counted_before_they_are_read(settings):
    assert size_of_files(settings, None) == DataSize(0, 0, 1800, 50)
    served = {"recs.mdb/users": 7, "recs.mdb/items": 3}
    assert size_of_files(settings, served) == DataSize(7, 3, 1800, 50)


def test_text_is_not_counted_before_it_is_read(tmp_path):
    log = tmp_path / "ratings.csv"
    log.write_text("userId,movieId,rating\n1,2,3\n")
    assert size_of_files(BatchSettings(events=(str(log),)), None) is None


def test_events_are_counted_with_their_distinct_ids(events):
    """Equal ids of several files count once; the catalogue may list more items."""
    rows = (events.views.num_rows, events.ratings.num_rows)
    assert size_of_events(events, 0) == DataSize(N_USERS, N_ITEMS, *rows)
    assert size_of_events(events, 1000).items == 1000


def test_what_is_needed_grows_with_each_count():
    settings, size = BatchSettings(), DataSize(10**7, 10**5, 10**8, 10**8)
    for name in ("users", "views", "ratings"):
        larger = size._replace(**{name: 2 * getattr(size, name)})
        assert needed_memory(larger, settings) > needed_memory(size, settings)
    assert needed_disk(size._replace(users=2 * size.users), settings) > needed_disk(size, settings)


def test_a_machine_that_fits_is_neither_refused_nor_warned_of(settings, events, tmp_path, capfd):
    """The real machine: some thousand rows fit anywhere."""
    check_events(settings, events, 0, tmp_path / "no" / "store")
    warn_of_files(settings, None)
    assert capfd.readouterr().err == ""


def test_memory_that_cannot_suffice_is_refused(settings, events, tmp_path, monkeypatch):
    needed = needed_memory(size_of_events(events, 0), settings)
    machine(monkeypatch, total=int(needed / 1.2))
    with pytest.raises(CapacityError, match=r"300 users.* need about .* GiB .*engine = \"spark\""):
        check_events(settings, events, 0, tmp_path)
    machine(monkeypatch, total=int(needed / 1.1))  # within the error of the forecast
    check_events(settings, events, 0, tmp_path)


def test_a_refused_refresh_leaves_no_store(settings, tmp_path, monkeypatch, capfd):
    """The command ends with status 1 and what to do, before it trains."""
    machine(monkeypatch, total=1000)
    monkeypatch.chdir(tmp_path)
    store = tmp_path / "store"
    assert main(["refresh", "--store", str(store), "--events", *settings.events]) == 1
    assert "refresh failed: memory: 300 users" in (said := capfd.readouterr().err)
    assert "capacity_check = false runs it anyway" in said
    assert not store.exists()


def test_the_check_can_be_switched_off(settings, events, tmp_path, monkeypatch, capfd):
    machine(monkeypatch, total=1000)
    off = BatchSettings(events=settings.events, capacity_check=False)
    check_events(off, events, 0, tmp_path)
    warn_of_files(off, None)
    assert capfd.readouterr().err == ""


def test_memory_that_others_use_is_warned_of(settings, events, tmp_path, monkeypatch, capfd):
    machine(monkeypatch, total=64 * GIB, available=1000)
    warn_of_files(settings, None)
    assert "up to" in capfd.readouterr().err
    check_events(settings, events, 0, tmp_path)
    assert "the system may kill the refresh" in capfd.readouterr().err


def test_a_disk_that_is_too_small_is_refused(settings, events, tmp_path, monkeypatch):
    machine(monkeypatch, total=64 * GIB, disk=1000)
    check_events(settings, events, 0, tmp_path)  # a small snapshot: writing it is the test
    monkeypatch.setattr("batch.capacity.check.needed_disk", lambda *_: GIB)
    with pytest.raises(CapacityError, match=r"a snapshot of 300 users.* are free"):
        check_events(settings, events, 0, tmp_path)
