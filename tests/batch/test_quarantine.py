"""The quarantine: every rejected line, and the limit on their share of a file."""

import os
import time

import numpy as np
import pyarrow as pa
import pytest

from batch.errors import RejectedError
from batch.events.parsed import Rejected
from batch.events.quarantine import Quarantine, QuarantineLimits
from batch.events.read import ReadSizes
from tests.batch.event_files import EventFolder, views, watch

LIMITS = QuarantineLimits()


def rejected(*lines):
    """Return rejected lines, each given as reason, number and text."""
    reasons, numbers, texts = zip(*lines, strict=True) if lines else ((), (), ())
    return Rejected(reasons, np.array(numbers, np.int64), [pa.array(texts, pa.binary())])


@pytest.fixture
def read(tmp_path):
    return EventFolder(tmp_path).read


@pytest.fixture
def quarantined(tmp_path):
    return EventFolder(tmp_path).quarantined


def test_quarantine_holds_reason_source_number_and_the_very_bytes(read, quarantined, tmp_path):
    """Each rejected line is written unchanged, tabs and foreign bytes too, without its end."""
    broken = b"2022-11-1 4T12:23:14,7,GET\t/data/m/\xff/1.mpg"
    good = watch(1, "m", 1).encode()
    read(good + broken + b"\r\n" + good + b"\n" + good + b"x")
    source = str(tmp_path / "0-file").encode()
    assert quarantined() == [
        (b"malformed time", source, b"2", broken),
        (b"blank line", source, b"4", b""),
        (b"fewer than three fields", source, b"6", b"x"),
    ]


def test_quarantine_counts_by_reason(tmp_path):
    """Rejected lines are counted by reason, over all sources."""
    with Quarantine(tmp_path, "now", LIMITS) as quarantine:
        quarantine.add("a", rejected(("blank line", 1, b"\n"), ("malformed time", 2, b"x\n")))
        quarantine.add("b", rejected(("blank line", 1, b"\n")))
    assert quarantine.counts == {"blank line": 2, "malformed time": 1}


def test_line_numbers_continue_over_blocks_and_header(read, quarantined):
    """The number is that of the line in the file, header included, for any block size."""
    lines = ["userId,movieId,rating,timestamp\n"]
    lines += ["broken\n" if n % 7 == 0 else f"{n},1,3.5,9\n" for n in range(2, 100)]
    read("".join(lines), sizes=ReadSizes(block_bytes=64))
    assert [int(fields[2]) for fields in quarantined()] == list(range(7, 100, 7))


def test_clean_refresh_leaves_no_quarantine_file(read, tmp_path):
    """Without rejected lines nothing is written."""
    read(watch(1, "m", 1))
    assert not (tmp_path / "quarantine").exists()


@pytest.mark.parametrize("keep", [1, 2, 3, 10])
def test_quarantine_keeps_the_newest_files(tmp_path, keep):
    """Of the files of many refreshes the newest are kept, this one included."""
    names = [f"2026-11-{day:02}" for day in range(1, 7)]
    for name in names:
        with Quarantine(tmp_path, name, QuarantineLimits(keep)) as quarantine:
            quarantine.add("log", rejected(("blank line", 1, b"\n")))
    assert sorted(path.stem for path in tmp_path.iterdir()) == names[-keep:]


def test_clean_refresh_removes_no_quarantine_file(tmp_path):
    """A refresh without rejected lines keeps the older files."""
    for name in ("1", "2", "3"):
        (tmp_path / f"{name}.tsv").touch()
    with Quarantine(tmp_path, "4", QuarantineLimits(1)) as quarantine:
        quarantine.add("log", rejected())
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["1", "2", "3"]


# --- too much is broken -------------------------------------------------------------------


def test_as_many_as_allowed_may_be_rejected(read):
    """A share of exactly the limit is allowed."""
    events = read(watch(1, "m", 1) * 19 + "x\n", max_rejected_share=0.05)
    assert (events.sources[0].n_lines, events.sources[0].n_rejected) == (20, 1)


def test_too_many_rejected_lines_stop_the_refresh(read, quarantined):
    """A larger share is an error with number and reason; the lines are in the quarantine."""
    text = watch(1, "m", 1) * 18 + "x\n" * 2
    with pytest.raises(RejectedError, match=r"2 of 20 lines.*fewer than three fields \(2\)"):
        read(text, max_rejected_share=0.05)
    assert len(quarantined()) == 2


def test_share_is_of_each_file(read):
    """The limit is checked for each file, so that a large valid file cannot hide a broken one."""
    with pytest.raises(RejectedError, match="1-file"):
        read(watch(1, "m", 1) * 1000, watch(1, "m", 1) + "x\n", max_rejected_share=0.05)


def test_error_names_the_reason_of_that_file(read):
    """Reasons of lines in other files are not in the error."""
    mostly_sound = watch(1, "m", 1) * 200 + "\n" * 9
    with pytest.raises(RejectedError, match=r"malformed user id \(1\)"):
        read(mostly_sound, watch(1, "m", 1) + watch("N7", "m", 1), max_rejected_share=0.05)


def test_nothing_rejected_is_allowed_at_share_0(read):
    """With a limit of 0 a clean file is read, and one broken line is an error."""
    assert views(read(watch(1, "m", 1), max_rejected_share=0.0))
    with pytest.raises(RejectedError):
        read(watch(1, "m", 1) * 1000 + "x\n", max_rejected_share=0.0)


@pytest.mark.parametrize(("max_days", "kept"), [(0.0, ["old", "young"]), (30.0, ["young"])])
def test_quarantine_files_are_removed_at_their_age(tmp_path, max_days, kept):
    """Their lines name users; a refresh without rejected lines removes old ones too."""
    for name, days in (("old", 31), ("young", 29)):
        path = tmp_path / f"{name}.tsv"
        path.touch()
        os.utime(path, (time.time() - days * 86_400,) * 2)
    with Quarantine(tmp_path, "zzz", QuarantineLimits(max_days=max_days)):
        pass
    assert sorted(path.stem for path in tmp_path.iterdir()) == kept
