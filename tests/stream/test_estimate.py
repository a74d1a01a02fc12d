"""`python -m stream estimate`: what one generation would get, from the logs of another."""

import itertools
import json
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from batch.rules.exploration import MOVED, SALT, Draw, explored
from batch.topk import TopK
from benchmarks.simulator.live.audience.viewers import expected_clicks, taken_ranks
from store.interleave import INTERLEAVED
from store.snapshot import open_snapshot
from store.takedown import take_down
from stream.__main__ import main
from stream.errors import StreamError
from stream.experiments.drawn_lists import (
    DrawnList,
    draw_of,
    drawn_lists,
    log_weights,
    shown_propensities,
)
from stream.experiments.statistics.plackett_luce import conditional_propensities
from tests.snapshots import make_snapshot
from tests.stream.online_events import answer, seconds, view, write_events

N_FIXED, N_DRAWN, N_POOL = 17, 3, 13
N_USERS = 2500
USERS = [f"u{number:04}" for number in range(N_USERS)]
OLD, NEW = Draw(N_DRAWN, 15.0, "old"), Draw(N_DRAWN, 9.0, "new")
AT = seconds("2026-03-01T12:00")


def ordered(seed, rows=N_USERS):
    """Return the candidates of each user, best first: 17 that never change, and a pool."""
    random = np.random.default_rng(seed)
    pool = N_FIXED + random.permuted(np.tile(np.arange(N_POOL), (rows, 1)), axis=1)
    return np.hstack((np.tile(np.arange(N_FIXED), (rows, 1)), pool)).astype(np.int32)


def lists_of(order, draw):
    """Return list and spares of each user, by the batch's own rule."""
    if not draw.n:
        return order
    scores = np.zeros(order.shape, np.float32)
    return explored(TopK(order, scores), draw, USERS[: len(order)], n_list=20, n_kept=30).item_rows


def made_generation(store, order, draw, **more):
    rules = {"explore": draw.n, "explore_temperature": draw.temperature, SALT: draw.salt}
    names = [[f"i{row}" for row in rows] for rows in lists_of(order, draw).tolist()]
    lists = {user: own[:20] for user, own in zip(USERS, names, strict=True)}
    spares = {user: own[20:] for user, own in zip(USERS, names, strict=True)}
    parameters = {"rules": rules | more}
    return make_snapshot(store, lists, ["i0"], spares=spares, parameters=parameters)


def attraction_of(order):
    """Return (n_users, 30) the attraction of each item: those late in the pool have more."""
    found = np.full(order.shape, 0.001)
    by_place = 0.95 * np.exp(-np.arange(N_POOL) / 2)
    np.put_along_axis(found, order[:, N_FIXED:].astype(np.int64), by_place[None], axis=1)
    return found


def logged(folder, lists, attraction, seed):
    """Write two answers to every user, and the views that follow; return the clicks."""
    random = np.random.default_rng(seed)
    rows: dict[str, list[tuple]] = {"answers": [], "views": []}
    for turn in range(2):
        ranks = taken_ranks(np.take_along_axis(attraction, lists[:, :20].astype(int), 1), random)
        for user, items, rank in zip(USERS, lists.tolist(), ranks.tolist(), strict=True):
            at = AT + turn * 86_400  # of one day, views of an item are one
            rows["answers"].append(answer(user, at, ",".join(f"i{row}" for row in items[:20])))
            if rank:
                rows["views"].append(view(user, f"i{items[rank - 1]}", at + 60, 5))
    write_events(folder, 1, **rows)


def true_rate(order, draw, attraction):
    values = []
    for n in range(60):
        lists = lists_of(order, Draw(draw.n, draw.temperature, f"truth {n}"))[:, :20]
        values.append(expected_clicks(np.take_along_axis(attraction, lists.astype(int), 1)).mean())
    return float(np.mean(values))


@pytest.fixture
def service(tmp_path, monkeypatch):
    """A generation that explored and was logged; the command's result for another one."""
    store, old = tmp_path / "store", ordered(1)
    monkeypatch.setenv("MARQUEE_ONLINE_PATH", str(tmp_path / "online"))
    made_generation(store, old, OLD)
    journal = (store / "JOURNAL").read_text()
    (store / "JOURNAL").write_text("2025" + journal[4:])
    attraction = attraction_of(ordered(2))
    logged(tmp_path / "events", lists_of(old, OLD), attraction, 3)
    return store, old, attraction


@pytest.fixture
def estimate(tmp_path, capsys):
    def run_estimate(generation, *more):
        places = ["--store", str(tmp_path / "store"), "--events", str(tmp_path / "events")]
        arguments = ["estimate", "--generation", str(generation), *places, *more]
        status = main(arguments)
        output = capsys.readouterr()
        return status, output.out, output.err

    return run_estimate


def test_the_interval_holds_the_truth_and_not_the_observed_rate(service, estimate):
    """The new generation orders each pool by what the user likes."""
    store, old, attraction = service
    new = ordered(2)
    made_generation(store, new, NEW)
    status, output, _ = estimate(2, "--json")
    assert status == 0, output
    found = json.loads(output)
    assert (found["generation"], found["logged"]) == (2, 1)
    assert (found["n_users"], found["n_requests"]) == (len(USERS), 2 * len(USERS))
    expected = found["expected"]
    assert expected["low"] < true_rate(new, NEW, attraction) < expected["high"]
    observed = found["observed"]
    assert observed["low"] < true_rate(old, OLD, attraction) < observed["high"]
    assert observed["value"] < expected["low"]
    assert expected["unsupported_share"] == 0
    assert expected["effective_users"] >= 1000
    assert [one["rank"] for one in found["positions"]] == [18, 19, 20]
    rates = [one["value"] for one in found["positions"]]
    assert rates[0] > rates[2] > 0
    text = estimate(2)[1]
    assert f"expected  {expected['value']:.4f}" in text


