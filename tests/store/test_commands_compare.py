"""`compare` of manifests whose differences are known by construction."""

import json
from dataclasses import replace

import pytest

from store.compare import Presence, compare
from store.gate_result import GateCheck, GateResult
from store.layout import snapshot_folder
from store.manifest import manifest_of, read_manifest
from store.prune import remove_snapshot
from tests.snapshots import make_snapshot

_A = {
    "alpha": 2.0,
    "gone": None,
    "rules": {"deny": ["x"], "cap": 1.0},
    "choice": {"parts": [{"model": "als"}], "tried": [{"name": "left out"}]},
    "served_model": {"left": "out"},
}
_B = {
    "alpha": 3.0,
    "new": "",
    "rules": {"deny": ["x"], "cap": 1.0},
    "choice": {"parts": [{"model": "ials"}], "tried": []},
}


@pytest.fixture
def pair(store):
    """Generations 1 and 2, with the parameters above; 1 has been pruned."""
    make_snapshot(store, {"ann": ["a"]}, ["a"], parameters=_A)
    make_snapshot(store, {"ann": ["a"], "bob": ["b"]}, ["a"], parameters=_B)
    remove_snapshot(store, 1)
    return store


def ran(done, status=0):
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == status, done.stderr
    return done.stdout


def test_compare_as_json_marks_each_difference(pair, command):
    """Nested names, one side alone, null beside missing; a pruned generation has a manifest."""
    found = json.loads(ran(command("compare", "1", "2", "--json")))
    assert (found["a"], found["b"]) == (1, 2)
    rows = {(row["part"], row["name"]): row for row in found["entries"]}
    parameters = {name: row for (part, name), row in rows.items() if part == "parameters"}
    assert {name: row["presence"] for name, row in parameters.items()} == {
        "alpha": "differs",
        "choice.parts.1.model": "differs",
        "gone": "only a",
        "new": "only b",
        "rules.cap": "same",
        "rules.deny": "same",
    }
    assert (parameters["alpha"]["a"], parameters["alpha"]["b"]) == (2.0, 3.0)
    assert rows["counts", "recs.mdb/users"]["b"] == 2
    assert rows["gate", "result"]["presence"] == "same"


def test_compare_as_a_table(pair, command):
    """The marks, the relative change; `--changed` leaves out what is the same."""
    lines = ran(command("compare", "1", "2", "--changed")).splitlines()
    cells = [line.split() for line in lines]
    assert cells[0] == ["generation", "1", "generation", "2"]
    assert ["*", "parameters", "alpha", "2.0", "3.0", "+50.0%"] in cells
    assert ["<", "gone", "–"] in cells
    assert [">", "new", "–"] in cells
    assert not any("rules.cap" in line for line in lines)
    assert ["rules.cap", "1.0", "1.0"] in [
        line.split() for line in ran(command("compare", "1", "2")).splitlines()
    ]


def test_a_manifest_differs_from_itself_in_nothing(pair):
    """And a changed metric or figure of the gate is the only difference."""
    same = manifest_of(pair, 2)
    assert {entry.presence for entry in compare(same, same)} == {Presence.SAME}
    check = GateCheck("loss", 0.1, 0.5, is_ok=True, note="")
    other = replace(same, metrics={"ndcg": 0.2}, gate=GateResult([check]))
    found = {e.name: (e.a, e.b) for e in compare(same, other) if e.presence != Presence.SAME}
    assert found == {"ndcg": (None, 0.2), "loss": (None, 0.1)}
    assert same == read_manifest(snapshot_folder(pair, 2))


def test_an_unknown_generation_is_an_error(pair, command):
    """A generation without a snapshot and without a manifest."""
    done = command("compare", "2", "9")
    assert ran(done, status=1) == ""
    assert "000009: no such snapshot" in done.stderr
