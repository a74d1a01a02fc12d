"""Looks at experiments of a simulated service, through its store and its day partitions."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from serve.pages.looks import looks_at
from store.arms import start_experiment, stopped_by_guardrail
from store.experiment import Arm, GuardrailMargin, read_experiment
from store.interleave import INTERLEAVED, interleave
from store.journal import journal
from store.pointer import current
from store.publish import writing
from store.snapshot import open_snapshot
from stream.__main__ import main
from stream.errors import StreamError
from stream.experiments.looks import ExperimentLook, identity_of, keep_look, kept_looks, looking
from stream.online.experiment_gauges import ExperimentGauges
from stream.online.served_lists import ServedLists
from tests.experiments import experiment_of
from tests.snapshots import make_snapshot
from tests.stream.online_events import answer, seconds, view, write_events

USERS = [f"u{number}" for number in range(900)]
START = "2026-03-02T00:00:00+00:00"
DAY = 86_400
NAME = "test"
BEGIN = seconds(START[:19])
ITEMS = {"control": ["c1", "c2", "c3"], "treatment": ["t1", "t2", "t3"]}
CONTINUED, STOPPED, PROMOTED, DECIDED, ALARM = 0, 4, 5, 6, 7


class Service:
    """A store of two generations, and users who watch by the rate of their arm.

    Args:
        folder: Directory of store, events and hours.
        *generations: Generations of the arms.
        **fields: Fields of the experiment.

    Attributes:
        requests: User, time, arm and whether a view followed, of each answered request.
    """

    def __init__(self, folder, *generations, **fields):
        generations = generations or (1, 2)
        self.folder, self.store, self.random = folder, folder / "store", random.Random(7)
        self.n_segments = 0
        self.requests: list[tuple[str, int, int, bool]] = []
        for name, items in ITEMS.items():
            lists = dict.fromkeys(USERS, items)
            make_snapshot(self.store, lists, items, flip=name == "control")
        lines = (self.store / "JOURNAL").read_text()
        (self.store / "JOURNAL").write_text("2025" + lines[4:])
        self.experiment = experiment_of(
            *generations, **{"started_at": START, "planned_days": 4, **self.interleaved(fields)}
        )
        start_experiment(self.store, self.experiment, "test")
        self.arm_of = self.experiment.arm_function()
        self.config = folder / "marquee.toml"
        self.config.write_text(
            f'[store]\npath = "{self.store}"\n[stream]\nevents = "{folder}/events"\n'
            f'[online]\npath = "{folder}/online"\nclick_hours = 1.0\nlate_hours = 0.0\n'
        )

    def interleaved(self, fields):
        """Return the fields, with the merged arm where the kind is to interleave."""
        return fields

    def lists_of(self, user, arm):
        """Return the items that a user gets in an arm."""
        del user
        return [*ITEMS.values()][min(arm, 1)]

    def day(self, number, rates, failures=(0.0,) * 3, lost=(0.0,) * 3, leaked=0, late=0):
        """Write one day of requests, and return how many users of each arm got one and clicked.

        Args:
            number: Day, 0 for the first of the experiment; before it all get the control.
            rates: Click-through by arm, or by item of the list in an interleaving.
            failures: Share of failed answers by arm.
            lost: Share of users by arm of whom nothing is logged.
            late: Seconds by which the requests are later than those of another call.
            leaked: Number of first users of the treatment who get the lists of the control.
        """
        rows: dict[str, list[tuple]] = {"answers": [], "views": []}
        sums = [[0, 0] for _ in rates]
        self.n_segments += 1
        for place, user in enumerate(USERS):
            arm = self.arm_of(user.encode()) if number >= 0 else 0
            if random.Random(f"lost {user}").random() < lost[arm] or self.random.random() < 0.2:
                continue
            is_leaked = arm == 1 and leaked > 0
            leaked -= is_leaked
            at = BEGIN + DAY * number + 3600 + 80 * place + late
            sums[arm][0] += 1
            if self.random.random() < failures[arm]:
                rows["answers"].append(answer(user, at, None, 600, 0, "timed out"))
                continue
            items = self.lists_of(user, 0 if is_leaked else arm)
            rows["answers"].append(answer(user, at, ",".join(items)))
            clicked = [
                item for item in items if self.random.random() < self.rate(user, item, arm, rates)
            ]
            rows["views"] += [view(user, item, at + 60, 5) for item in clicked[:1]]
            sums[arm][1] += bool(clicked)
            self.requests.append((user, at, arm, bool(clicked)))
        write_events(self.folder / "events", self.n_segments, **rows)
        return sums

    def rate(self, user, item, arm, rates):
        """Return the probability of a click on one of the three items."""
        del user, item
        return 1 - (1 - rates[arm]) ** (1 / 3)

    def run(self, verb, capsys, *options):
        """Run a verb; return its exit status, and the JSON that it printed."""
        status = main(["experiment", verb, "--config", str(self.config), "--json", *options])
        return status, json.loads(capsys.readouterr().out)

    def gauges(self):
        """Return the values of the gauges of the experiment, by name and labels."""
        registry = CollectorRegistry()
        ExperimentGauges(registry).update(self.store, self.folder / "online")
        lines = generate_latest(registry).decode().splitlines()
        samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        prefix = "marquee_online_experiment_"
        return {name.removeprefix(prefix): float(value) for name, _, value in samples}

    def looks(self):
        """Return the kept looks."""
        path = self.folder / "online" / "experiments" / "test.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def service(tmp_path):
    return lambda *generations, **fields: Service(tmp_path, *generations, **fields)


def test_a_planted_difference_is_found_and_a_person_promotes(service, capsys):
    """Rates are those that were planted, to the last click; two checks a day are one look."""
    ab = service(min_effect=0.2)
    ab.day(-1, (0.3, 0.3))
    control, treatment = ab.day(0, (0.25, 0.5))
    status, shown = ab.run("status", capsys)
    arms = shown["figures"]["arms"]
    assert [(arm["n_users"], arm["n_requests"]) for arm in arms] == [
        (n, n) for n, _ in (control, treatment)
    ]
    assert [arm["rate"] for arm in arms] == [k / n for n, k in (control, treatment)]
    assert all(arm["low"] < arm["rate"] < arm["high"] for arm in arms)
    assert not (ab.folder / "online" / "experiments").exists()
    for _ in range(2):
        status, found = ab.run("check", capsys)
        assert (status, found["verdicts"]) == (DECIDED, {"treatment": "better"})
    (comparison,) = found["figures"]["comparisons"]
    assert comparison["is_adjusted"]
    assert 0 < comparison["spent"] < 0.001
    assert comparison["bound"] > 4
    assert len(ab.looks()) == 1
    shown = looks_at(ab.folder / "online", ab.experiment)  # by the server's page
    ahead = "“treatment” is ahead of “control”, significantly better: click-through "
    assert shown["ahead"].startswith(ahead)
    assert shown["stop"].startswith("Yes: “treatment” is better in click-through. A person has to")
    assert shown["last"]["arms"][1]["rate"] == arms[1]["rate"]
    assert shown["looks"][0]["differences"][0]["low"] == comparison["effect_low"]
    assert (current(ab.store), read_experiment(ab.store)) == (1, ab.experiment)

    assert ab.run("check", capsys, "--act")[0] == PROMOTED
    assert (current(ab.store), read_experiment(ab.store)) == (2, None)
    why = "test: treatment: check: “treatment” is better in click-through"
    assert journal(ab.store)[-1].why == why
    assert main(["experiment", "check", "--config", str(ab.config)]) == CONTINUED


def test_no_difference_is_found_where_there_is_none(service, capsys):
    """A look a day until the planned end, at which all error is spent; then no more."""
    ab = service()
    statuses = []
    for number in range(5):
        ab.day(number, (0.3, 0.3))
        status, found = ab.run("check", capsys)
        statuses.append(status)
        assert found["verdicts"] == {"treatment": "n.s."}
    assert statuses == [CONTINUED] * 4 + [DECIDED]
    assert found["why"] == "no arm is better in click-through by the planned end"
    looks = ab.looks()
    assert [len(look["n_users"]) for look in looks] == [2] * 5
    assert "not significant" in looks_at(ab.folder / "online", ab.experiment)["ahead"]
    assert found["figures"]["comparisons"][0]["spent"] == pytest.approx(0.05)
    ab.day(5, (0.3, 0.3))
    assert ab.run("check", capsys)[1]["is_new_look"] is False
    assert ab.looks() == looks


@pytest.mark.parametrize(("margin", "expected"), [(0.05, STOPPED), (0.5, CONTINUED)])
def test_a_guardrail_beyond_its_margin_stops_the_experiment(service, capsys, margin, expected):
    """Also between two looks of a day; the control stays current."""
    rails = (GuardrailMargin("availability", margin), GuardrailMargin("mean_ms", 400))
    ab = service(guardrails=rails)
    ab.day(0, (0.3, 0.3))
    assert ab.gauges() == {}
    assert ab.run("check", capsys)[0] == CONTINUED
    assert_gauges_are_the_look(ab.gauges(), ab.looks()[-1]["figures"])
    ab.day(0, (0.3, 0.3), failures=(0.0, 0.5), late=9000)
    status, found = ab.run("check", capsys)
    assert not found["is_new_look"]
    assert status == expected
    verdicts = {one["metric"]: one["verdict"] for one in found["figures"]["guardrails"]}
    assert verdicts["mean_ms"] == "clear"
    assert (read_experiment(ab.store) is None, current(ab.store)) == (expected == STOPPED, 1)
    if expected == STOPPED:
        assert "“treatment” loses more than 0.05 of availability" in journal(ab.store)[-1].why
    assert bool(stopped_by_guardrail(ab.store)) == (expected == STOPPED)
    assert bool(ab.gauges()) == (expected == CONTINUED)


def assert_gauges_are_the_look(gauges, figures):
    """Shares, lift, guardrails and users are those that the look kept."""
    expected = {f'sample_ratio_p{{experiment="{NAME}"}}': figures["sample_ratio"]["p_value"]}
    (lift,) = figures["comparisons"]
    for end in ("low", "high"):
        labels = f'{{arm="treatment",end="{end}",experiment="{NAME}",metric="click_through"}}'
        expected[f"lift_interval{labels}"] = lift[end]
    for rail in figures["guardrails"]:
        labels = f'{{arm="treatment",experiment="{NAME}",metric="{rail["metric"]}"}}'
        expected |= {f"guardrail_{name}{labels}": rail[name] for name in ("margin", "gain")}
    for arm in figures["arms"]:
        expected[f'users{{arm="{arm["name"]}",experiment="{NAME}"}}'] = arm["n_users"]
    assert expected.items() <= gauges.items()


@pytest.mark.parametrize(
    ("rates", "expected", "generation"),
    [((0.25, 0.5), PROMOTED, 2), ((0.5, 0.25), STOPPED, 1), ((0.3, 0.3), CONTINUED, 1)],
)
def test_a_canary_promotes_or_stops_itself(service, capsys, rates, expected, generation):
    canary = service(kind="canary")
    canary.day(0, rates)
    status, found = canary.run("check", capsys)
    assert (status, current(canary.store)) == (expected, generation)
    assert (read_experiment(canary.store) is None) == (expected != CONTINUED)
    assert found["figures"]["comparisons"][0]["spent"] is None
    assert [look["outcome"] for look in canary.looks()] == [found["outcome"]]
    shown = looks_at(canary.folder / "online", canary.experiment)
    said = {
        PROMOTED: "It was promoted: “treatment” is",
        STOPPED: "It was stopped",
        CONTINUED: "Not yet",
    }
    assert shown["stop"].startswith(said[expected])


def test_a_canary_without_a_difference_stops_at_its_planned_end(service, capsys):
    canary = service(kind="canary", planned_days=0.5)
    canary.day(0, (0.3, 0.3))
    assert canary.run("check", capsys)[0] == STOPPED


def test_the_best_of_several_arms_is_promoted(service, capsys):
    """At half of the error for each; two arms may have one generation."""
    canary = service(1, 2, 2, kind="canary")
    canary.day(0, (0.2, 0.2, 0.5))
    status, found = canary.run("check", capsys)
    assert (status, found["verdicts"]) == (PROMOTED, {"treatment": "n.s.", "third": "better"})
    assert journal(canary.store)[-1].why.startswith("test: third: ")
    assert not any(arm["contaminated_share"] for arm in found["figures"]["arms"])


def test_few_users_decide_nothing(service, capsys):
    """All 70 or so differ as much as they can."""
    ab = service()
    ab.day(0, (0.0, 1.0), lost=(0.9, 0.9))
    status, found = ab.run("check", capsys)
    assert (status, found["figures"]["comparisons"]) == (CONTINUED, [])


def test_two_checks_at_once_take_one_look(service, capsys):
    ab = service()
    ab.day(0, (0.2, 0.5))
    with looking(ab.folder / "online"):
        assert main(["experiment", "check", "--config", str(ab.config)]) == 1
    assert "another process is writing to it" in capsys.readouterr().err
    assert ab.run("check", capsys)[0] == DECIDED
    assert len(ab.looks()) == 1


def test_an_experiment_that_is_not_in_force_is_not_looked_at(service, capsys):
    ab = service()
    ab.day(0, (0.2, 0.5))
    (ab.store / "CURRENT").write_text("2")
    assert main(["experiment", "check", "--config", str(ab.config), "--act"]) == 1
    assert "is not in force: its control is not current; look with" in capsys.readouterr().err


def test_a_sample_ratio_alarm_is_reported_and_nothing_is_promoted(service, capsys):
    """Its twin with all users is promoted above."""
    canary = service(kind="canary")
    canary.day(0, (0.25, 0.5), lost=(0.0, 0.4))
    status, found = canary.run("check", capsys)
    assert (status, read_experiment(canary.store)) == (ALARM, canary.experiment)
    assert found["figures"]["sample_ratio"]["alarm"]
    assert found["figures"]["sample_ratio"]["p_value"] < 0.01
    assert found["verdicts"] == {"treatment": "better"}


def test_users_with_another_arms_lists_are_counted_in_their_own_arm(service, capsys):
    """Seven users of the treatment got the control's lists."""
    ab = service()
    _, treatment = ab.day(0, (0.3, 0.3), leaked=7)
    arms = ab.run("status", capsys)[1]["figures"]["arms"]
    assert [arm["n_users"] for arm in arms][1] == treatment[0]
    assert [arm["contaminated_share"] for arm in arms] == [0, 7 / treatment[0]]


