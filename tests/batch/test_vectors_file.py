"""Files of vectors from outside: what is read, and what is refused with the problem named."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.errors import InputError
from batch.records.vectors import read_vectors, vector_ids
from tests.batch.made_vectors import write_vectors

LISTS = pa.list_(pa.float32())


def write(tmp_path, **columns):
    path = tmp_path / "vectors.parquet"
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        LISTS,
        pa.list_(pa.float64()),
        pa.large_list(pa.float32()),
        pa.list_(pa.float16()),
        pa.list_(pa.int8()),
        pa.list_(pa.float32(), 3),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["id", "item_id"])
def test_every_form_of_lists_is_read(tmp_path, kind, name):
    rows = np.array([[1, 2, 3], [4, 5, 6]], np.float16)
    vectors = pa.array(list(rows.astype(kind.value_type.to_pandas_dtype())), kind)
    found = read_vectors(write(tmp_path, **{name: ["b", "a"], "vector": vectors}), "item")
    assert found.ids.to_pylist() == ["b", "a"]
    assert found.vectors.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert found.vectors.dtype == np.float32
    assert (found.source.n_ids, found.source.n_rejected, dict(found.costs)) == (2, 0, {})


def test_many_blocks_and_row_groups_are_read_whole(tmp_path):
    """Blocks of 4 million numbers: the rows of three of them keep their order."""
    vectors = np.arange(1100 * 8_192, dtype=np.float32).reshape(1100, 8_192)
    flat = pa.array(vectors.ravel())
    table = pa.table({
        "id": [f"i{row}" for row in range(1100)],
        "vector": pa.FixedSizeListArray.from_arrays(flat, 8_192),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "v", row_group_size=300)
    found = read_vectors(tmp_path / "v", "item")
    assert found.ids.to_pylist() == [f"i{row}" for row in range(1100)]
    assert np.array_equal(found.vectors, vectors)


def test_costs_are_summed_and_unknown_ones_are_0(tmp_path):
    path = write_vectors(
        tmp_path / "v", {"a": [1], "b": [2], "c": [3]}, tokens=[10, None, 5], usd=[0.25, 0.5, 0.0]
    )
    assert read_vectors(path, "item").costs == {"tokens": 15.0, "usd": 0.75}


@pytest.mark.parametrize(("owner", "n_valid"), [("item", 2), ("user", 1)])
def test_ids_that_are_not_valid_are_counted(tmp_path, owner, n_valid):
    """An id of 100 characters is one of an item, not one of a user."""
    names = ["a", "x" * 100, "two words", "", None, "b,c"]
    path = write(tmp_path, id=names, vector=pa.array([[n] for n in range(6)], LISTS))
    found = read_vectors(path, owner)
    assert found.ids.to_pylist() == names[:n_valid]
    assert found.vectors.tolist() == [[n] for n in range(n_valid)]
    assert found.source.n_rejected == 6 - n_valid


def test_users_are_listed_and_items_are_not(tmp_path):
    """`forget` looks for users; a file of events is not one of vectors."""
    path = write_vectors(tmp_path / "v", {"7": [1], "8": [2]}, "user_id")
    blocks = vector_ids(path)
    assert blocks is not None
    assert [name for block in blocks for name in block.to_pylist()] == ["7", "8"]
    assert vector_ids(write(tmp_path, user_id=["7"], item_id=["a"])) is None


TWO = pa.array([[1.0, 2], [3, 4]], LISTS)
AB = ["a", "b"]
REFUSED = {
    "twice": ({"id": ["a", "a"], "vector": TWO}, "'a' stands in 2 rows; give each id once"),
    "lengths": ({"id": AB, "vector": pa.array([[1.0, 2], [3]], LISTS)}, "of different lengths"),
    "lengths that even out": (
        {"id": ["a", "b", "c"], "vector": pa.array([[1.0, 2], [3], [4, 5, 6]], LISTS)},
        "row 1 has 1 numbers, not 2",
    ),
    "no vector": ({"id": AB, "vector": pa.array([[1.0], None], LISTS)}, "row 1 has no vector"),
    "empty vectors": ({"id": AB, "vector": pa.array([[], []], LISTS)}, "row 0 has 0 numbers"),
    "no number": (
        {"id": AB, "vector": pa.array([[1.0, 2], [3, None]], LISTS)},
        "row 1 has a number that is not finite",
    ),
    "nan": ({"id": AB, "vector": pa.array([[1.0], [np.nan]], LISTS)}, "row 1 .* not finite"),
    "too large a number": (
        {"id": AB, "vector": pa.array([[1.0], [1e300]], pa.list_(pa.float64()))},
        "row 1 has a number that is not finite",
    ),
    "text": ({"id": AB, "vector": ["1 2", "3 4"]}, "vector is of type string; write lists"),
    "lists of text": ({"id": AB, "vector": [["1"], ["2"]]}, "vector is of type list<.*string>"),
    "no id column": ({"name": AB, "vector": TWO}, "has no column id or item_id; .* name, vector"),
    "users' ids": ({"user_id": AB, "vector": TWO}, "has no column id or item_id"),
    "two id columns": ({"id": AB, "item_id": AB, "vector": TWO}, "has 2 columns named id or item"),
    "no vector column": ({"id": AB}, "has no column vector or embedding"),
    "no rows": ({"id": pa.array([], pa.string()), "vector": pa.array([], LISTS)}, "has no rows"),
    "no valid id": ({"id": ["a b", ""], "vector": TWO}, "has no valid item id"),
    "negative cost": ({"id": AB, "vector": TWO, "usd": [0.1, -1.0]}, "usd of row 1 is not a cost"),
    "infinite cost": ({"id": AB, "vector": TWO, "tokens": [np.inf, 1.0]}, "tokens of row 0"),
    "cost in words": ({"id": AB, "vector": TWO, "usd": AB}, "usd is not one column of numbers"),
    "long vectors": (
        {"id": ["a"], "vector": pa.array([[0.5] * 8_193], LISTS)},
        "has vectors of 8,193 numbers; give at most 8,192",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_bad_file_is_refused_with_its_name_and_problem(tmp_path, what):
    columns, problem = REFUSED[what]
    path = write(tmp_path, **columns)
    with pytest.raises(InputError, match=problem) as error:
        read_vectors(path, "item")
    assert str(error.value).startswith(f"{path}: ")
    assert "; " in str(error.value)


def test_file_that_is_not_there_or_not_parquet_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file; check the path"):
        read_vectors(tmp_path / "v", "item")
    (tmp_path / "v").write_text("id,vector\na,1\n")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_vectors(tmp_path / "v", "item")


@pytest.mark.parametrize("n_lost", [1, 40, 400])
def test_cut_file_is_refused(tmp_path, n_lost):
    path = write_vectors(tmp_path / "v", {f"i{n}": [n, n * 7] for n in range(100)})
    path.write_bytes(path.read_bytes()[:-n_lost])
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_vectors(path, "item")


_MEASURED = """
import resource, sys
from pathlib import Path
from batch.errors import BatchError
from batch.records.vectors import read_vectors

def mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

before, error = mib(), "none"
try:
    read_vectors(Path(sys.argv[1]), "item")
except BatchError as caught:
    error = str(caught)
print(mib() - before, error)
"""


def measured(path):
    """Return MiB of memory and the error of a process that reads a file."""
    command = [sys.executable, "-c", _MEASURED, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    n_mib, error = done.stdout.split(" ", 1)
    return int(n_mib), error


def write_zeros(path, n_rows, length):
    """Write a file of vectors of zeros, which take few bytes."""
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(n_rows * length, "f4")), length)
    table = pa.table({"id": [f"i{row}" for row in range(n_rows)], "vector": zeros})
    pq.write_table(table, path, compression="zstd")
    return path


def test_few_bytes_of_very_many_zeros_are_refused_before_they_are_read(tmp_path):
    path = write_zeros(tmp_path / "v", 20_000, 2_000)
    assert path.stat().st_size < 200_000
    n_mib, error = measured(path)
    assert "has 40,000,000 numbers, more than the" in error
    assert n_mib < 60


def test_sparse_vectors_of_a_usual_size_are_read(tmp_path):
    """The twin: a tenth of as many."""
    assert read_vectors(write_zeros(tmp_path / "v", 2_000, 2_000), "item").vectors.sum() == 0


def test_one_long_id_in_many_rows_takes_little(tmp_path):
    """The id is not written out for each of its rows."""
    zeros = pa.array([0] * 40_000, pa.int32())
    ids = pa.DictionaryArray.from_arrays(zeros, ["u" * 12_000])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(40_000, "f4")), 1)
    pq.write_table(pa.table({"id": ids, "vector": vectors}), tmp_path / "v", store_schema=False)
    n_mib, error = measured(tmp_path / "v")
    assert "has no valid item id" in error
    assert n_mib < 100


def test_damaged_column_name_is_refused(tmp_path):
    """A byte of the footer that is not UTF-8."""
    path = write_vectors(tmp_path / "v", {"a": [1.0]})
    path.write_bytes(path.read_bytes().replace(b"vector", b"\xffector"))
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_vectors(path, "item")
