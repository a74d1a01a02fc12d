"""`compare` of manifests whose differences are known by construction."""

import json
from dataclasses import replace

import pytest

from store.compare import Presence, compare, relative_change
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
        "choice.parts.als": "only a",
        "choice.parts.ials": "only b",
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


def test_quality_of_another_last_day_is_not_compared(pair, command):
    """Neither as a share nor as significant; nor is a gain over other lists of that day."""
    same = manifest_of(pair, 2)

    def metrics(mean, until="2026-03-07T23:00:00", n_users=900):
        gain = [mean / 10, mean / 10 - 0.001, mean / 10 + 0.001]
        ndcg = {"new": [mean, mean - 0.01, mean + 0.01]}
        day = {"n_users": n_users, "ndcg": ndcg, "change": {"served": gain}}
        return {"data_until": until, "last_day": day}

    names = ("last_day.ndcg.new", "last_day.change.served")

    def compared(other):
        found = compare(replace(same, metrics=metrics(0.2)), replace(same, metrics=other))
        return {entry.name: entry for entry in found if entry.name in names}

    found = compared(metrics(0.5))
    assert [one.is_comparable for one in found.values()] == [True, True]
    assert all(one.n_intervals > 1 for one in found.values())
    for other in (metrics(0.5, until="2026-03-08T23:00:00"), metrics(0.5, n_users=700)):
        found = compared(other)
        for name in names:
            assert not found[name].is_comparable
            assert found[name].n_intervals is None
            assert relative_change(found[name]) is None


def test_a_manifest_differs_from_itself_in_nothing(pair):
    """And a changed metric or figure of the gate is the only difference."""
    same = manifest_of(pair, 2)
    assert {entry.presence for entry in compare(same, same)} == {Presence.SAME}
    check = GateCheck("loss", 0.1, 0.5, is_ok=True, note="")
    other = replace(same, metrics={"ndcg": 0.2}, gate=GateResult([check]))
    found = {e.name: (e.a, e.b) for e in compare(same, other) if e.presence != Presence.SAME}
    assert found == {"ndcg": (None, 0.2), "loss": (None, 0.1)}
    assert same == read_manifest(snapshot_folder(pair, 2))


def test_parts_of_the_choice_are_matched_by_their_model(pair):
    """In another order nothing differs; parts of one name or without one keep their places."""
    same = manifest_of(pair, 2)

    def differing(a, b):
        a, b = (replace(same, parameters={"choice": {"parts": parts}}) for parts in (a, b))
        found = [one for one in compare(a, b) if one.presence is not Presence.SAME]
        return {one.name: (one.a, one.b) for one in found}

    als, ease = {"model": "als", "share": 0.4}, {"model": "ease", "share": 1.0}
    assert differing([als, ease], [ease, als]) == {}
    assert differing([als, ease], [ease, als | {"share": 0.5}]) == {
        "choice.parts.als.share": (0.4, 0.5)
    }
    for odd in ([als, als], [{"share": 0.4}, als], "als"):
        assert differing(odd, odd) == {}
    assert differing([als, als], [als, ease]).keys() == {
        "choice.parts.1.model", "choice.parts.1.share",
        "choice.parts.2.model", "choice.parts.2.share",
        "choice.parts.als.share", "choice.parts.ease.share",
    }  # fmt: skip


def test_an_unknown_generation_is_an_error(pair, command):
    """A generation without a snapshot and without a manifest."""
    done = command("compare", "2", "9")
    assert ran(done, status=1) == ""
    assert "000009: no such snapshot" in done.stderr


def last_day(*groups):
    """Metrics of a trial, from the names, means and half-widths of groups."""
    of = [{"group": g, "n_users": 90, "ndcg": [m, m - w, m + w]} for g, m, w in groups]
    return {"last_day": {"groups": of}, "odd_figure": 1}


def test_groups_are_matched_by_name_and_ordered_by_their_change(pair, command):
    """Another order, a group of one side, a change beyond its interval, and one within."""
    a = last_day(("women", 0.2, 0.05), ("men", 0.2, 0.01), ("age 18-24", 0.1, 0.01))
    b = last_day(("men", 0.3, 0.01), ("women", 0.21, 0.05))
    for metrics in (a, b):
        make_snapshot(pair, {"ann": ["a"]}, ["a"], metrics=metrics)
    found = compare(manifest_of(pair, 3), manifest_of(pair, 4))
    entries = {e.name: e for e in found if e.subject == "quality by group"}
    assert list(entries)[:2] == ["last_day.groups.men.ndcg", "last_day.groups.women.ndcg"]
    men, women = list(entries.values())[:2]
    assert (men.words, men.a[0], men.b[0]) == ("NDCG@20 of men", 0.2, 0.3)
    assert men.n_intervals == pytest.approx(0.1 / 0.0002**0.5, abs=1e-3)
    assert women.n_intervals == pytest.approx(0.01 / 0.005**0.5, abs=1e-3)
    assert entries["last_day.groups.age 18-24.ndcg"].presence is Presence.ONLY_A
    text = ran(command("compare", "3", "4"))
    assert "last_day" not in text
    assert "odd figure" in text
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "* NDCG@20 of women 0.2 (0.15 to 0.25) 0.21 (0.16 to 0.26) +5.0%, n.s." in rows
    assert "< NDCG@20 of age 18-24 0.1 (0.09 to 0.11)" in rows
    assert any(row.endswith("+50.0%, significant") for row in rows)
