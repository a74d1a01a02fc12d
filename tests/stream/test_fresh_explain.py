"""What speaks for an item of a list: parts that add up to the score, the strongest first."""

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest

from batch.arrays import Rows
from batch.models.item_item import FittedItemItem
from batch.served.contributions import contributions
from batch.served.document import describe, restore
from batch.unavailable import Unavailable
from store.explain import explain
from store.takedown import take_down
from stream.__main__ import main
from stream.fresh.explain import explain_list
from tests.stream.fresh_snapshots import (
    BLENDS,
    ITEM_IDS,
    N_ITEMS,
    NO_RULES,
    SINGLE,
    write_segment,
    write_snapshot,
)
from tests.stream.test_fresh_lists import fresh_lists, run_layer

ALL_ITEMS: Rows = np.arange(N_ITEMS)


@pytest.mark.parametrize("name", [*SINGLE, *BLENDS, "auto"])
def test_contributions_add_up_to_the_score(world, fitted, before, name):
    """But for a part that is the same for every user, of every model that can be served."""
    weights = world.interactions(before).weights
    described = describe(fitted[name])
    assert not isinstance(described, Unavailable)
    model = restore(described.document["model"], described.arrays, N_ITEMS)
    rest = []
    for user in range(0, weights.shape[0], 7):
        own = weights[user]
        folded = model.fold_in(own)
        found = contributions(folded, own, ALL_ITEMS)
        assert found.shape == (own.nnz, N_ITEMS)
        scores = folded.scores(np.zeros(1, np.int64))[0]
        if isinstance(folded, FittedItemItem):
            np.testing.assert_allclose(found.sum(axis=0), scores, rtol=1e-4, atol=1e-6)
        rest.append(scores - found.sum(axis=0))
    popular = np.stack(rest) - np.mean(rest, axis=1, keepdims=True)
    deviations = popular.std(axis=1)
    if deviations.max() > 1e-3 * np.std(scores):
        correlation = np.corrcoef(popular[deviations > 0.01 * deviations.max()])
        assert correlation.min() > 0.98, "the rest has another order for another user"


