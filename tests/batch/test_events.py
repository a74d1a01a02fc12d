"""Events of several files: directories, order, duplicates, and real files."""

import gzip
import itertools
import random

import pytest

from batch.errors import InputError
from batch.events.read import ReadSizes, read_events
from tests.batch.event_files import (
    AT,
    EventFolder,
    event_settings,
    outcome,
    parquet,
    views,
    watch,
)


@pytest.fixture
def read(tmp_path):
    return EventFolder(tmp_path).read


def test_directory_is_every_file_below_it(tmp_path):
    """All files of a directory are read, of any kind and depth, in the order of their names."""
    folder = tmp_path / "events"
    (folder / "date=2022-11-14").mkdir(parents=True)
    (folder / "b.log").write_text(watch(1, 2, 16))
    (folder / "a").write_bytes(gzip.compress(b"3\t4\n"))
    (folder / "date=2022-11-14" / "x.parquet").write_bytes(parquet(user_id=[5], item_id=[6]))
    settings = event_settings(folder, quarantine=tmp_path / "q", max_rejected_share=0.0)
    events = read_events(settings).events
    assert views(events) == [("1", "2", 16, 1), ("3", "4", None, 1), ("5", "6", None, 1)]
    assert [source.path.name for source in events.sources] == ["a", "b.log", "x.parquet"]


def test_empty_directory_is_refused(tmp_path):
    """A directory without a file is an error."""
    (tmp_path / "events" / "below").mkdir(parents=True)
    with pytest.raises(InputError, match="directory without events"):
        read_events(event_settings(tmp_path / "events", quarantine=tmp_path))


def noisy_lines(n, seed):
    """Return n lines of a stream of few users and items, with many repetitions."""
    rng = random.Random(seed)
    lines = []
    for _ in range(n):
        user, item = rng.randrange(8), f"m+{rng.randrange(5)}"
        at = f"2022-11-14T12:{rng.randrange(60):02}"
        lines.append(
            rng.choices(
                [
                    f"{at},{user},GET /data/m/{item}/{rng.randrange(120)}.mpg\n",
                    f"{at},{user},GET /rate/{item}={rng.randrange(1, 6)}\n",
                    f"{at},{user},GET /create_account\n",
                    f"{at},{user},recommendation request h:1, status 200, result: m, 9 ms\r\n",
                    f"{at},{user} ,GET /rate/{item}=1\n",
                ],
                [10, 3, 1, 1, 1],
            )[0]
        )
    return lines


@pytest.mark.parametrize("seed", range(5))
def test_order_of_lines_and_files_changes_nothing(read, seed):
    """The same lines in another order, split into other files, give the same events."""
    lines = noisy_lines(400, seed)
    expected = outcome(read("".join(lines)))
    rng = random.Random(seed)
    rng.shuffle(lines)
    cuts = [0, *sorted(rng.sample(range(50, 350), 3)), len(lines)]
    files = ["".join(lines[a:b]) for a, b in itertools.pairwise(cuts)]
    assert outcome(read(*files)) == expected


@pytest.mark.parametrize(("block_bytes", "fold_rows"), [(1 << 24, 0), (200, 3), (64, 10)])
def test_sizes_of_blocks_and_folds_change_nothing(read, block_bytes, fold_rows):
    """The events do not depend on how much is read and folded at a time."""
    text = "".join(noisy_lines(400, 1))
    expected = outcome(read(text))
    sizes = ReadSizes(block_bytes=block_bytes, fold_rows=fold_rows)
    assert outcome(read(text, sizes=sizes)) == expected


def test_duplicate_minutes_change_only_the_number_of_events(read):
    """A repeated minute, in one file or two, only adds to the number of events."""
    once = watch(1, "m", 3) + watch(1, "m", 9)
    assert views(read(once)) == [("1", "m", 9, 2)]
    assert views(read(once * 3, once)) == [("1", "m", 9, 8)]


def test_minute_beats_no_minute(read):
    """A pair without a minute does not change the furthest known minute."""
    assert views(read(watch(1, "m", 9), "1\tm\n")) == [("1", "m", 9, 2)]


def test_accounts_and_answers_are_counted_over_all_files(read):
    """Accounts and answers make no rows; their numbers add up."""
    lines = f"{AT},1,GET /create_account\n" * 2
    lines += f"{AT},1,recommendation request h:1, status 0, result: x, 1 ms\n" * 3
    assert outcome(read(lines, lines)) == ([], [], 4, 6)


def test_progress_counts_every_line(read):
    """The progress function is called for each line once, for any block size."""
    counts: list[int] = []
    sizes = ReadSizes(block_bytes=100)
    read("".join(noisy_lines(50, 1)), on_lines=counts.append, sizes=sizes)
    assert (sum(counts), len(counts) > 1) == (50, True)


# --- real files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "n_rows", "n_rejected"),
    [
        # One row of ratings.csv is torn: its time is joined with a URL.
        ("ml-latest-small/ratings.csv", "comma-separated table", 100_836, 1),
        ("ml-100k/u.data", "tab-separated table", 100_000, 0),
        ("ml-1m/pairs.parquet", "Parquet", 1_000_209, 0),
        ("stream/kafka-2022-11-noisy-50k.log", "stream log", 50_000, 51),
        ("stream/views-290k-users.tsv.gz", "tab-separated table", 404_884, 0),
    ],
)
def test_real_files_are_recognized_and_read_whole(
    shared_data, tmp_path, name, kind, n_rows, n_rejected
):
    """Each real file is of its kind, and each of its rows is an event or quarantined."""
    settings = event_settings(shared_data / name, quarantine=tmp_path, max_rejected_share=0.002)
    events, rejected, _ = read_events(settings)
    (source,) = events.sources
    n_events = sum(events.views["n_events"].to_pylist()) + events.ratings.num_rows
    n_events += events.n_accounts + events.n_answers
    assert (source.kind, source.n_lines, source.n_rejected) == (kind, n_rows, n_rejected)
    assert n_events == n_rows - n_rejected == n_rows - rejected.total()


def test_a_directory_may_hold_empty_and_hidden_files(tmp_path):
    """Empty files and names that begin with `.` or `_` are skipped without an error."""
    (tmp_path / "day.log").write_bytes(b"2026-03-01T10:00,1,GET /data/m/film+1+1951/1.mpg\n")
    for name in ("empty.log", "_SUCCESS", ".day.log.tmp"):
        (tmp_path / name).write_bytes(b"" if name == "empty.log" else b"anything")
    settings = event_settings(tmp_path, quarantine=tmp_path / "q", max_rejected_share=0.0)
    events = read_events(settings).events
    assert [source.path.name for source in events.sources] == ["day.log"]
