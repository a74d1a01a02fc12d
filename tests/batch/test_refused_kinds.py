"""Kinds that are not read: each is named, with what to do instead."""

import io
import pickle
import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.orc as orc
import pytest

from batch.errors import UnreadKindError
from batch.files.open import open_input
from batch.records.catalogue import read_catalogues
from tests.batch.event_files import EventFolder, ratings, views
from tests.batch.packing import CODECS, zipped

TABLE = pa.table({"user_id": [1, 2], "item_id": [10, 11]})


def sqlite_file(folder):
    path = folder / "made.db"
    with sqlite3.connect(path) as database:
        database.execute("create table ratings (user_id, item_id)")
    database.close()
    return path.read_bytes()


def numpy_file(**arrays):
    file = io.BytesIO()
    if arrays:
        np.savez(file, **arrays)
    else:
        np.save(file, np.zeros((2, 2)))
    return file.getvalue()


def written(write):
    file = io.BytesIO()
    write(TABLE, file)
    return file.getvalue()


MADE = {
    "a RAR archive": b"Rar!\x1a\x07\x01\x00" + bytes(40),
    "a 7z archive": b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(40),
    "an Excel workbook": zipped({"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"}),
    "an OpenDocument file": zipped({"mimetype": b"application/vnd.oasis", "content.xml": b"<x/>"}),
    "an Excel workbook or Office document": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
    "HTML": b"\n<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n",
    "XML": b'\xef\xbb\xbf<?xml version="1.0"?>\n<ratings/>\n',
    "a pickle": pickle.dumps({"user_id": [1]}),
    "a NumPy array": numpy_file(),
    "a NumPy archive": numpy_file(a=np.zeros(2)),
    "a PDF": b"%PDF-1.7\n%\xe2\xe3\n",
    "an Arrow (Feather) file": written(feather.write_feather),
    "an ORC file": written(orc.write_table),
    "an Avro file": b"Obj\x01\x04\x16avro.schema",
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(20),
    "an LZ4 file": bytes(pa.compress(b"1,2,3\n", codec="lz4", asbytes=True)),
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "a PyTorch file": zipped({"archive/data.pkl": b"\x80\x02."}),
    "a PostgreSQL dump": b"PGDMP\x01\x0e\x00",
    "an image": b"\x89PNG\r\n\x1a\n" + bytes(20),
}


@pytest.mark.parametrize("name", MADE)
def test_kind_is_named(tmp_path, name):
    """As events and as a catalogue, plain and packed: the same sentence."""
    expected = f"is {name}, which is not read; "
    read = EventFolder(tmp_path).read
    with pytest.raises(UnreadKindError) as error:
        read(MADE[name])
    assert expected in str(error.value)
    with pytest.raises(UnreadKindError) as error:
        read_catalogues([tmp_path / "0-file"])
    assert expected in str(error.value)


@pytest.mark.parametrize("codec", CODECS)
def test_kind_is_named_behind_a_codec(tmp_path, codec):
    """An SQLite database that is packed."""
    with pytest.raises(UnreadKindError, match="is an SQLite database, which is not read; export"):
        EventFolder(tmp_path).read(CODECS[codec](sqlite_file(tmp_path)))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_all_binary_protocols_are_named(tmp_path, protocol):
    """A pickle is never loaded."""
    for content in ({}, [1], {"a": 1}, ("x", 2), TABLE):
        (tmp_path / "file").write_bytes(pickle.dumps(content, protocol))
        with pytest.raises(UnreadKindError, match="is a pickle"), open_input(tmp_path / "file"):
            pass


def test_text_that_begins_with_such_letters_is_read(tmp_path):
    """The twin: ids that look like the begin of such a file."""
    read = EventFolder(tmp_path).read
    names = ["ORC", "PGDMP", "Rar!", "GIF89a", "MZ", "BZh9", "FEA1", "RDX", "LZIP", "PK", "version"]
    for name in names:
        assert views(read(f"{name}\tx\n")) == [(name, "x", None, 1)]
        assert ratings(read(f"{name},x,3\n")) == [(name, "x", 3.0, 0)]