def test_the_command_explains_the_list_that_is_served(
    tmp_path, capsys, world, fitted, before, after
):  # fmt: skip
    """A fresh one by the history with new events, another one by that of the snapshot."""
    store, events = tmp_path / "store", tmp_path / "events"
    lists = write_snapshot(store, world, fitted["ials+ease"], world.interactions(before))
    write_segment(events, after, 1)
    run_layer(store, events)
    fresh = fresh_lists(store)
    [unchanged, *_] = sorted(lists.keys() - fresh.keys())

    def explained(user):
        command = ["explain", user.decode(), "--store", str(store), "--json", "--reasons", "99"]
        assert main(command) == 0
        return json.loads(capsys.readouterr().out)

    for user, source, (body, _) in (
        (b"u40", "fresh", fresh[b"u40"]), (unchanged, "list", lists[unchanged]),
    ):  # fmt: skip
        found = explained(user)
        assert found["source"] == source
        assert [one["item_id"] for one in found["items"]] == body.decode().split(",")
        assert found["history"] == explain(store, user.decode()).history
        for one in found["items"]:
            shares = [reason["share"] for reason in one["because"]]
            assert shares == sorted(shares, reverse=True)
            assert not shares or sum(shares) == pytest.approx(1)
            assert {reason["item_id"] for reason in one["because"]} <= {*found["history"]}
        assert found["items"][0]["because"]
    shown = explained(b"u40")["items"][0]["item_id"]
    take_down(store, [shown], "test")
    assert shown not in [one["item_id"] for one in explained(b"u40")["items"]]
    assert main(["explain", "u40", "--store", str(store), "--reasons", "1"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("user u40: fresh of generation 1, made at 20")
    assert len(lines) == 20
    assert all(line.count("%") == 1 or "– popular" in line for line in lines)
    assert main(["explain", "nobody", "--store", str(store)]) == 1
    assert "has no list of their own" in capsys.readouterr().err
    for wrong in ("-3", "x"):
        with pytest.raises(SystemExit):
            main(["explain", "u40", "--store", str(store), "--reasons", wrong])
        expected = f"argument --reasons: must be a whole number from 0, not '{wrong}'"
        assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        ({}, []),
        ({"boosts": ("genre:Horror=0.2", f"item:{ITEM_IDS[3]}=5")}, ["boosts"]),
        ({"cost_weight": 0.3, "diversity": 0.4, "candidates": 30}, ["cost_weight", "diversity"]),
        ({"deny": (ITEM_IDS[0], ITEM_IDS[4])}, []),
        ({"cap": 0.6}, ["cap"]),
    ],
)
def test_the_places_after_each_rule_lead_from_the_model_to_the_list(
    tmp_path, world, fitted, before, rules, names
):  # fmt: skip
    """The first is the model's among all unseen items, the last the one in the list."""
    minors = frozenset({"u00", "u03"})
    ruled = dataclasses.replace(world, rules=dataclasses.replace(NO_RULES, **rules), minors=minors)
    store, interactions = tmp_path / "store", ruled.interactions(before)
    lists = write_snapshot(store, ruled, fitted["ials+ease"], interactions)
    n_lists = Counter(name for own, _ in lists.values() for name in own.decode().split(","))
    full = {name for name, n in n_lists.items() if n >= int(0.6 * len(lists))}
    users = interactions.user_ids.to_pylist()
    moved = set()
    for row, user in enumerate(users[:12]):
        found = explain_list(store, user)
        own = interactions.weights[row]
        scores = fitted["ials+ease"].fold_in(own).scores(np.zeros(1, np.int64))[0].astype(float)
        scores[own.indices] = -np.inf
        for rank, (name, why) in enumerate(zip(found.answer.items, found.why, strict=True), 1):
            assert [*why.places] == ["model", "hidden", *names]
            score = scores[ITEM_IDS.index(name)]
            assert why.score == pytest.approx(score, rel=1e-4, abs=1e-6)
            n_better, n_as_good = (scores > score).sum(), (scores >= score).sum()
            assert n_better < why.places["model"] <= n_as_good
            last = why.places[[*why.places][-1]]
            if names == ["cap"]:  # of the batch: there the item may be full for this user
                assert (last or 99) >= rank or name in full
            else:
                assert last == rank
            moved |= {rule for rule, place in why.places.items() if place != why.places["model"]}
    assert moved >= ({*names} or ({"hidden"} if rules else set()))


def test_an_explanation_is_of_the_generation_that_was_named(
    tmp_path, capsys, world, fitted, before
):  # fmt: skip
    """By default of the one that answers; one that is missing is an error."""
    store = tmp_path / "store"
    for name in ("ials+ease", "ials"):
        write_snapshot(store, world, fitted[name], world.interactions(before))
    options = ["explain", "u01", "--store", str(store), "--json"]
    found = []
    for more in ([], ["--generation", "1"]):
        assert main([*options, *more]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [one["generation"] for one in found] == [2, 1]
    assert [one["items"][0]["score"] for one in found] == [
        pytest.approx(explain_list(store, "u01", generation=n).why[0].score) for n in (2, 1)
    ]
    assert found[0]["items"][0]["score"] != found[1]["items"][0]["score"]
    assert main([*options, "--generation", "7"]) == 1
    assert "000007: no such snapshot" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*options, "--generation", "1", "--at", "2026-03-09"])
    assert "not allowed with argument --generation" in capsys.readouterr().err


def test_a_line_shows_the_places_of_an_item_that_was_moved(
    tmp_path, capsys, world, fitted, before
):  # fmt: skip
    """From the model's to the answer's; nothing where all are the same."""
    boosted = dataclasses.replace(NO_RULES, boosts=(f"item:{ITEM_IDS[3]}=5",))
    store = tmp_path / "store"
    ruled = dataclasses.replace(world, rules=boosted)
    lists = write_snapshot(store, ruled, fitted["ials"], ruled.interactions(before))
    [user, *_] = (
        name.decode() for name, (own, _) in lists.items()
        if ITEM_IDS[3].encode() == own.split(b",")[0]
        and explain_list(store, name.decode()).why[0].places["model"] != 1
    )  # fmt: skip
    before_boost = explain_list(store, user).why[0].places["model"]
    assert main(["explain", user, "--store", str(store)]) == 0
    first = capsys.readouterr().out.splitlines()[1]
    assert first.endswith(f"(model {before_boost}, boosts 1)")
