"""Links in a directory of events: those that leave it are refused, others are files like any."""

import pytest

from batch.errors import InputError
from batch.events.read import event_files
from tests.batch.event_files import event_settings, watch


@pytest.fixture
def folder(tmp_path):
    """A directory with one log, and a log outside of it."""
    folder = tmp_path / "events"
    folder.mkdir()
    (folder / "a.log").write_text(watch(1, "m", 1))
    (tmp_path / "secret.log").write_text(watch(2, "m", 1))
    return folder


def found(folder):
    return event_files(event_settings(folder, quarantine=folder.parent / "quarantine"))


@pytest.mark.parametrize("target", ["../secret.log", "..", "/etc/hostname", "../missing"])
def test_link_out_of_the_directory_is_refused(folder, target):
    """To a file, a directory or nothing: the error names the link, not the target."""
    (folder / "b.log").symlink_to(target)
    with pytest.raises(InputError, match=r"b\.log: is a link that leads out of"):
        found(folder)


def test_chain_of_links_out_of_the_directory_is_refused(folder):
    """A link to a link counts by where it ends."""
    (folder / ".hidden").symlink_to("../secret.log")
    (folder / "b.log").symlink_to(".hidden")
    with pytest.raises(InputError, match="leads out of"):
        found(folder)


def test_link_within_the_directory_is_a_file(folder):
    """The twin: it may stay within, and the named directory may itself be a link."""
    (folder / "b.log").symlink_to("a.log")
    linked = folder.parent / "linked"
    linked.symlink_to("events")
    assert found(folder) == [folder / "a.log", folder / "b.log"]
    assert found(linked) == [linked / "a.log", linked / "b.log"]