def test_equal_lists_of_two_arms_are_no_contamination(tmp_path, capsys):
    """Nobody can tell which generation gave them."""
    treatment = ITEMS["treatment"]
    try:
        ITEMS["treatment"] = ITEMS["control"]
        ab = Service(tmp_path)
        ab.day(0, (0.3, 0.3))
        arms = ab.run("status", capsys)[1]["figures"]["arms"]
    finally:
        ITEMS["treatment"] = treatment
    assert [arm["contaminated_share"] for arm in arms] == [0, 0]
    assert arms[1]["n_users"] > 300


@pytest.mark.parametrize(("population", "verdict"), [("new", "better"), ("all", "worse")])
def test_figures_of_new_users_leave_out_those_with_a_history(tmp_path, capsys, population, verdict):
    """New users prefer the treatment, and all others, who are more, the control."""
    ab = OldAndNewUsers(tmp_path, population=population, kind="canary")
    ab.day(-1, (0.7, 0.7))
    old = {user for user, _, _, clicked in ab.requests if clicked}
    n_planned = len(ab.requests)
    ab.old, ab.requests = old, []
    ab.day(0, (0.2, 0.7))
    figures = ab.run("check", capsys)[1]["figures"]
    counted = [one for one in ab.requests if population == "all" or one[0] not in old]
    of_arms = [[clicked for _, _, of, clicked in counted if of == arm] for arm in (0, 1)]
    assert [arm["n_users"] for arm in figures["arms"]] == [len(of_arm) for of_arm in of_arms]
    assert [arm["rate"] for arm in figures["arms"]] == [sum(a) / len(a) for a in of_arms]
    assert [one["verdict"] for one in figures["comparisons"]] == [verdict]
    assert ab.looks()[0]["n_planned"] == n_planned


