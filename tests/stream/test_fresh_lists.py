"""Fresh lists are, byte for byte, those that the batch would make of the whole history."""

import dataclasses
import time

import numpy as np
import pytest

from batch.models.choose import recommender
from store.fresh import FreshWriter, decode, open_fresh
from store.takedown import restore, take_down
from stream.fresh.layer import SpeedLayer
from stream.fresh.metrics import FreshMetrics
from stream.fresh.settings import FreshSettings
from tests.stream.fresh_snapshots import (
    BLENDS,
    ITEM_IDS,
    N_ITEMS,
    NO_RULES,
    SETTINGS,
    SINGLE,
    expected_lists,
    write_segment,
    write_snapshot,
)


def latest_of(world, events):
    last_at = np.sort(world.aggregated(events).evidence.last_at)
    return int(last_at[len(last_at) - 1 - len(last_at) // 1000])


def run_layer(store, events, **settings):
    """Make the lists of all new events, and return the number of steps."""
    made = FreshSettings(metrics_port=0, **{"batch_users": 7, **settings})
    with (
        FreshWriter(store) as writer,
        SpeedLayer(store, events, made, writer, FreshMetrics()) as layer,
    ):
        n_steps = 0
        while layer.step():
            n_steps += 1
        return n_steps


def fresh_lists(store):
    """Return list and spares of each user with a fresh list."""
    with FreshWriter(store) as writer:
        users = [user for some in writer.users(100) for user in some]
    lists = open_fresh(store)
    assert lists
    made = {user: decode(user, lists.get(user) or b"") for user in users}
    lists.close()
    assert all(made.values())
    assert all(time.time() - one.made_at < 600 for one in made.values() if one)
    return {user: (one.body, one.spares) for user, one in made.items() if one}


def check_lists(store, world, lists, events, **more):
    """Check the fresh lists, and that users without one would get the list that they have."""
    expected = expected_lists(store, world, events, latest_of(world, more.pop("before")), **more)
    fresh = fresh_lists(store)
    assert {user: expected[user] for user in fresh} == fresh
    served = lists | fresh
    assert {user: expected[user] for user in served} == served
    return fresh


@pytest.mark.parametrize("name", [*SINGLE, *BLENDS, "auto"])
def test_fresh_lists_are_those_of_the_batch(tmp_path, world, fitted, before, after, name):
    """Views and ratings of known and new pairs; users without events keep their list."""
    store, events = tmp_path / "store", tmp_path / "events"
    lists = write_snapshot(store, world, fitted[name], world.interactions(before))
    write_segment(events, after, 1)
    run_layer(store, events)
    fresh = check_lists(store, world, lists, before + after, before=before)
    assert any(lists.get(user) not in (None, own) for user, own in fresh.items()) or name in (
        "popularity", "recent_popularity",
    )  # fmt: skip
    assert {b"u40", b"u44"} <= fresh.keys()


def test_ages_count_from_the_time_of_the_snapshot(tmp_path, world, before, after):
    """With a half-life, weights of old views decay and those of new ones do not."""
    aged = dataclasses.replace(world, settings=dataclasses.replace(SETTINGS, half_life_days=2.0))
    store, events = tmp_path / "store", tmp_path / "events"
    interactions = aged.interactions(before)
    model = recommender("ials", aged.settings).fit(interactions.weights, n_threads=1)
    lists = write_snapshot(store, aged, model, interactions)
    write_segment(events, after, 1)
    run_layer(store, events)
    check_lists(store, aged, lists, before + after, before=before)


@pytest.mark.parametrize(
    "rules",
    [
        {"boosts": ("genre:Horror=0.2", f"item:{ITEM_IDS[3]}=5", "year:1990-1999=0")},
        {"boosts": ("language:fr=4", "language:de=0")},
        {"cost_weight": 0.3, "diversity": 0.4, "candidates": 30},
        {"deny": (ITEM_IDS[0], ITEM_IDS[4]), "diversity": 0.3, "diversity_by": "factors"},
    ],
)
def test_fresh_lists_obey_the_rules_of_the_snapshot(tmp_path, world, fitted, before, after, rules):
    """Boosts, also of languages, cost, diversity, denied items; no adult titles for minors."""
    minors = frozenset({"u00", "u03", "u06", "u07"})
    ruled = dataclasses.replace(world, rules=dataclasses.replace(NO_RULES, **rules), minors=minors)
    factors = np.random.default_rng(2).normal(size=(N_ITEMS, 4)).astype(np.float32)
    store, events = tmp_path / "store", tmp_path / "events"
    lists = write_snapshot(
        store, ruled, fitted["ials"], ruled.interactions(before), factors=factors
    )
    write_segment(events, after, 1)
    run_layer(store, events)
    fresh = check_lists(store, ruled, lists, before + after, before=before, factors=factors)
    adult = {name.encode() for name, item in ruled.items.items() if item.adult}
    assert adult.isdisjoint(fresh[b"u00"][0].split(b","))
    assert any(adult & {*own.split(b",")} for own, _ in fresh.values())


@pytest.mark.parametrize("candidates", [100, 20])
def test_an_item_at_its_cap_is_added_to_no_list(tmp_path, world, fitted, before, after, candidates):
    """It stays where it was; the other items are the best of those that have room."""
    rules = dataclasses.replace(NO_RULES, cap=0.6, candidates=candidates)
    capped = dataclasses.replace(world, rules=rules)
    store, events = tmp_path / "store", tmp_path / "events"
    lists = write_snapshot(store, capped, fitted["ials"], capped.interactions(before))
    names = [name.encode() for name in ITEM_IDS]
    n_lists = [sum(name in own.split(b",") for own, _ in lists.values()) for name in names]
    full = {name for name, n in zip(names, n_lists, strict=True) if n >= int(0.6 * len(lists))}
    assert full
    write_segment(events, after, 1)
    run_layer(store, events)
    fresh = fresh_lists(store)
    latest = latest_of(world, before)
    without_cap = expected_lists(store, world, before + after, latest, n_kept=N_ITEMS)
    for user, (own, spares) in fresh.items():
        held = {*lists.get(user, (b"", b""))[0].split(b",")}
        best = [name for part in without_cap[user] for name in part.split(b",")]
        allowed = [name for name in best if name not in full or name in held]
        assert own.split(b",") == allowed[:20]
        assert full.isdisjoint({*spares.split(b",")} - held)


def test_takedowns_take_effect_on_fresh_lists(tmp_path, world, fitted, before, after):
    """A taken-down item leaves them, and returns when it is restored."""
    store, events = tmp_path / "store", tmp_path / "events"
    lists = write_snapshot(store, world, fitted["ials"], world.interactions(before))
    write_segment(events, after, 1)
    run_layer(store, events)
    first = fresh_lists(store)
    shown = first[b"u40"][0].split(b",")[0].decode()
    take_down(store, [shown], "test")
    run_layer(store, events)
    latest = latest_of(world, before)
    hidden = {ITEM_IDS.index(shown)}
    expected = expected_lists(store, world, before + after, latest, hidden=hidden)
    found = fresh_lists(store)
    assert found == {user: expected[user] for user in first}
    assert not any(shown.encode() in own + spares for own, spares in found.values())
    restore(store, [shown], "test")
    run_layer(store, events)
    assert fresh_lists(store) == first
    assert first.keys() - lists.keys() == {b"u40", b"u41", b"u42", b"u43", b"u44"}
