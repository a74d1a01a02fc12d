"""Fuzz of every small file of a store: readers raise errors of the family, and no others."""

import contextlib
import json
import os
import random

import pytest

from store.doctor import problems
from store.errors import CorruptSnapshotError, MarqueeError, NoSnapshotError
from store.explain import explain
from store.journal import flips, journal
from store.layout import CHECKSUMS, MANIFEST, snapshot_folder
from store.manifest import Manifest, read_manifest, verify
from store.pointer import current, current_or_none, pinned
from store.publish import pin
from store.snapshot import open_snapshot
from store.takedown import take_down, takedowns
from tests.snapshots import make_snapshot
from tests.store.adversarial import n_rounds, resummed, versions
from tests.store.replicas import pull_from, push_to

SEED = 41


@pytest.fixture
def full(two):
    """A store in which every file exists; generation 2 is current and pinned."""
    take_down(two, ["a"], "rights")
    pin(two, "a test")
    return two


def fuzz(path, read, n_files, before_read=lambda: None):
    """Write damaged versions of a file, read each, and restore it; return how many were refused."""
    sound = path.read_bytes()
    rng = random.Random(SEED)
    messages: list[str] = []
    for content, _ in zip(versions(path.name, sound, rng), range(n_files), strict=False):
        path.write_bytes(content)
        before_read()
        try:
            read()
        except MarqueeError as error:
            messages.append(str(error))
    path.write_bytes(sound)
    before_read()
    read()
    assert [m for m in messages if len(m) > 1000 or not m.isprintable()] == []
    return len(messages)


@pytest.mark.parametrize(
    ("name", "read", "n_files"),
    [
        ("CURRENT", lambda store: (current_or_none(store), current(store)), 2500),
        ("PIN", pinned, 2000),
        ("JOURNAL", lambda store: (journal(store), flips(store)), 1500),
        ("TAKEDOWN", takedowns, 2000),
    ],
)
def test_a_damaged_file_beside_the_snapshots_is_an_error_of_the_family(full, name, read, n_files):
    """Digits without end, other scripts, tears, flips: refused, or read as what it says."""
    n_refused = fuzz(full / name, lambda: read(full), n_rounds(n_files))
    assert n_refused > 0 or name == "JOURNAL"  # damaged lines of it are skipped


@pytest.mark.parametrize("name", [MANIFEST, CHECKSUMS])
def test_a_damaged_file_of_a_snapshot_is_an_error_of_the_family(full, name):
    """Whatever of it is read: by a worker that trusts the verification, or by `verify`."""
    folder = snapshot_folder(full, 2)

    def read():
        read_manifest(folder)
        verify(folder)

    assert fuzz(folder / name, read, n_rounds(500)) > 0


def test_a_manifest_with_right_checksums_is_refused_or_can_be_used(full):
    """Every accepted one has times with a zone, counts, and can be written as JSON in UTF-8."""
    folder = snapshot_folder(full, 2)

    def read():
        manifest = verify(folder)
        json.dumps(manifest.as_json(), ensure_ascii=False).encode()
        with open_snapshot(full, 2, verified=True) as snapshot:
            assert snapshot.users.get(b"ann") == b"b,c"
        assert all(type(n) is int and n >= 0 for n in manifest.counts.values())

    assert fuzz(folder / MANIFEST, read, n_rounds(700), lambda: resummed(folder)) > 0


@pytest.mark.parametrize("name", ["CURRENT", "PIN", "JOURNAL", "TAKEDOWN", MANIFEST, CHECKSUMS])
def test_the_commands_read_damaged_files_too(full, name):
    """`doctor` finds problems instead of ending, and `explain` raises an error of the family."""
    path = full / name if (full / name).exists() else snapshot_folder(full, 2) / name

    def read():
        list(problems(full))
        with contextlib.suppress(MarqueeError):
            explain(full, "ann", None)

    fuzz(path, read, 60)


