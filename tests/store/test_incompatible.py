"""Snapshots that are intact, but that this code or this machine cannot read."""

import json
import struct

import pytest

from store.errors import IncompatibleSnapshotError
from store.layout import (
    CHECKSUMS,
    DATA_FILES,
    FACTORS,
    FORMAT_VERSION,
    MANIFEST,
    RECS,
    snapshot_folder,
)
from store.manifest import sha256
from store.pointer import current
from store.publish import publish, rollback, writing
from store.snapshot import open_snapshot
from tests.snapshots import files_of, make_snapshot

MAGIC = struct.pack("=I", 0xBEEFC0DE)
PAGE_BYTES = 4096
MAGIC_AT = 16  # in each of the two meta pages


@pytest.fixture
def unpublished(store):
    """A store that serves generation 1 and holds a complete 2 as well."""
    make_snapshot(store, {"ann": ["a", "b"]}, ["a"])
    make_snapshot(store, {"ann": ["b", "a"]}, ["b"], flip=False)
    return store


def seal(folder):
    """Write checksums that match the files."""
    lines = [f"{sha256(folder / name)}  {name}\n" for name in sorted((*DATA_FILES, MANIFEST))]
    (folder / CHECKSUMS).write_text("".join(lines))


def of_version(folder, version):
    document = json.loads((folder / MANIFEST).read_text()) | {"format_version": version}
    (folder / MANIFEST).write_text(json.dumps(document))
    seal(folder)


def of_other_byte_order(path):
    """Swap the bytes of LMDB's magic in both meta pages, and seal."""
    content = bytearray(path.read_bytes())
    for page in (0, 1):
        magic = slice(page * PAGE_BYTES + MAGIC_AT, page * PAGE_BYTES + MAGIC_AT + len(MAGIC))
        assert content[magic] == MAGIC
        content[magic] = MAGIC[::-1]
    path.write_bytes(content)
    seal(path.parent)


def of_other_word_size(path):
    """Move LMDB's magic to its position on a 32-bit machine, and seal."""
    content = bytearray(path.read_bytes())
    for page in (0, 1):
        start = page * PAGE_BYTES
        content[start + 12 : start + 20] = MAGIC + struct.pack("=I", 1)
    path.write_bytes(content)
    seal(path.parent)


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1])
def test_an_older_or_newer_format_is_not_opened(unpublished, version):
    """The checksums match; the message names both versions and the remedy."""
    of_version(snapshot_folder(unpublished, 2), version)
    with pytest.raises(
        IncompatibleSnapshotError,
        match=f"format version {version}, but this code reads 1 to {FORMAT_VERSION}; rebuild with",
    ):
        open_snapshot(unpublished, 2)


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1])
def test_an_older_or_newer_format_is_not_published(unpublished, version):
    """Neither by `publish` nor by `rollback`; the current generation stays."""
    of_version(snapshot_folder(unpublished, 2), version)
    before = files_of(unpublished)
    with writing(unpublished), pytest.raises(IncompatibleSnapshotError):
        publish(unpublished, 2, "hope")
    with pytest.raises(IncompatibleSnapshotError):
        rollback(unpublished, "hope", to=2)
    assert files_of(unpublished) == before


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1])
def test_the_command_says_what_to_do_about_another_format(unpublished, command, version):
    """Status 1, no traceback, and the remedy on standard error."""
    of_version(snapshot_folder(unpublished, 2), version)
    done = command("rollback", "--generation", "2", "--why", "hope")
    assert done.returncode == 1
    assert "rebuild with `python -m batch refresh`" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", [RECS, FACTORS])
@pytest.mark.parametrize("damage", [of_other_byte_order, of_other_word_size])
def test_a_file_of_another_kind_of_machine_is_not_opened(unpublished, name, damage):
    """LMDB's files depend on byte order and word size; the message names the remedy."""
    damage(snapshot_folder(unpublished, 2) / name)
    with pytest.raises(
        IncompatibleSnapshotError, match=f"{name}: .*another byte order or word size; rebuild with"
    ):
        open_snapshot(unpublished, 2)


@pytest.mark.parametrize("name", [RECS, FACTORS])
def test_a_file_of_another_kind_of_machine_is_not_published(unpublished, name):
    """The checksums match; the current generation stays."""
    of_other_byte_order(snapshot_folder(unpublished, 2) / name)
    with writing(unpublished), pytest.raises(IncompatibleSnapshotError):
        publish(unpublished, 2, "hope")
    assert current(unpublished) == 1


def test_a_snapshot_with_new_checksums_is_opened_and_published(unpublished):
    """New checksums alone do not make a snapshot invalid."""
    seal(snapshot_folder(unpublished, 2))
    with writing(unpublished):
        publish(unpublished, 2, "sound")
    with open_snapshot(unpublished, current(unpublished)) as snapshot:
        assert snapshot.users.get(b"ann") == b"b,a"
