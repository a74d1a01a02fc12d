"""What pages say of a report in short: its verdict, groups served worse, and odd files."""

import json
import os

import pytest

from serve.pages.generations import all_generations
from serve.pages.verdicts import ReportVerdicts, verdicts_in_service
from store.gate_result import GateCheck, GateResult
from store.layout import REPORT_JSON, snapshot_folder
from tests.reports import LAST_DAY, MARKUP, report_of
from tests.snapshots import REFUSED_GATE

FAILED = GateCheck("users", 0.4, 0.9, is_ok=False, note="few")
ALIKE = LAST_DAY | {"groups": LAST_DAY["groups"][1:2]}


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def json_of(store):
    return snapshot_folder(store, 2) / REPORT_JSON


@pytest.mark.parametrize(
    ("word", "why", "changes"),
    [
        ("good", "", {}),
        ("look at it", "there is 1 warning", {"warnings": ["old catalogue"]}),
        ("look at it", "the gate refused it, and was overridden",
         {"gate": GateResult([FAILED], "known")}),
        ("refused", "by the gate", {"gate": REFUSED_GATE}),
    ],
)  # fmt: skip
def test_the_verdict_in_short(store, word, why, changes):
    """The operator's reason of an override is in the report alone."""
    report_of(store, **changes)
    found = ReportVerdicts(store).of(2)
    assert (found.word, found.why) == (word, why)


@pytest.mark.parametrize(
    ("last_day", "worse", "said"),
    [
        (LAST_DAY, ("gender F",), "yes: gender F; 1 is too small to tell"),
        (ALIKE, (), "no, not the one group shown"),
        (ALIKE | {"groups": ALIKE["groups"] * 2}, (), "no, none of 2 groups"),
        (LAST_DAY | {"groups": LAST_DAY["groups"][2:]}, None,
         "not known: no group was evaluated; 1 is too small to tell"),
        ({}, None, "not known: no group was evaluated"),
    ],
)  # fmt: skip
def test_whether_a_group_is_served_worse(store, last_day, worse, said):
    """As the report's page says, with the groups that are too small to tell."""
    page = report_of(store, last_day=last_day).read_text()
    found = ReportVerdicts(store).of(2)
    assert (found.worse_groups, found.groups) == (worse, said)
    assert ("Served worse than all users: gender F." in page) == bool(worse)


def test_a_report_is_read_again_when_it_was_made_again(store):
    """And not while its file is the same; one that is removed is gone."""
    report_of(store)
    verdicts = ReportVerdicts(store)
    assert verdicts.of(2).word == "good"
    file = json_of(store)
    found, text = file.stat(), file.read_text()
    file.write_text(" " * len(text.encode()))
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert verdicts.of(2).word == "good"
    file.write_text(text.replace('"green"', '"amber"'))
    assert verdicts.of(2).word == "look at it"
    file.unlink()
    assert verdicts.of(2).word == "no report"


def without(*path):
    """Return a change of a report that removes what lies there."""

    def change(document):
        inner = document
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        return document

    return change


@pytest.mark.parametrize(
    "change",
    [
        without("verdict"), without("gate"), without("groups"), without("groups", "min_users"),
        without("quality", "last_day", "ndcg"), without("groups", "shown", 0, "ndcg"),
        lambda document: document | {"generation": 7},
        lambda document: document | {"format_version": 2},
        lambda document: document | {"verdict": {"colour": "blue", "sentence": "?"}},
        lambda document: document | {"verdict": {"colour": ["green"], "sentence": "?"}},
        lambda document: document | {"verdict": "green"},
        lambda document: document | {"gate": {"result": []}},
        lambda document: document | {"groups": document["groups"] | {"shown": [7]}},
        lambda document: document | {"groups": document["groups"] | {"n_suppressed": "x"}},
        lambda document: [document], lambda _: None,
    ],
)  # fmt: skip
def test_a_report_of_another_form_is_shown_as_such(store, change):
    report_of(store)
    file = json_of(store)
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    found = ReportVerdicts(store).of(2)
    assert (found.word, found.worse_groups) == ("not readable", None)
    assert found.why.startswith("report.json is not a report of this generation: ")


def test_a_damaged_report_is_shown_as_such(store):
    """Torn, binary, endless, a directory or a pipe: one cell each, and the others stay."""
    report_of(store)
    file = json_of(store)
    whole = file.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"\xff\x00" * 9, b"[" * 99_999):
        file.write_bytes(content)
        assert ReportVerdicts(store).of(2).word == "not readable"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)
    assert ReportVerdicts(store).of(2).word == "not readable"
    for make in (os.mkdir, os.mkfifo):
        (file.rmdir if file.is_dir() else file.unlink)()
        make(file)
        assert ReportVerdicts(store).of(2).word == "not readable"
        assert [one["report"]["word"] for one in generations(store)] == [
            "not readable",
            "look at it",
        ]


def generations(store):
    return all_generations(store, ReportVerdicts(store))["generations"]


def test_generations_name_the_groups_that_are_too_small(store):
    """With their numbers of users, but no quality; and the time of the last event that was read."""
    report_of(store)
    now, before = generations(store)
    assert now["small_groups"] == [{"group": "age 65+", "n_users": 49}]
    assert now["report"]["worse_groups"] == ("gender F",)
    assert before["small_groups"] == []
    assert now["data_until"] is None
    json_of(store).unlink()
    assert generations(store)[0]["small_groups"] == []


def test_the_service_has_the_verdict_of_each_arm(store):
    """A generation of two arms once; without a snapshot none."""
    report_of(store)
    arms = [{"name": name, "generation": n} for name, n in (("a", 1), ("b", 2), ("c", 2))]
    running = {"generation": 1, "experiment": {"arms": arms}}
    verdicts = ReportVerdicts(store)
    found = verdicts_in_service(verdicts, running)
    assert [(one["generation"], one["arms"]) for one in found] == [(1, ["a"]), (2, ["b", "c"])]
    assert found[1]["report"]["groups"].startswith("yes: gender F")
    alone = verdicts_in_service(verdicts, running | {"experiment": None})
    assert [(one["generation"], one["arms"]) for one in alone] == [(1, [])]
    assert verdicts_in_service(verdicts, {"generation": None, "experiment": None}) == []


def test_a_long_text_is_cut(store):
    """So that a foreign file fills no page."""
    report_of(store)
    file = json_of(store)
    document = json.loads(file.read_text())
    document["verdict"] = {"colour": "amber", "sentence": MARKUP * 999}
    document["groups"]["shown"] = document["groups"]["shown"] * 999
    file.write_text(json.dumps(document))
    found = ReportVerdicts(store).of(2)
    assert found.why == (MARKUP * 999)[:300]
    assert found.worse_groups is not None
    assert len(found.worse_groups) <= 100
