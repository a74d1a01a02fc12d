import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from store.errors import (
    CorruptSnapshotError,
    IncompatibleSnapshotError,
    NoSnapshotError,
    StoreError,
)
from store.layout import CHECKSUMS, DATA_FILES, FORMAT_VERSION, MANIFEST, snapshot_folder
from store.manifest import read_manifest, verify, write_manifest

FILES = (*DATA_FILES, MANIFEST, CHECKSUMS)
N_FLIPS, SEED = 300, 11


@pytest.fixture
def sound(two):
    """The directory of a sound snapshot; its neighbour is generation 1."""
    return snapshot_folder(two, 2)


@pytest.fixture
def every_file(sound):
    """The bytes of each of its files."""
    return {name: (sound / name).read_bytes() for name in FILES}


def sha256sum(folder):
    return subprocess.run(
        ["sha256sum", "-c", CHECKSUMS], cwd=folder, capture_output=True, text=True, check=False
    )


def accepted(folder, name, damaged):
    """Return the names in `damaged` (name, bytes of file `name`) that `verify` accepted."""
    path, original = folder / name, (folder / name).read_bytes()
    passed = []
    for what, content in damaged:
        path.write_bytes(content)
        try:
            verify(folder)
        except StoreError:
            continue
        passed.append(what)
    path.write_bytes(original)
    return passed


def flipped(content, bits):
    for bit in bits:
        position, mask = bit // 8, 1 << bit % 8
        damaged = bytearray(content)
        damaged[position] ^= mask
        yield f"bit {bit % 8} of byte {position}", bytes(damaged)


def test_a_sound_snapshot_is_verified(sound):
    """The sound counterpart of the damage below."""
    manifest = verify(sound)
    assert (manifest.generation, manifest.parent) == (2, 1)
    assert manifest == read_manifest(sound)


@pytest.mark.parametrize("name", DATA_FILES)
def test_a_flipped_bit_in_a_data_file_is_refused(sound, every_file, name):
    """300 random bits of the file."""
    rng = random.Random(SEED)
    n_bits = 8 * len(every_file[name])
    bits = rng.sample(range(n_bits), min(N_FLIPS, n_bits))
    assert accepted(sound, name, flipped(every_file[name], bits)) == []


@pytest.mark.parametrize("name", [MANIFEST, CHECKSUMS])
def test_any_flipped_bit_in_manifest_or_checksums_is_refused(sound, every_file, name):
    """Every single bit."""
    bits = range(8 * len(every_file[name]))
    assert accepted(sound, name, flipped(every_file[name], bits)) == []


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_refused(sound, every_file, name):
    """By one byte, to 0 bytes, or anywhere between."""
    content = every_file[name]
    lengths = {0, 1, len(content) // 2, len(content) - 4096, len(content) - 1}
    lengths |= set(range(0, len(content), max(1, len(content) // 300)))
    cut = ((f"{n} bytes", content[:n]) for n in sorted(lengths) if n >= 0)
    assert accepted(sound, name, cut) == []


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_has_grown_is_refused(sound, every_file, name):
    """One byte too many at the end."""
    grown = [("a byte more", every_file[name] + b"x")]
    assert accepted(sound, name, grown) == []


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(sound, name):
    """The message names the file and the remedy."""
    (sound / name).unlink()
    with pytest.raises(CorruptSnapshotError, match=f"{name}: .*python -m store rollback"):
        verify(sound)


@pytest.mark.parametrize("name", FILES)
def test_a_directory_in_place_of_a_file_is_refused(sound, name):
    """It cannot be read."""
    (sound / name).unlink()
    (sound / name).mkdir()
    with pytest.raises(CorruptSnapshotError, match=name):
        verify(sound)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_generation_is_refused(sound, name):
    """Each file is intact, but belongs to another snapshot."""
    neighbour = sound.with_name("000001")
    (sound / name).write_bytes((neighbour / name).read_bytes())
    with pytest.raises(CorruptSnapshotError):
        verify(sound)


def test_a_sound_snapshot_in_another_directory_is_refused(sound):
    """Every checksum matches, but the directory names another generation."""
    neighbour = sound.with_name("000001")
    for name in FILES:
        (sound / name).write_bytes((neighbour / name).read_bytes())
    with pytest.raises(CorruptSnapshotError):
        verify(sound)


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1, "1", None])
def test_another_format_version_is_refused(sound, version):
    """The message names both versions and the remedy."""
    document = json.loads((sound / MANIFEST).read_text()) | {"format_version": version}
    (sound / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(
        IncompatibleSnapshotError,
        match=f"format version {version}, but this code reads 1 to {FORMAT_VERSION}.*rebuild with",
    ):
        verify(sound)


def test_a_newer_format_with_other_fields_is_incompatible(sound):
    """The version is checked before the other fields."""
    (sound / MANIFEST).write_text(json.dumps({"format_version": 99, "tables": []}))
    with pytest.raises(IncompatibleSnapshotError):
        read_manifest(sound)


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{}", '{"format_version": 1}', "\xff"])
def test_a_file_that_is_not_a_manifest_is_refused(sound, text):
    """Always by one of the store's errors."""
    (sound / MANIFEST).write_text(text, encoding="latin-1")
    with pytest.raises(CorruptSnapshotError, match=MANIFEST):
        read_manifest(sound)


def test_a_generation_that_does_not_exist_is_not_corrupt(two):
    """It is missing."""
    with pytest.raises(NoSnapshotError):
        verify(snapshot_folder(two, 9))


def test_a_manifest_is_the_same_after_reading_and_writing(sound, tmp_path):
    """The same bytes."""
    for name in DATA_FILES:
        shutil.copy(sound / name, tmp_path)
    write_manifest(tmp_path, read_manifest(sound))
    assert (tmp_path / MANIFEST).read_bytes() == (sound / MANIFEST).read_bytes()
    assert (tmp_path / CHECKSUMS).read_bytes() == (sound / CHECKSUMS).read_bytes()


def test_sha256sum_checks_the_snapshot(sound):
    """Status 0 for all four files."""
    done = sha256sum(sound)
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == sorted(
        f"{name}: OK" for name in (*DATA_FILES, MANIFEST)
    )


@pytest.mark.parametrize("name", [*DATA_FILES, MANIFEST])
def test_sha256sum_finds_the_damage(sound, name):
    """It names the changed file."""
    path = sound / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    done = sha256sum(sound)
    assert done.returncode == 1
    assert f"{name}: FAILED" in done.stdout


def test_files_that_lmdb_s_tools_leave_are_ignored(sound):
    """`mdb_stat` writes a lock file beside the files that it reads."""
    Path(sound / "recs.mdb-lock").write_bytes(b"\0" * 8192)
    assert verify(sound).generation == 2
