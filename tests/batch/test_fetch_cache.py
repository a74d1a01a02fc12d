"""The cache of answers and its journal: whole after a crash at any step."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.errors import BatchError, InputError
from batch.fetch.answers import ApiAnswer
from batch.fetch.cache import ApiCache, cached_lines, locked_folder
from batch.records.catalogue import read_catalogues


class PowerCut(BaseException):
    """The machine stops here; nothing in our code catches this."""


def found(*ids):
    return [ApiAnswer(one, 200, json.dumps({"id": one, "title": f"Film \t{one}"})) for one in ids]


def at(cache, seconds):
    """Set the clock of a cache's journal."""
    cache.journal._clock = lambda: seconds
    return cache


def merge(cache):
    docs: list[dict] = []
    return cache.merge(docs.append), docs


def rows(cache):
    return pq.read_table(cache.path).to_pylist() if cache.path.exists() else []


@pytest.fixture
def cache(tmp_path):
    return at(ApiCache(tmp_path, "movies"), 1000)


def test_answers_are_one_row_an_id_in_order_with_their_time(cache):
    """Unknown ids have a row too, without a document."""
    cache.journal.append(found("b", "a"))
    at(cache, 2000.5).journal.append([ApiAnswer("c", 404, "")])
    merged, docs = merge(cache)
    assert merged == (2, 1, 0, 0)
    assert [doc["id"] for doc in docs] == ["b", "a"]
    assert [(row["id"], row["status"], row["at"].timestamp()) for row in rows(cache)] == [
        ("a", 200, 1000), ("b", 200, 1000), ("c", 404, 2000.5),
    ]  # fmt: skip
    assert not cache.journal.path.exists()


def test_newer_answers_replace_older_ones_alone(cache):
    """Also twice in one journal; an id that the API no longer has is counted."""
    cache.journal.append(found("a", "b", "c"))
    merge(cache)
    at(cache, 3000).journal.append([ApiAnswer("b", 404, ""), *found("a")])
    at(cache, 4000).journal.append(found("a"))
    assert merge(cache)[0] == (1, 1, 0, 1)
    assert {row["id"]: (row["at"].timestamp(), row["status"]) for row in rows(cache)} == {
        "a": (4000, 200), "b": (3000, 404), "c": (1000, 200),
    }  # fmt: skip


def test_due_ids_are_missing_or_old_the_oldest_first(cache):
    """Whether they are in the journal or in the Parquet file."""
    cache.journal.append(found("old", "older"))
    at(cache, 500).journal.append(found("older"))
    merge(cache)
    at(cache, 9000).journal.append([ApiAnswer("new", 404, "")])
    due = cache.due(["new", "old", "never", "older"], oldest=2000)
    assert due == (["never", "older", "old"], 1, 1)
    assert cache.due(["old", "older"], oldest=500) == ([], 2, 0)


@pytest.mark.parametrize("n_bytes", [1, 10, 40])
def test_a_torn_last_line_is_asked_for_again(cache, n_bytes):
    """Whole lines before it stay, and the next line is not glued to it."""
    cache.journal.append(found("a"))
    cache.journal.append(found("b"))
    os.truncate(cache.journal.path, cache.journal.path.stat().st_size - n_bytes)
    cache.journal.recover()
    assert cache.due(["a", "b"], oldest=0).ids == ["b"]
    cache.journal.append(found("c"))
    merge(cache)
    assert [row["id"] for row in rows(cache)] == ["a", "c"]


def test_a_journal_of_one_long_torn_line_is_empty(cache):
    """Its beginning is further away than one read from the end."""
    cache.journal.path.write_bytes(b"a\t1\t200\t" + b"x" * 200_000)
    cache.journal.recover()
    assert cache.journal.path.stat().st_size == 0
    assert merge(cache)[0] == (0, 0, 0, 0)


@pytest.mark.parametrize("step", ["fsync", "replace", "unlink"])
def test_power_cut_in_a_merge_loses_nothing(cache, monkeypatch, step):
    """Whichever step it hits, merging again gives the same rows."""
    cache.journal.append(found("a", "b"))
    merge(cache)
    at(cache, 2000).journal.append(found("b", "c"))

    def cut(*args, **kwargs):
        raise PowerCut

    with monkeypatch.context() as broken:
        broken.setattr(os if step == "fsync" else Path, step, cut)
        with pytest.raises(PowerCut):
            merge(cache)
    merge(cache)
    assert {row["id"]: row["at"].timestamp() for row in rows(cache)} == {
        "a": 1000, "b": 2000, "c": 2000,
    }  # fmt: skip


def test_a_refresh_reads_the_documents(cache):
    """Of the ids that exist; another Parquet file is not a cache."""
    cache.journal.append([*found("a", "b"), ApiAnswer("c", 404, "")])
    merge(cache)
    catalogue = read_catalogues([cache.path])
    assert {one: item.title for one, item in catalogue.items.items()} == {
        "a": "Film a", "b": "Film b",
    }  # fmt: skip
    other = cache.path.with_name("other.parquet")
    pq.write_table(pa.table({"id": ["a"], "doc": ["{}"]}), other)
    assert cached_lines(other) is None


def test_a_damaged_cache_is_an_error_with_a_remedy(cache):
    """Of the fetch and of the refresh."""
    cache.journal.append(found(*(f"film{n}" for n in range(300))))
    merge(cache)
    data = bytearray(cache.path.read_bytes())
    data[4 : len(data) // 2] = bytes(len(data) // 2 - 4)
    cache.path.write_bytes(data)
    for read in (cache.state, lambda: read_catalogues([cache.path])):
        with pytest.raises(InputError, match=r"is a damaged copy of an API: .*; remove it"):
            read()


def test_one_fetch_at_a_time(tmp_path):
    """The lock ends with the first."""
    with (
        locked_folder(tmp_path),
        pytest.raises(BatchError, match="another fetch is running"),
        locked_folder(tmp_path),
    ):
        pass
    with locked_folder(tmp_path):
        pass


def test_forgotten_ids_are_in_neither_file(cache):
    """The journal's other answers are kept."""
    cache.journal.append(found("a", "b"))
    merge(cache)
    cache.journal.append(found("c", "d"))
    assert cache.forget(["a", "c", "x"]) == {"a", "c"}
    assert [row["id"] for row in rows(cache)] == ["b", "d"]
    assert cache.forget(["x"]) == set()
