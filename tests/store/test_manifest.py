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
    """Return the damages among `damaged`, named bytes of file `name`, that were not refused."""
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
        place, mask = bit // 8, 1 << bit % 8
        damaged = bytearray(content)
        damaged[place] ^= mask
        yield f"bit {bit % 8} of byte {place}", bytes(damaged)


def test_a_sound_snapshot_is_verified(sound):
    """The twin of every damage below: it passes, and says what it is."""
    manifest = verify(sound)
    assert (manifest.generation, manifest.parent) == (2, 1)
    assert manifest == read_manifest(sound)


@pytest.mark.parametrize("name", DATA_FILES)
def test_a_flipped_bit_in_a_data_file_is_refused(sound, every_file, name):
    """Of 300 single bits anywhere in the file not one is served."""
    rng = random.Random(SEED)
    n_bits = 8 * len(every_file[name])
    bits = rng.sample(range(n_bits), min(N_FLIPS, n_bits))
    assert accepted(sound, name, flipped(every_file[name], bits)) == []


@pytest.mark.parametrize("name", [MANIFEST, CHECKSUMS])
def test_any_flipped_bit_in_the_texts_is_refused(sound, every_file, name):
    """Every single bit of the manifest and of the checksums counts."""
    bits = range(8 * len(every_file[name]))
    assert accepted(sound, name, flipped(every_file[name], bits)) == []


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_is_refused(sound, every_file, name):
    """By one byte, to nothing, or anywhere between."""
    content = every_file[name]
    lengths = {0, 1, len(content) // 2, len(content) - 4096, len(content) - 1}
    lengths |= set(range(0, len(content), max(1, len(content) // 300)))
    cut = ((f"{n} bytes", content[:n]) for n in sorted(lengths) if n >= 0)
    assert accepted(sound, name, cut) == []


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_has_grown_is_refused(sound, every_file, name):
    """A byte too many at the end is damage like any other."""
    grown = [("a byte more", every_file[name] + b"x")]
    assert accepted(sound, name, grown) == []


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(sound, name):
    """The message names the file, and the way out."""
    (sound / name).unlink()
    with pytest.raises(CorruptSnapshotError, match=f"{name}: .*python -m store rollback"):
        verify(sound)


@pytest.mark.parametrize("name", FILES)
def test_a_directory_in_place_of_a_file_is_refused(sound, name):
    """What cannot be read is as bad as what is not there."""
    (sound / name).unlink()
    (sound / name).mkdir()
    with pytest.raises(CorruptSnapshotError, match=name):
        verify(sound)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_generation_is_refused(sound, name):
    """Each file is whole in itself, but not of this snapshot."""
    neighbour = sound.with_name("000001")
    (sound / name).write_bytes((neighbour / name).read_bytes())
    with pytest.raises(CorruptSnapshotError):
        verify(sound)


def test_a_whole_snapshot_under_another_s_number_is_refused(sound):
    """Every checksum is right, but generation 1's lists would be served as 2's."""
    neighbour = sound.with_name("000001")
    for name in FILES:
        (sound / name).write_bytes((neighbour / name).read_bytes())
    with pytest.raises(CorruptSnapshotError):
        verify(sound)


@pytest.mark.parametrize("version", [FORMAT_VERSION - 1, FORMAT_VERSION + 1, "1", None])
def test_another_format_version_is_refused(sound, version):
    """Whole, but not for this code: the message gives both versions and the way out."""
    document = json.loads((sound / MANIFEST).read_text()) | {"format_version": version}
    (sound / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(
        IncompatibleSnapshotError,
        match=f"format version {version}, but this code reads {FORMAT_VERSION}.*rebuild with",
    ):
        verify(sound)


def test_a_newer_format_with_fields_of_its_own_is_incompatible_not_corrupt(sound):
    """The version is looked at before anything that a newer format may have changed."""
    (sound / MANIFEST).write_text(json.dumps({"format_version": 99, "tables": []}))
    with pytest.raises(IncompatibleSnapshotError):
        read_manifest(sound)


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{}", '{"format_version": 1}', "\xff"])
def test_a_manifest_that_is_none_is_refused(sound, text):
    """Whatever stands in it, the answer is one of the store's errors."""
    (sound / MANIFEST).write_text(text, encoding="latin-1")
    with pytest.raises(CorruptSnapshotError, match=MANIFEST):
        read_manifest(sound)


def test_a_generation_that_does_not_exist_is_not_corrupt(two):
    """Nothing is harmed: it is just not there."""
    with pytest.raises(NoSnapshotError):
        verify(snapshot_folder(two, 9))


def test_the_manifest_comes_back_as_it_was_written(sound, tmp_path):
    """Writing what was read gives the same bytes."""
    for name in DATA_FILES:
        shutil.copy(sound / name, tmp_path)
    write_manifest(tmp_path, read_manifest(sound))
    assert (tmp_path / MANIFEST).read_bytes() == (sound / MANIFEST).read_bytes()
    assert (tmp_path / CHECKSUMS).read_bytes() == (sound / CHECKSUMS).read_bytes()


def test_sha256sum_checks_the_snapshot(sound):
    """The tool that every machine has passes all four files."""
    done = sha256sum(sound)
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == sorted(
        f"{name}: OK" for name in (*DATA_FILES, MANIFEST)
    )


@pytest.mark.parametrize("name", [*DATA_FILES, MANIFEST])
def test_sha256sum_finds_the_damage(sound, name):
    """The twin: after a changed byte it names the file."""
    path = sound / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    done = sha256sum(sound)
    assert done.returncode == 1
    assert f"{name}: FAILED" in done.stdout


def test_files_that_lmdb_s_tools_leave_are_ignored(sound):
    """`mdb_stat` writes a lock file beside what it reads; the snapshot is no worse for it."""
    Path(sound / "recs.mdb-lock").write_bytes(b"\0" * 8192)
    assert verify(sound).generation == 2
