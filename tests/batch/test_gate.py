"""The gate: the figure of each check, and the result."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

from batch.evaluation.bootstrap import Interval
from batch.gate.checks import check_coverage, check_lists, check_quality, name_margins
from batch.gate.settings import GateSettings
from batch.gate.trial import Trial
from batch.models.choice import AGAINST_INCUMBENT, Candidate, Choice, Tried
from batch.second_stage.choice import StageComparison
from batch.topk import NO_ITEM
from batch.unavailable import Unavailable
from store.gate_result import GateCheck, GateResult

GATE = GateSettings()
SERVED = {"recs.mdb/users": 1000, "recs.mdb/rows": 200}


def by_rule(checks: list[GateCheck]) -> dict[str, GateCheck]:
    return {check.rule: check for check in checks}


# Coverage


@pytest.mark.parametrize(
    ("n_users", "n_items", "refused"),
    [
        (1000, 200, set()),
        (900, 180, set()),  # nine tenths of both: the threshold itself passes
        (899, 200, {"users"}),
        (1000, 179, {"items"}),
        (500, 100, {"users", "items"}),
        (5000, 900, set()),
    ],
)
def test_missing_users_and_items_are_refused(n_users, n_items, refused):
    """Fewer than nine tenths of the served ones are refused; the note has both numbers."""
    checks = check_coverage(n_users, n_items, SERVED, GATE)
    assert {check.rule for check in checks if not check.is_ok} == refused
    assert by_rule(checks)["users"].figure == pytest.approx(n_users / 1000)
    assert f"{n_users:,} after 1,000" in by_rule(checks)["users"].note


def test_the_first_snapshot_has_no_coverage_to_compare_with():
    """Without a served snapshot, coverage is not evaluated; the note has the reason."""
    checks = check_coverage(1, 1, None, GATE)
    assert all(check.is_ok and check.figure is None for check in checks)
    assert checks[0].note == "not evaluated: no snapshot is served yet"


# The lists themselves


def lists(n_users: int = 100, n_kept: int = 20) -> np.ndarray:
    rows = np.tile(np.arange(30, dtype=np.int32), (n_users, 1))
    rows[:, n_kept:] = NO_ITEM
    return rows


def nothing_seen(n_users: int = 100, n_items: int = 60) -> sp.csr_matrix:
    return sp.csr_matrix(np.zeros((n_users, n_items), np.float32))


def checked(rows, seen=None, hidden=(), **settings) -> dict[str, GateCheck]:
    seen = nothing_seen(len(rows)) if seen is None else seen
    return by_rule(check_lists(rows, seen, hidden, GateSettings(**settings)))


def test_sound_lists_pass():
    """Twenty different items each are enough; spares may be missing."""
    found = checked(lists())
    assert [(check.figure, check.is_ok) for check in found.values()] == [(0, True), (0, True)]


def test_short_lists_are_refused_beyond_the_threshold():
    """Of 100 lists one may be short, two may not."""
    rows = lists()
    rows[7, 19] = NO_ITEM
    assert checked(rows)["short"].is_ok
    rows[8, 5:] = NO_ITEM
    assert not checked(rows)["short"].is_ok
    assert checked(rows)["short"].figure == 0.02
    assert checked(rows, max_short_share=0.02)["short"].is_ok


def test_a_list_of_all_unseen_items_is_not_short():
    """A user who has seen 45 of 60 items can have 15, fewer if some are hidden."""
    seen = nothing_seen().tolil()
    seen[:, 15:] = 1
    assert checked(lists(n_kept=15), seen.tocsr())["short"].is_ok
    assert not checked(lists(n_kept=14), seen.tocsr())["short"].is_ok
    assert checked(lists(n_kept=14), seen.tocsr(), hidden={3})["short"].is_ok


def test_users_without_any_list_are_not_short():
    """They get the fallback, and are counted by coverage."""
    assert checked(lists(n_kept=0))["short"].is_ok


def test_one_repeated_item_is_refused():
    """An item twice among the 20 at any place is refused; the spares are not checked."""
    rows = lists(n_kept=30)
    rows[99, 29] = rows[99, 0]
    assert checked(rows)["repeats"].is_ok
    rows[99, 19] = rows[99, 0]
    assert not checked(rows)["repeats"].is_ok
    assert "0.0100 of the lists repeat an item" in checked(rows)["repeats"].note


# Quality


def trial(new: float, base: float, high: float, name: str = "served") -> Trial:
    ndcg = {"new": Interval(new, new, new), name: Interval(base, base, base)}
    change = {name: Interval(new - base, new - base - 0.01, high)}
    missing = {other: "no lists" for other in ("served", "popular") if other != name}
    return Trial(500, ndcg, change, missing)


@pytest.mark.parametrize(
    ("new", "high", "is_ok"),
    [
        (0.30, 0.11, True),  # better
        (0.19, 0.01, True),  # worse, but not significantly
        (0.09, -0.10, True),  # significantly worse by half, which is allowed
        (0.09, -0.101, False),  # significantly worse by more
        (0.00, -0.20, False),
    ],
)
def test_a_significant_loss_is_refused(new, high, is_ok):
    """The whole interval must be below the limit; 0.2 is the NDCG of the served lists."""
    check = by_rule(check_quality(trial(new, 0.2, high), GATE))["loss to served"]
    assert check.is_ok is is_ok
    assert check.figure == pytest.approx((0.2 - new) / 0.2)
    assert f"{new:.4f} against 0.2000 served" in check.note


def test_the_limit_of_a_loss_to_the_popular_list_is_narrow():
    """It is 5 %: the popular list was not shown, so it has no exposure bias."""
    for high, is_ok in ((-0.01, True), (-0.0101, False)):
        check = by_rule(check_quality(trial(0.17, 0.2, high, "popular"), GATE))["loss to popular"]
        assert check.is_ok is is_ok


def test_quality_without_a_trial_is_not_evaluated():
    """The note has the reason, whether the trial is missing or the lists to compare with."""
    checks = check_quality(Unavailable("the events have no times"), GATE)
    assert [check.note for check in checks] == ["not evaluated: the events have no times"] * 2
    assert all(check.is_ok for check in checks)
    checks = check_quality(trial(0.1, 0.2, -0.05, "popular"), GATE)
    assert [check.is_ok for check in checks] == [True, False]
    assert checks[0].note == "not evaluated: no lists"


def test_a_base_of_0_allows_no_loss():
    """No list can be worse than an NDCG of 0."""
    assert all(check.is_ok for check in check_quality(trial(0.0, 0.0, 0.0), GATE))


def test_the_note_of_a_loss_has_the_bound_and_the_limit():
    """Both are shares of the NDCG of the lists that are compared with."""
    check = by_rule(check_quality(trial(0.3, 0.2, 0.1566, "popular"), GATE))["loss to popular"]
    assert check.note.endswith("upper bound of the 95 % interval +78.3 %, limit -5 %")


# The result

# Margins


def test_the_gate_names_the_margins_of_choices_and_refuses_none():
    """With the gain of the other candidate, where it was compared; no choice, no line."""
    tried = Tried("1 × ease", Interval(0.202, 0.2, 0.21), Interval(0.002, -0.1, 0.1))
    parts = (Candidate("ials", {}),)
    kept = Choice(parts, (1.0,), 0.3)
    searched = Choice(parts, (1.0,), tried=(dataclasses.replace(tried, why=AGAINST_INCUMBENT),))
    alone = Interval(0.2, 0.19, 0.21)
    stage = StageComparison(900, 86_400, alone, alone, Interval(-0.002, -0.1, 0.1), is_served=True)
    lines = [*name_margins(kept, None), *name_margins(searched, stage)]
    assert [(line.rule, line.figure, line.threshold, line.is_ok) for line in lines] == [
        ("choice", None, 0.0006, True),
        ("choice", 0.002, 0.0004, True),
        ("second stage", 0.002, 0.0004, True),
    ]
    assert lines[1].note == (
        "1 × ease gains +0.0020 of NDCG@20, must gain 0.0004 significantly to change the choice"
    )
    assert name_margins(None, None) == []


OK = GateCheck("users", 1.0, 0.9, is_ok=True, note="all there")
BAD = GateCheck("items", 0.5, 0.9, is_ok=False, note="half are gone")


def test_one_failed_check_refuses_the_snapshot():
    """The line of the journal names the check."""
    assert GateResult([OK]).result == "passed"
    assert GateResult([OK]).why == "refresh"
    assert GateResult([OK, BAD]).result == "refused"
    assert GateResult([OK, BAD]).why == "gate: items: half are gone"


def test_an_override_is_recorded_only_if_it_was_needed():
    """The record has the reason and the failed checks."""
    result = GateResult([OK, BAD], override="the catalogue was cut on purpose")
    assert result.result == "overridden"
    assert result.why.startswith("refresh, gate overridden (the catalogue was cut on purpose)")
    assert result.as_json()["override"] == "the catalogue was cut on purpose"
    assert result.as_json()["checks"][1]["is_ok"] is False
    assert GateResult([OK], override="to be safe").as_json()["result"] == "passed"
    assert "override" not in GateResult([OK], override="to be safe").as_json()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_users_share": 1.1}, "min_users_share must lie between 0 and 1"),
        ({"max_loss_to_served": -0.1}, "max_loss_to_served must be 0 or more"),
        ({"max_loss_to_served": float("nan")}, "max_loss_to_served must be 0 or more, and finite"),
        ({"min_evaluated_users": 1}, "min_evaluated_users must be at least 2"),
        (
            {"min_evaluated_users": 50, "max_evaluated_users": 40},
            "max_evaluated_users must be at least min_evaluated_users",
        ),
    ],
)
def test_thresholds_out_of_range_are_refused(settings, message):
    """The message names the key."""
    with pytest.raises(ValueError, match=message):
        GateSettings(**settings)