@pytest.mark.parametrize("name", ["CURRENT", "PIN", "JOURNAL", "TAKEDOWN", MANIFEST, CHECKSUMS])
def test_a_pipe_in_place_of_a_file_is_refused(full, name):
    """Reading it would wait for ever."""
    folder = snapshot_folder(full, 2)
    path = full / name if (full / name).exists() else folder / name
    path.unlink()
    os.mkfifo(path)
    readers = {"PIN": pinned, "JOURNAL": journal, "TAKEDOWN": takedowns, "CURRENT": current}
    with pytest.raises(MarqueeError):
        readers.get(name, lambda _: verify(folder))(full)


def with_manifest(store, **fields):
    """Change fields of the manifest of generation 2, checksums included."""
    folder = snapshot_folder(store, 2)
    document = json.loads((folder / MANIFEST).read_text()) | fields
    (folder / MANIFEST).write_text(json.dumps(document))
    resummed(folder)
    return folder


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("finished_at", "2026-03-01T02:30:00"), ("began_at", "yesterday"), ("finished_at", 7)),
        *(("generation", "2"), ("generation", True), ("generation", 10**12 + 1), ("parent", 0)),
        *(("counts", {"recs.mdb/users": -1}), ("counts", {"recs.mdb/users": "many"})),
        *(("files", {"../recs.mdb": 1}), ("files", {"recs.mdb": 1.0}), ("inputs", ["a"])),
        *(("parameters", {"rules": []}), ("metrics", 1), ("code_version", "a\x1b[2J")),
        ("metrics", {"a": "\ud800"}),
    ],
)
def test_a_field_of_another_type_or_range_is_refused(full, field, value):
    """Sound checksums do not help."""
    folder = with_manifest(full, **{field: value})
    with pytest.raises(CorruptSnapshotError, match=MANIFEST):
        verify(folder)


def test_a_sound_manifest_with_right_checksums_is_accepted(full):
    """The twin: another time with a zone, and other counts."""
    folder = with_manifest(full, finished_at="2026-03-01T03:30:00+01:00", counts={"x": 1})
    assert verify(folder).finished_at == "2026-03-01T03:30:00+01:00"
    assert isinstance(verify(folder), Manifest)


def test_a_pointer_of_5000_digits_is_refused(two):
    """`int` itself refuses more than 4,300 with another error."""
    (two / "CURRENT").write_text("9" * 5000)
    with pytest.raises(NoSnapshotError, match="does not hold a generation"):
        current(two)
    assert current_or_none(two) is None


def test_takedowns_beyond_the_limit_are_not_written(two, monkeypatch):
    """What could not be read again is refused, and the old ones stay."""
    take_down(two, ["a"], "rights")
    monkeypatch.setattr("store.takedown.MAX_TAKEDOWN_BYTES", 100)
    with pytest.raises(MarqueeError, match="larger than"):
        take_down(two, ["b" * 100], "rights")
    assert [*takedowns(two)] == ["a"]


def test_only_folders_named_like_a_generation_are_generations(two):
    """Digits of other scripts and names without leading zeros are not."""
    for name in ("٤٢٤٢٤٢", "42", "000003x"):
        (two / "snapshots" / name).mkdir()
    assert make_snapshot(two, {"ann": ["a"]}, ["a"]) == 3


@pytest.mark.parametrize("name", ["CURRENT", "TAKEDOWN", MANIFEST, CHECKSUMS])
def test_a_pull_of_damaged_files_is_an_error_of_the_family(full, there, node, name):
    """`pull --watch` logs it and goes on; the replica serves what it served."""
    push_to(there, full, 1)
    pull_from(there, node)
    push_to(there, full, 2)
    path = there / name if (there / name).exists() else snapshot_folder(there, 2) / name

    def read():
        pull_from(there, node)

    sound, rng = path.read_bytes(), random.Random(SEED)
    for content, _ in zip(versions(name, sound, rng), range(60), strict=False):
        path.write_bytes(content)
        with contextlib.suppress(MarqueeError):
            read()
        assert current(node) in (1, 2)
        verify(snapshot_folder(node, current(node)))
