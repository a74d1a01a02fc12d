"""From a refresh to fresh lists: the speed layer makes the lists of the batch from its files."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from batch.engine import LocalEngine
from batch.events.ingest import ingest
from batch.gate.settings import GateSettings
from batch.inputs import read_inputs
from batch.models.view_order import order_views
from batch.options import RefreshOptions
from batch.prepare import interactions_of, prepare
from batch.rules.settings import RuleSettings
from batch.served.files import open_served
from batch.served.history import Histories
from batch.settings import BatchSettings
from batch.stages import Stages
from batch.unavailable import Unavailable
from store.config import StoreSettings
from store.layout import LIST_LENGTH
from store.snapshot import open_snapshot
from stream.__main__ import main
from tests.histories import write_history
from tests.refreshes import run_refresh
from tests.stream.test_fresh_lists import fresh_lists


def new_lines(history, seed=5):
    """Return views and ratings of the next day, some of new users."""
    rng = random.Random(seed)
    users = [*rng.sample(sorted(history.seen), 12), "9001", "9002"]
    items = sorted(set().union(*history.seen.values()))  # those that the model has
    lines = []
    for user in users:
        for item in [*rng.sample(items, 2), *sorted(history.seen.get(user, ()))[:1]]:
            at = f"2026-03-08T{rng.randint(10, 23)}:{rng.randint(10, 59)}"
            lines.append(f"{at}:00,{user},GET /data/m/{item}/{rng.randint(0, 95)}.mpg")
            if rng.random() < 0.4:
                lines.append(f"{at}:30,{user},GET /rate/{item}={rng.randint(1, 5)}")
    return lines, {user.encode() for user in users}


def lists_of_the_batch(store, settings):
    """Fold the users of all partitions into the model of generation 1, by the batch's own steps."""
    began_at = datetime.now(UTC)
    inputs = read_inputs(settings, began_at, Stages())
    interactions = interactions_of(inputs, settings, LocalEngine().build_interactions)
    options = RefreshOptions(settings, RuleSettings(), GateSettings(), StoreSettings())
    prepared = prepare(store, inputs, interactions, options, began_at)
    weights, at = interactions.weights, prepared.data.at
    histories = Histories(weights, order_views(weights, at, settings.seed, 1).n_later)
    with open_snapshot(store, 1) as snapshot, open_served(snapshot) as served:
        assert not isinstance(served, Unavailable)
        assert interactions.item_ids.to_pylist() == served.item_ids
        no_factors = np.zeros((weights.shape[1], 1), np.float32)
        found = prepared.rules.lists(served.fold_in(histories), no_factors, 30)
    names = [name.encode() for name in interactions.item_ids.to_pylist()]
    bodies = [[names[row] for row in rows if row >= 0] for rows in found.item_rows.tolist()]
    users = [name.encode() for name in interactions.user_ids.to_pylist()]
    return {
        user: (b",".join(body[:LIST_LENGTH]), b",".join(body[LIST_LENGTH:]))
        for user, body in zip(users, bodies, strict=True)
    }


def test_fresh_lists_after_a_refresh_are_those_of_the_batch(tmp_path, capsys, monkeypatch):
    """Known and new users, with ages of weights off; the others have no fresh list."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARQUEE_BATCH_FOLD_IN", "on")
    history = write_history(tmp_path / "history")
    store, events = tmp_path / "store", tmp_path / "events"
    settings = BatchSettings(
        events=(str(events),),
        catalogue=(str(history.catalogue),),
        profiles=(str(history.profiles),),
        n_threads=1,
    )
    ingest(replace(settings, events=(str(history.events),)), events)
    arguments = ["--events", events, "--catalogue", history.catalogue]
    run_refresh(capsys, *arguments, "--profiles", history.profiles, "--store", store)
    lines, users = new_lines(history)
    Path("new.log").write_text("\n".join(lines) + "\n")
    ingest(replace(settings, events=("new.log",)), events)
    assert main(["fresh", "--once", "--store", str(store), "--events", str(events)]) == 0
    expected, fresh = lists_of_the_batch(store, settings), fresh_lists(store)
    assert fresh.keys() <= users
    assert {b"9001", b"9002"} <= fresh.keys()
    assert len(fresh) > 10
    assert fresh == {user: expected[user] for user in fresh}
    with open_snapshot(store, 1) as snapshot:
        served = {user: body for user, body in snapshot.users if user not in fresh}
    assert served == {user: expected[user][0] for user in served}