class OldAndNewUsers(Service):
    """Users of whom those with a history prefer the other arm.

    Attributes:
        old: Users with a history.
    """

    def __init__(self, folder, **fields):
        super().__init__(folder, **fields)
        self.old: set[str] = set()

    def rate(self, user, item, arm, rates):
        return super().rate(user, item, arm, rates[::-1] if user in self.old else rates)


@pytest.mark.parametrize("population", ["new", "all"])
def test_a_plan_takes_the_traffic_of_past_days(service, capsys, population):
    """Of the users who came; of the new ones those without a view before these days."""
    ab = service()
    for number in range(3):
        ab.day(number, (0.3, 0.3))
    options = ["--effect", "0.001", "--past-days", "1", "--population", population]
    found = ab.run("plan", capsys, *options)[1]["designs"]["fixed"]
    until = max(at for _, at, _, clicked in ab.requests if clicked) + 60 * 5 + 1 - 3600
    old = {user for user, at, _, clicked in ab.requests if clicked and at + 60 < until - DAY}
    came = {user for user, at, _, _ in ab.requests if until - DAY <= at < until}
    assert found["n_users"] == len(came - old if population == "new" else came) > 100
    assert not found["is_enough"]


class InterleavedService(Service):
    """Merged lists for all users."""

    def interleaved(self, fields):
        with writing(self.store):
            merged = interleave(self.store, 1, 2, "salt").generation
        with open_snapshot(self.store, merged) as snapshot:
            self.merged = {user: snapshot.users.get(user.encode()) or b"" for user in USERS}
        arms = (Arm("control", 0, 1), Arm(INTERLEAVED, 1, merged))
        return {"kind": "interleave", "arms": arms, "teams": (1, 2), **fields}

    def lists_of(self, user, arm):
        assert arm == 1
        return self.merged[user].decode().split(",")

    def rate(self, user, item, arm, rates):
        del user, arm
        return rates[item[0] == "t"]


