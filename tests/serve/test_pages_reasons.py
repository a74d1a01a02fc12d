"""What places each film of a list: a child of the pages computes it, and holds nobody up."""

import importlib.util
import time

import pytest

from batch.models.choose import recommender
from serve.pages.reasons import AskedList, Reasons
from store.items import split
from store.snapshot import open_snapshot
from stream.fresh.explain import explain_list
from tests.stream.fresh_snapshots import (
    NO_RULES,
    SETTINGS,
    World,
    made_events,
    made_items,
    write_snapshot,
)

_PATIENCE_SECONDS = 60
TITLES = {"i00": {"title": "The First"}}


def about(item_id):
    return {"item_id": item_id} | TITLES.get(item_id, {})


@pytest.fixture
def store(tmp_path):
    """A store of one generation, whose model is in the snapshot."""
    world = World(made_items(), SETTINGS, NO_RULES)
    interactions = world.interactions(made_events(3, 0, 7))
    model = recommender("ials", SETTINGS).fit(interactions.weights, n_threads=1)
    write_snapshot(tmp_path, world, model, interactions)
    return tmp_path


def asked_of(store, user_id):
    with open_snapshot(store, 1) as snapshot:
        items = split(snapshot.users.get(user_id.encode()))
    return AskedList(user_id, 1, None, tuple(name.decode() for name in items))


def result(get):
    """Ask until it no longer runs."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (found := get())["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_an_explanation_is_that_of_the_command(store):
    """At first it runs, then it is ready, with titles; asked again, it is there at once."""
    reasons, asked = Reasons(store, 72.0), asked_of(store, "u01")
    assert reasons.get(asked, about) == {"state": "running"}
    found = result(lambda: reasons.get(asked, about))
    assert found["state"] == "ready"
    expected = explain_list(store, "u01")
    assert [*found["items"]] == list(asked.items)
    for why, shown in zip(expected.why, found["items"].values(), strict=True):
        assert shown["score"] == pytest.approx(why.score)
        assert shown["places"] == why.places
        assert shown["because"] == [
            about(one.item_id) | {"share": pytest.approx(one.share)} for one in why.because[:3]
        ]
    assert reasons.get(asked, about) == found


def test_one_list_is_explained_at_a_time(store):
    """Who asks meanwhile waits, and gets their own list."""
    reasons = Reasons(store, 72.0)
    first, second = (asked_of(store, name) for name in ("u01", "u02"))
    assert {reasons.get(one, about)["state"] for one in (first, second)} == {"running"}
    for one in (second, first):
        assert [*result(lambda one=one: reasons.get(one, about))["items"]] == list(one.items)


def test_a_failure_is_told_in_its_words_and_tried_again(store):
    """Here of a generation that is gone."""
    reasons = Reasons(store, 72.0)
    asked = asked_of(store, "u01")._replace(generation=9)
    for _ in range(2):
        assert reasons.get(asked, about)["state"] == "running"
        found = result(lambda: reasons.get(asked, about))
        assert found["state"] == "failed"
        assert "000009" in found["problem"]


def test_one_that_takes_too_long_is_ended(store, monkeypatch):
    """And the next one has its turn."""
    reasons, asked = Reasons(store, 72.0), asked_of(store, "u01")
    with monkeypatch.context() as patched:
        patched.setattr("serve.pages.reasons._MAX_SECONDS", 0.0)
        assert reasons.get(asked, about)["state"] == "running"
        found = result(lambda: reasons.get(asked, about))
    assert found == {"state": "failed", "problem": "`python -m stream explain` ended with -9"}
    assert result(lambda: reasons.get(asked_of(store, "u02"), about))["state"] == "ready"


def test_a_server_without_the_models_says_where_they_are(store, monkeypatch):
    """The image of the server alone has no NumPy."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "numpy" else find(name)
    )
    found = Reasons(store, 72.0).get(asked_of(store, "u01"), about)
    assert found["state"] == "failed"
    assert "run `python -m stream explain u01` where lists are built" in found["problem"]
