"""The gate: what each rule measures, and what follows from it."""

import numpy as np
import pytest
import scipy.sparse as sp

from batch.evaluation.bootstrap import Interval
from batch.gate.checks import check_coverage, check_lists, check_quality
from batch.gate.settings import GateSettings
from batch.gate.trial import Trial
from batch.topk import NO_ITEM
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
    """Fewer than nine tenths of what is served, and the note says both numbers."""
    checks = check_coverage(n_users, n_items, SERVED, GATE)
    assert {check.rule for check in checks if not check.is_ok} == refused
    assert by_rule(checks)["users"].figure == pytest.approx(n_users / 1000)
    assert f"{n_users:,} after 1,000" in by_rule(checks)["users"].note


def test_the_first_snapshot_has_nobody_to_lose():
    """Nothing is served yet: coverage is not judged, and says so."""
    checks = check_coverage(1, 1, None, GATE)
    assert all(check.is_ok and check.figure is None for check in checks)
    assert "nothing is served yet" in checks[0].note


# The lists themselves


def lists(n_users: int = 100, n_kept: int = 20) -> np.ndarray:
    rows = np.tile(np.arange(30, dtype=np.int32), (n_users, 1))
    rows[:, n_kept:] = NO_ITEM
    return rows


def nobody_saw_anything(n_users: int = 100, n_items: int = 60) -> sp.csr_matrix:
    return sp.csr_matrix((n_users, n_items), dtype=np.float32)


def checked(rows, seen=None, hidden=(), **settings) -> dict[str, GateCheck]:
    seen = nobody_saw_anything(len(rows)) if seen is None else seen
    return by_rule(check_lists(rows, seen, hidden, GateSettings(**settings)))


def test_sound_lists_pass():
    """Twenty different items each; the spares behind them may lack."""
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


def test_a_list_of_all_that_is_left_is_not_short():
    """Who has seen 45 of 60 items can have 15, fewer if some are hidden."""
    seen = nobody_saw_anything().tolil()
    seen[:, 15:] = 1
    assert checked(lists(n_kept=15), seen.tocsr())["short"].is_ok
    assert not checked(lists(n_kept=14), seen.tocsr())["short"].is_ok
    assert checked(lists(n_kept=14), seen.tocsr(), hidden={3})["short"].is_ok


def test_users_without_any_list_are_not_short():
    """They get the fallback, and coverage counts them."""
    assert checked(lists(n_kept=0))["short"].is_ok


def test_one_repeated_item_is_refused():
    """An item twice among the 20, wherever it stands; among the spares it is none of the 20's."""
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
    return Trial(500, ndcg, change, "it has seen the last day")


@pytest.mark.parametrize(
    ("new", "high", "is_ok"),
    [
        (0.30, 0.11, True),  # better
        (0.19, 0.01, True),  # worse, perhaps
        (0.09, -0.10, True),  # surely worse by half, which is allowed
        (0.09, -0.101, False),  # surely worse by more
        (0.00, -0.20, False),
    ],
)
def test_a_sure_loss_is_refused(new, high, is_ok):
    """Only where the whole interval lies below the loss allowed; 0.2 is what is served."""
    check = by_rule(check_quality(trial(new, 0.2, high), GATE))["loss to served"]
    assert check.is_ok is is_ok
    assert check.figure == pytest.approx((0.2 - new) / 0.2)
    assert f"{new:.4f} against 0.2000 served" in check.note


def test_a_loss_to_the_popular_list_is_hardly_allowed():
    """A twentieth, surely: nobody was shown the popular list, so it has no advantage."""
    for high, is_ok in ((-0.01, True), (-0.0101, False)):
        check = by_rule(check_quality(trial(0.17, 0.2, high, "popular"), GATE))["loss to popular"]
        assert check.is_ok is is_ok


def test_what_was_not_tried_is_not_judged():
    """The reason stands in the note, whether there was no trial or nothing to compare with."""
    checks = check_quality("the events have no times", GATE)
    assert [check.note for check in checks] == ["not judged: the events have no times"] * 2
    assert all(check.is_ok for check in checks)
    checks = check_quality(trial(0.1, 0.2, -0.05, "popular"), GATE)
    assert [check.is_ok for check in checks] == [True, False]
    assert checks[0].note == "not judged: it has seen the last day"


def test_where_nothing_is_found_nothing_is_lost():
    """A base of 0 cannot be fallen below."""
    assert all(check.is_ok for check in check_quality(trial(0.0, 0.0, 0.0), GATE))


# The verdict

OK = GateCheck("users", 1.0, 0.9, is_ok=True, note="all there")
BAD = GateCheck("items", 0.5, 0.9, is_ok=False, note="half are gone")


def test_all_rules_must_agree():
    """One refusal is enough, and the journal's line says which."""
    assert GateResult([OK]).result == "passed"
    assert GateResult([OK]).why == "refresh"
    assert GateResult([OK, BAD]).result == "refused"
    assert GateResult([OK, BAD]).why == "gate: items: half are gone"


def test_an_override_is_written_down_only_where_it_was_needed():
    """With the reason and with what it overrode."""
    verdict = GateResult([OK, BAD], override="the catalogue was cut on purpose")
    assert verdict.result == "overridden"
    assert verdict.why.startswith("refresh, gate overridden (the catalogue was cut on purpose)")
    assert verdict.as_json()["override"] == "the catalogue was cut on purpose"
    assert verdict.as_json()["checks"][1]["is_ok"] is False
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
    """Each message names the key."""
    with pytest.raises(ValueError, match=message):
        GateSettings(**settings)
