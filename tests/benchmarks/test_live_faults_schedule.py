"""The schedule of faults follows the clock, and the fault log has every fault."""

import json

import numpy as np

from benchmarks.simulator.live.audience.fault_effects import FaultEffects, PreferenceShift
from benchmarks.simulator.live.faults.active import FaultSchedule
from benchmarks.simulator.live.faults.specs import read_spec
from benchmarks.simulator.world.items import genre_profiles
from tests.benchmarks.fault_lines import ITEM, WORLD


def test_effects_follow_the_clock():
    """Factors are multiplied, viral items run in parallel, of other kinds the later one counts."""
    other = WORLD.items.ids[9]
    faults = FaultSchedule(WORLD, [read_spec(text) for text in (
        "10s traffic factor=10 for=20s", "20s traffic factor=0.5 for=20s",
        f"10s viral item={ITEM} factor=8 for=20s", f"20s viral item={ITEM} factor=2 for=5s",
        f"20s viral item={other} for=5s", "20s api how=refused for=5s", "10s api how=hang for=20s",
        "10s shift group=25-34/F taste=Horror for=20s", "20s shift group=M taste=4 for=5s",
    )])  # fmt: skip

    effects: FaultEffects = faults

    def read():
        return effects.traffic_factor, effects.viral, effects.api_outage, effects.shift

    def shift() -> PreferenceShift:
        assert effects.shift is not None
        return effects.shift

    assert read() == (1, {}, "", None)
    faults.tick(9.9)
    assert read() == (1, {}, "", None)
    faults.tick(10)
    assert read()[:3] == (10, {7: 8}, "hang")
    users = WORLD.users
    women = ~users.is_male & (users.ages >= 25) & (users.ages <= 34)
    assert np.array_equal(shift().users, women)
    horror = genre_profiles(WORLD.seed)[:, 7]
    assert horror[shift().taste] == horror.max()
    faults.tick(20)
    assert read()[:3] == (5, {7: 16, 9: 50}, "refused")
    assert np.array_equal(shift().users, users.is_male)
    assert shift().taste == 4
    faults.tick(25)
    assert read()[:3] == (5, {7: 8}, "hang")
    assert np.array_equal(shift().users, women)
    faults.tick(30)
    assert read() == (0.5, {}, "", None)
    faults.tick(29)  # an earlier time has no effect
    assert faults.add("now traffic for=1s").begins == 30
    faults.tick(40)
    assert read() == (1, {}, "", None)


def test_the_fault_log_has_every_fault(tmp_path):
    """Done, active and waiting ones."""
    specs = ("1s traffic for=2s", "5s shift group=all taste=0", "99s jump by=1h")
    faults = FaultSchedule(WORLD, [read_spec(spec) for spec in specs])
    for second in range(7):
        faults.tick(second)
    faults.write(tmp_path / "faults.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "faults.jsonl").read_text().splitlines()]
    assert rows == [
        {"kind": "traffic", "order": "1s traffic for=2s", "state": "done",
         "begins_seconds": 1, "ends_seconds": 3},
        {"kind": "shift", "order": "5s shift group=all taste=0", "state": "active",
         "begins_seconds": 5, "ends_seconds": None, "taste": 0, "n_users": 1500},
        {"kind": "jump", "order": "99s jump by=1h", "state": "waiting",
         "begins_seconds": 99, "ends_seconds": None},
    ]  # fmt: skip
