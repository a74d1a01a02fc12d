"""What speaks for an item of a list: parts that add up to the score, the strongest first."""

import json

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
from tests.stream.fresh_snapshots import BLENDS, N_ITEMS, SINGLE, write_segment, write_snapshot
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
    assert all(line.count("%") == 1 or line.endswith("– popular") for line in lines)
    assert main(["explain", "nobody", "--store", str(store)]) == 1
    assert "has no list of their own" in capsys.readouterr().err