@pytest.mark.parametrize(
    ("rates", "verdict"), [((0.1, 0.25), "better"), ((0.25, 0.1), "worse"), ((0.2, 0.2), "n.s.")]
)
def test_an_interleaving_is_decided_by_the_preference_of_users(tmp_path, capsys, rates, verdict):
    """From clicks and teams; a promotion is of the treatment's own lists."""
    service = InterleavedService(tmp_path)
    service.day(0, rates)
    status, found = service.run("check", capsys)
    assert found["verdicts"] == {"treatment": verdict}
    assert status == (CONTINUED if verdict == "n.s." else DECIDED)
    preference = found["figures"]["preference"]
    assert (
        0
        < preference["n_decided"]
        < preference["n_users"]
        == found["figures"]["arms"][1]["n_users"]
    )
    if verdict == "better":
        assert found["why"] == "“treatment” is better, by the preference of users"
        shown = looks_at(service.folder / "online", service.experiment)
        assert "significantly better: net share of users who prefer it +" in shown["ahead"]
        assert service.run("check", capsys, "--act")[0] == PROMOTED
        assert current(service.store) == 2


# What is kept


LOOK = ExperimentLook(
    "", "2026-03-02T21:00:00", 0.2, 5000, [4, 5], {"t": 9.0}, {"t": "n.s."}, "continued", {}
)


