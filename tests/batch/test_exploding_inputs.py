"""Small files that unpack to large ones: little memory, little quarantine, a clear error."""

import gzip
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.errors import InputError, RejectedError
from batch.events.parsed import Rejected
from batch.events.quarantine import MAX_TEXT_BYTES, Quarantine, QuarantineLimits
from batch.files.open import open_input
from batch.records.rows import text_lines
from tests.batch.event_files import EventFolder, watch

GOOD = watch(1, "m", 1)
_MEASURED = """
import resource, sys
from pathlib import Path
from batch.errors import BatchError
from batch.events.read import read_events
from batch.settings import BatchSettings

def mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

path, folder, share = sys.argv[1:]
settings = BatchSettings(
    events=(path,), quarantine=folder, max_rejected_share=float(share), quarantine_mib=1.0
)
before, error = mib(), ""
try:
    read_events(settings)
except BatchError as caught:
    error = str(caught)
print(mib() - before, sum(file.stat().st_size for file in Path(folder).glob("*.tsv")))
print(error)
"""


def measured(path, folder, share):
    """Return MiB of memory, bytes of quarantine and the error of a process that reads a file."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, path, folder, str(share)],
        capture_output=True,
        text=True,
        check=True,
    )
    figures, error = done.stdout.split("\n", 1)
    n_mib, n_bytes = map(int, figures.split())
    return n_mib, n_bytes, error.strip()


@pytest.fixture
def blank_lines(tmp_path):
    """A gzip file of 1 KB: one event and 700,000 blank lines."""
    path = tmp_path / "blank.log.gz"
    path.write_bytes(gzip.compress(GOOD.encode() + b"\n" * 700_000, 9))
    assert path.stat().st_size < 1_000
    return path


@pytest.fixture
def one_long_id(tmp_path):
    """A Parquet file of some hundred bytes: one id of 12 KB, in 40,000 rows."""
    path = tmp_path / "long.parquet"
    zeros = pa.array([0] * 40_000, pa.int32())
    users = pa.DictionaryArray.from_arrays(zeros, ["u" * 12_000])
    table = pa.table({"user_id": users, "item_id": pa.DictionaryArray.from_arrays(zeros, ["i"])})
    pq.write_table(table, path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 2_000
    return path


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_gzip_of_blank_lines_takes_little(blank_lines, tmp_path, share):
    """It took 538 MiB of memory and 62 MB of quarantine; allowed or not, it does no more."""
    n_mib, n_bytes, error = measured(blank_lines, tmp_path / "quarantine", share)
    assert n_mib < 200
    assert n_bytes < 1.1 * (1 << 20)
    assert ("lines are broken" in error) == (share < 1)


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_parquet_with_one_long_id_takes_little(one_long_id, tmp_path, share):
    """It took 1.07 GiB: the id was written out for each of its rows."""
    n_mib, n_bytes, error = measured(one_long_id, tmp_path / "quarantine", share)
    assert n_mib < 200
    assert n_bytes < 1.1 * (1 << 20)
    assert ("40,000 of 40,000 lines are broken" in error) == (share < 1)


def read_to_the_error(folder, content, share):
    """Read a file that is refused; return its error and the numbers of lines that were read."""
    seen: list[int] = []
    with pytest.raises(RejectedError) as error:
        EventFolder(folder).read(content, max_rejected_share=share, on_lines=seen.append)
    return str(error.value), sum(seen)


@pytest.mark.parametrize("is_gzip", [False, True])
def test_broken_log_is_given_up_long_before_its_end(tmp_path, is_gzip):
    """Not even valid lines alone could lower the share of the rest."""
    content = (GOOD + "x" * 60 + "\n" * 9) * 100_000
    packed = gzip.compress(content.encode(), 1) if is_gzip else content
    error, n_read = read_to_the_error(tmp_path, packed, 0.05)
    assert "of the first" in error
    assert n_read < 500_000


@pytest.mark.parametrize("is_gzip", [False, True])
def test_broken_begin_within_the_share_of_all_is_allowed(tmp_path, is_gzip):
    """The twin: all broken lines come first, and are 4.8 % of the file."""
    good = "".join(watch(n, f"m{n * 7919 % 9973}", n % 97) for n in range(200_000))
    content = ("\n" * 10_000 + good).encode()
    packed = gzip.compress(content, 1) if is_gzip else content
    (file,) = EventFolder(tmp_path).read(packed, max_rejected_share=0.05).sources
    assert (file.n_lines, file.n_rejected) == (210_000, 10_000)


def test_gzip_that_unpacks_to_far_more_is_refused(tmp_path):
    """A bomb of valid lines is refused by its ratio, before the memory is full of ratings."""
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(b"1,1,4\n" * 8_000_000, 9))
    error = pytest.raises(InputError, match="unpacks to more than 200 times its size")
    with error, open_input(path) as file:
        file.read()


def test_gzip_of_zeros_is_refused_as_a_catalogue(tmp_path):
    """One line without an end is refused at 16 MiB."""
    path = tmp_path / "catalogue.jsonl"
    path.write_bytes(gzip.compress(b"0" * (1 << 25)))
    with pytest.raises(InputError, match="longer than 16,777,216 bytes"):
        list(text_lines(path))


def test_gzip_of_the_usual_ratio_is_read_whole(tmp_path):
    """The twin: a large log that packs well has all of its bytes."""
    content = "".join(f"{n},{n * 7919 % 1000003},{n % 11}\n" for n in range(1_300_000)).encode()
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(content, 1))
    with open_input(path) as file:
        assert file.read() == content


def test_parquet_of_very_many_equal_rows_is_refused(tmp_path):
    """A few hundred bytes may not stand for millions of ratings."""
    path = tmp_path / "rows.parquet"
    n_rows = 8_000_000
    one = pa.array([1] * n_rows, pa.int32())
    pq.write_table(pa.table({"user_id": one, "item_id": one, "rating": one}), path)
    content = path.read_bytes()
    with pytest.raises(InputError, match="has 8,000,000 rows in"):
        EventFolder(tmp_path).read(content)


def test_quarantined_text_is_cut_at_a_kib(tmp_path):
    """A long line is marked as cut; a line of just a KiB is whole."""
    long, just = "x" * 5_000, "y" * MAX_TEXT_BYTES
    folder = EventFolder(tmp_path)
    folder.read(GOOD + long + "\n" + just + "\n")
    texts = [fields[3] for fields in folder.quarantined()]
    assert texts[0] == b"x" * MAX_TEXT_BYTES + " … cut".encode()
    assert texts[1].rstrip(b"\n") in (just.encode(), just.encode() + " … cut".encode())


def test_quarantine_file_is_limited_and_gives_the_number_of_the_rest(tmp_path):
    """Whole lines are written up to the limit; the last line counts the others."""
    lines = Rejected(["unknown event"] * 1000, pa.array(range(1000)).to_numpy(), [LINES])
    with Quarantine(tmp_path, "now", QuarantineLimits(max_bytes=10_000)) as quarantine:
        quarantine.add("log", lines)
        quarantine.add("log", lines)
    *written, last = quarantine.path.read_bytes().splitlines()
    assert sum(len(line) + 1 for line in written) <= 10_000
    assert all(line.startswith(b"unknown event\tlog\t") and line[-1:] == b"x" for line in written)
    assert quarantine.counts == {"unknown event": 2000}
    assert quarantine.n_unwritten == 2000 - len(written)
    assert last.startswith(f"not written\t-\t0\t{2000 - len(written)} further lines".encode())


LINES = pa.array([b"x" * 50 + b"\n"] * 1000)
