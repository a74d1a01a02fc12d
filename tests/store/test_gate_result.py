"""The gate's result in the manifest: the known form is read, any other one is an error."""

import json

import pytest

from store.errors import CorruptSnapshotError, RefusedSnapshotError
from store.gate_result import GateCheck, GateResult
from store.layout import CHECKSUMS, MANIFEST, snapshot_folder
from store.manifest import read_manifest, sha256
from store.pointer import current
from store.publish import publish, writing
from tests.snapshots import REFUSED_GATE, make_snapshot

GOOD = {"rule": "users", "figure": 1.0, "threshold": 0.9, "is_ok": True, "note": "all there"}
BAD = {"rule": "items", "figure": None, "threshold": 0.9, "is_ok": False, "note": "half missing"}


@pytest.fixture
def with_gate(two):
    """Make snapshot 3 with a given document under `gate`, and sound checksums."""

    def make(gate):
        folder = snapshot_folder(two, make_snapshot(two, {"ann": ["a"]}, ["a"], flip=False))
        old = sha256(folder / MANIFEST)
        document = json.loads((folder / MANIFEST).read_text()) | {"gate": gate}
        (folder / MANIFEST).write_text(json.dumps(document))
        checksums = (folder / CHECKSUMS).read_text()
        (folder / CHECKSUMS).write_text(checksums.replace(old, sha256(folder / MANIFEST)))
        return folder

    return make


@pytest.mark.parametrize(
    "gate",
    [
        {"result": "passed", "checks": [GOOD]},
        {"result": "refused", "checks": [GOOD, BAD]},
        {"result": "overridden", "checks": [BAD], "override": "the catalogue was cut"},
    ],
)
def test_a_result_is_the_same_after_reading_and_writing(gate):
    """For each of the three results."""
    result = GateResult.from_json(gate)
    assert result.as_json() == gate
    assert result == GateResult(
        tuple(GateCheck(**check) for check in gate["checks"]), gate.get("override", "")
    )


def test_a_passed_result_without_checks_is_read(two, with_gate):
    """The first snapshots of format version 1 have none; they can be published."""
    folder = with_gate({"result": "passed"})
    assert read_manifest(folder).gate == GateResult()
    with writing(two):
        assert publish(two, 3, "good")
    assert current(two) == 3


@pytest.mark.parametrize(
    "gate",
    [
        {"passed": True},
        {"passed": False},
        {"result": "passed", "passed": False},
        {},
        [],
        "passed",
        None,
        {"result": "refused"},
        {"result": "refused", "checks": [GOOD]},
        {"result": "passed", "checks": [BAD]},
        {"result": "overridden", "checks": [BAD]},
        {"result": "unknown"},
        {"result": True},
        {"result": "passed", "checks": {}},
        {"result": "passed", "checks": ["users"]},
        {"result": "passed", "checks": [GOOD | {"more": 1}]},
        {"result": "passed", "checks": [GOOD | {"is_ok": 1}]},
        {"result": "passed", "checks": [GOOD | {"figure": "1.0"}]},
        {"result": "passed", "override": 1},
    ],
    ids=json.dumps,
)
def test_another_form_is_an_error_and_is_not_published(two, with_gate, gate):
    """The message names the manifest and `gate`; the current generation stays."""
    folder = with_gate(gate)
    with pytest.raises(CorruptSnapshotError, match=rf"{MANIFEST}: gate: "):
        read_manifest(folder)
    with writing(two), pytest.raises(CorruptSnapshotError):
        publish(two, 3, "no")
    assert current(two) == 2


def test_a_refused_snapshot_is_not_published(two, with_gate):
    """The current generation stays."""
    with_gate(REFUSED_GATE.as_json())
    with writing(two), pytest.raises(RefusedSnapshotError, match="the gate refused it"):
        publish(two, 3, "no")
    assert current(two) == 2
