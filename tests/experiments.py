"""Experiments for tests of the server: two generations whose every list differs."""

from typing import Any

from store.experiment import Arm, Experiment
from tests.snapshots import make_snapshot

USERS = [f"user{number}" for number in range(40)]


def make_arm(store, name, *, flip=False, **more):
    """Make a snapshot whose items all bear the generation's name."""
    lists = {user: [f"{name}-a", f"{name}-b"] for user in (*USERS, "ann")}
    return make_snapshot(store, lists, [f"{name}-p", f"{name}-q"], flip=flip, **more)


def experiment_of(*generations, name="test", shares=None, settings=None, **more):
    """An experiment over these generations, of equal shares by default.

    The settings are those of the arm behind the control.
    """
    names = ["control", "treatment", "third", "fourth"]
    shares = shares or [1 / len(generations)] * len(generations)
    overrides = [{}, settings or {}, {}, {}]
    arms = tuple(map(Arm, names, shares, generations, overrides))
    fields: dict[str, Any] = {
        "kind": "ab", "salt": "salt", "started_at": "2026-11-28T02:00:00+00:00",
        "planned_days": 14, "metric": "click_through", "min_effect": 0.05, "alpha": 0.05,
        "power": 0.8,
    }  # fmt: skip
    return Experiment(name=name, **({"arms": arms} | fields | more))