def test_looks_are_those_of_one_experiment_without_torn_lines(tmp_path):
    """A name that is used again begins anew; a line of another form is an error."""
    first, second = experiment_of(1, 2), experiment_of(1, 2, salt="another")
    with looking(tmp_path):
        for experiment in (first, second, first):
            keep_look(tmp_path, experiment, replace(LOOK, experiment=identity_of(experiment)))
    path = tmp_path / "experiments" / "test.jsonl"
    with path.open("a") as file:
        file.write(path.read_text()[:40] + "\n")
    assert [len(kept_looks(tmp_path, one)) for one in (first, second)] == [2, 1]
    assert kept_looks(tmp_path, second) == [replace(LOOK, experiment=identity_of(second))]
    path.write_text('{"at": 1}\n')
    with pytest.raises(StreamError, match=r"test\.jsonl: has a line that is not a look"):
        kept_looks(tmp_path, first)


def test_a_list_of_one_generation_is_not_taken_for_a_shortened_one_of_another(tmp_path):
    """Where no generation has the very list, a shortened one explains it."""
    make_snapshot(tmp_path, {"ann": ["a", "b", "c"]}, ["p"])
    make_snapshot(tmp_path, {"ann": ["a", "c"]}, ["p"], flip=False)
    with ServedLists(tmp_path, beside=[2]) as served:
        now = np.full(2, BEGIN + 400 * DAY)
        found = served.origins([b"ann"] * 2, now, [b"a,c", b"b,c"])
    assert [(one.generation, one.source) for one in found] == [(2, "list"), (1, "list")]