def test_no_answer_is_given_without_support(service, estimate):
    """A fifth of the new lists begin with another item; of a twentieth are only reported."""
    store, _, _ = service
    for generation, every, reason in ((2, 5, "20% of the new lists"), (3, 20, "")):
        new = ordered(2)
        new[::every, [0, 1]] = new[::every, [1, 0]]
        made_generation(store, new, NEW)
        status, output, _ = estimate(generation, "--logged", "1", "--json")
        expected = json.loads(output)["expected"]
        assert status == bool(reason)
        assert expected["unsupported_share"] == pytest.approx(1 / every)
        assert reason in expected["reason"]
        assert (expected["value"] is None) == bool(reason)
    take_down(store, ["i20"], "rights")
    status, output, _ = estimate(3, "--logged", "1")
    assert status == 1
    assert "no answer: 100% of the new lists" in output


def test_logs_without_known_draws_are_an_error(service, estimate):
    """No exploration, no salt, draws that a cap changed, or no logs."""
    store, old, _ = service
    made_generation(store, old, Draw(0, 1.0, ""))
    made_generation(store, old, OLD, **{SALT: None})
    assert "answered no request" in estimate(1, "--logged", "2")[2]
    assert "have no other generation" in estimate(1)[2]
    status, _, error = estimate(3)
    assert status == 1
    assert "generation 3: drew places without known probabilities" in error
    with open_snapshot(store, 1) as snapshot:
        manifest = snapshot.manifest
    for n_moved, is_ok in ((25, True), (26, False)):
        moved = replace(manifest, metrics={MOVED: n_moved})
        with nullcontext() if is_ok else pytest.raises(StreamError, match="cap changed"):
            assert draw_of(moved) == OLD
    drafted = replace(manifest, parameters=manifest.parameters | {INTERLEAVED: [1, 2]})
    with pytest.raises(StreamError, match="drafted from two generations"):
        draw_of(drafted)


def exact(order, draw):
    """Yield every list that a draw can give one user, with its probability."""
    pool = [b"i%d" % row for row in order]
    for places in itertools.permutations(range(len(pool)), draw.n):
        log = draw.log_weights(np.array([len(pool)]))
        chance = conditional_propensities(log, np.array([places])).prod()
        yield DrawnList([b"f"] * (20 - draw.n), pool, list(places)), float(chance)


@pytest.mark.parametrize("n_new", [0, 1, 2])
def test_weights_turn_old_chances_into_new_ones(n_new):
    """Summed over all draws, exactly, for each item and rank; also with fewer drawn places."""
    old, new = Draw(2, 3.0, ""), Draw(n_new, 1.5, "")
    kept = [b"f"] * 18 + [b"i3", b"i4"][: 2 - n_new]
    pool = [b"i0", b"i2", b"i1", b"i4", b"i3"] if n_new == 2 else [b"i0", b"i2", b"i1", b"i4"]
    theirs = DrawnList(kept, pool if n_new else [], list(range(n_new)))
    lists, chances = zip(*exact(range(5), old), strict=True)
    found = log_weights(lists, old, [theirs] * len(lists), new)
    assert found.is_supported.all()
    total = np.zeros((5, 2))
    for one, chance, weights in zip(lists, chances, found.weights, strict=True):
        for rank, place in enumerate(one.drawn):
            total[place, rank] += chance * weights[rank]
    assert total.sum(axis=0) == pytest.approx(1)
    if n_new == 0:
        assert (total[3, 0], total[4, 1]) == (pytest.approx(1), pytest.approx(1))
    else:
        log = new.log_weights(np.array([len(pool)]))
        of_place = conditional_propensities(log.repeat(len(pool), 0), np.arange(len(pool))[:, None])
        of_item = {int(name[1:]): chance for name, (chance,) in zip(pool, of_place, strict=True)}
        assert {row: total[row, 2 - n_new] for row in of_item} == pytest.approx(of_item)


def test_pools_come_back_from_lists_and_spares(tmp_path):
    """In the order that they had before the draw, for short lists and unknown users too."""
    order = ordered(4, rows=3)
    draw = Draw(N_DRAWN, 2.0, "salt")
    order[1, 19:] = -1  # two candidates for three places
    order[2, 10:] = -1  # none
    rows = lists_of(order, draw)
    kept = [[f"i{row}" for row in names if row >= 0] for names in rows.tolist()]
    users = dict(zip(USERS, kept, strict=False))
    lists = {user: names[:20] for user, names in users.items()}
    spares = {user: names[20:] for user, names in users.items() if names[20:]}
    make_snapshot(tmp_path / "store", lists, ["i0"], spares=spares)
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        found = drawn_lists(snapshot, draw, [*USERS[:3], "nobody"])
    before = [[b"i%d" % row for row in names if row >= 0] for names in order.tolist()]
    assert [one.pool for one in found] == [before[0][17:], before[1][17:], [], []]
    assert [[*one.fixed] for one in found] == [before[0][:17], before[1][:17], before[2], []]
    assert [*found[0].fixed, *found[0].shown] == [name.encode() for name in lists["u0000"]]
    assert len(found[1].drawn) == 2
    chances = shown_propensities(found, draw)
    assert np.isnan(chances[1:]).all()
    assert (chances[0] > 0).all()
