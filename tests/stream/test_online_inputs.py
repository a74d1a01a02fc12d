"""The job `online` beside a collector, which folds files of events and removes them."""

from batch.events.readers import make_lock, without_readers
from stream.online import inputs
from stream.online.inputs import OnlineInputs
from stream.online.settings import OnlineSettings
from tests.snapshots import make_snapshot


def test_no_file_is_removed_while_the_hours_are_computed(tmp_path, monkeypatch):
    """Before and afterwards the collector may fold."""
    make_snapshot(tmp_path / "store", {"u": ["a"]}, ["a"])
    events = tmp_path / "events"
    events.mkdir()
    make_lock(events)
    found = []

    def may_fold():
        with without_readers(events) as is_free:
            found.append(is_free)

    def update(*_):
        may_fold()
        return 1

    monkeypatch.setattr(inputs, "update", update)
    may_fold()
    settings = OnlineSettings(path=str(tmp_path / "online"))
    assert OnlineInputs(settings, tmp_path / "store", events).updated()[1] == 1
    may_fold()
    assert found == [True, False, True]
