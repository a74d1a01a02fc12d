"""`python -m stream explain USER --at TIME`: the answer that was logged, and what made it."""

import json
from zlib import crc32

import pytest

from batch.models.choose import recommender
from batch.rules.settings import RuleSettings
from store.assignment import Assignment
from store.fresh import FreshList, FreshWriter
from store.layout import snapshot_folder
from store.prune import prune
from store.publish import writing
from stream.__main__ import main
from tests.snapshots import make_snapshot
from tests.stream.fresh_snapshots import SETTINGS, World, made_events, made_items, write_snapshot
from tests.stream.online_events import answer, seconds, write_events

AT, EARLIER, LATER = "2026-03-01T12:00:00", "2026-02-01T12:00:00", "2026-04-01T12:00:00"
INPUT = {"name": "views-2026-03-01.parquet", "kind": "partition", "sha256": "ab" * 32}


@pytest.fixture(scope="module")
def ials():
    """A fitted model with its interactions."""
    interactions = World(made_items(), SETTINGS, RuleSettings()).interactions(made_events(3, 0, 7))
    at = interactions.began_at
    return recommender("ials", SETTINGS).fit(interactions.weights, at=at, n_threads=1), interactions


@pytest.fixture
def explain(tmp_path, capsys):
    """Return exit status and output of the command for an answer that was logged at AT."""

    def run_explain(user, items, *, is_logged=True, **more):
        if is_logged:
            rows = [answer(user, seconds(AT) - 9, "x"), answer(user, seconds(AT), items, **more)]
            write_events(tmp_path / "events", 1, answers=rows)
        places = ["--store", str(tmp_path / "store"), "--events", str(tmp_path / "events")]
        status = main(["explain", user, "--at", AT, "--json", *places])
        return status, json.loads(capsys.readouterr().out)

    return run_explain


def set_flips(store, *times):
    """Set the times of the flips in the journal."""
    journal = store / "JOURNAL"
    lines = [line.split("\t", 1) for line in journal.read_text().splitlines()]
    flips = zip(times, (rest for _, rest in lines), strict=True)
    journal.write_text("".join(f"{at}+00:00\t{rest}\n" for at, rest in flips))


def test_an_answer_is_confirmed_and_each_item_has_the_models_rank(tmp_path, ials, explain):
    """Without reordering rules every item is placed by the model, by falling scores."""
    world = World(made_items(), SETTINGS, RuleSettings(availability=False))
    lists = write_snapshot(tmp_path / "store", world, *ials, inputs=[INPUT])
    set_flips(tmp_path / "store", EARLIER)
    body = lists[b"u07"][0]
    status, found = explain("u07", body.decode())
    assert status == 0
    assert (found["source"], found["is_confirmed"], found["note"]) == ("list", True, "")
    assert found["answer_id"] == f"1:-:{crc32(body):08x}"
    assert (found["inputs"], found["code_version"]) == ([INPUT], "test")
    assert found["flip"]["what"] == "publish"
    items = found["items"]
    assert [one["item_id"] for one in items] == body.decode().split(",")
    assert [one["rank"] for one in items] == [*range(1, len(items) + 1)]
    assert [one["model_rank"] for one in items] == [*range(1, len(items) + 1)]
    assert {one["placed_by"] for one in items} == {"model"}
    scores = [one["score"] for one in items]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]
    assert set(found["history"]).isdisjoint(one["item_id"] for one in items)


def test_rules_and_exploration_are_told_from_the_model(tmp_path, ials, explain):
    """A boosted item stands above its rank; the last three places are drawn."""
    item = "i30"
    rules = RuleSettings(availability=False, explore=3, boosts=(f"item:{item}=1000",))
    lists = write_snapshot(tmp_path / "store", World(made_items(), SETTINGS, rules), *ials)
    set_flips(tmp_path / "store", EARLIER)
    user = next(user for user, (body, _) in lists.items() if body.startswith(item.encode()))
    status, found = explain(user.decode(), lists[user][0].decode())
    assert status == 0
    placed = [one["placed_by"] for one in found["items"]]
    assert placed[-3:] == ["explore"] * 3
    assert placed[0] == "rules"
    assert "explore" not in placed[:-3]
    assert found["items"][0]["model_rank"] > 1


def test_another_list_is_not_confirmed(tmp_path, explain):
    """The twin: one item differs, and the exit status is 1."""
    make_snapshot(tmp_path / "store", {"ann": [*"abc"]}, [*"def"])
    set_flips(tmp_path / "store", EARLIER)
    status, found = explain("ann", "a,b,x")
    assert (status, found["is_confirmed"], found["source"]) == (1, False, "other")
    assert "no snapshot of that time gave this list" in found["note"]
    status, found = explain("ann", "a,b,c")
    assert (status, found["is_confirmed"], found["source"]) == (0, True, "list")
    status, found = explain("bob", "d,e,f")
    assert (status, found["source"]) == (0, "popular")
    assert {one["placed_by"] for one in found["items"]} == {"popular"}


def test_a_fresh_list_is_confirmed_while_it_is_kept(tmp_path, explain):
    """By the speed layer's table; another body is not."""
    make_snapshot(tmp_path / "store", {"ann": [*"abc"]}, [*"def"])
    set_flips(tmp_path / "store", EARLIER)
    with FreshWriter(tmp_path / "store") as writer:
        writer.assign(Assignment((1,)))
        writer.put([(b"ann", FreshList(1, 0.0, b"c,x"), b"")])
    status, found = explain("ann", "c,x")
    assert (status, found["source"], found["is_confirmed"]) == (0, "fresh", True)
    assert {one["placed_by"] for one in found["items"]} == {"fresh"}
    assert explain("ann", "x,c")[0] == 1


def test_the_arm_is_found_by_the_items(tmp_path, explain):
    """Generation 2 of the treatment was never current, and gave this list."""
    store = tmp_path / "store"
    make_snapshot(store, {"ann": [*"abc"]}, [*"def"], arm="control")
    make_snapshot(store, {"ann": [*"cba"]}, [*"def"], arm="treatment", flip=False)
    set_flips(store, EARLIER)
    assert explain("ann", "a,b,c")[1]["arm"] == "control"
    status, found = explain("ann", "c,b,a")
    assert (status, found["generation"], found["arm"]) == (0, 2, "treatment")
    assert found["answer_id"].startswith("2:treatment:")


def test_a_pruned_generation_keeps_its_manifest(tmp_path, explain):
    """The list cannot be compared, but the code that made it is named."""
    store = tmp_path / "store"
    for letters in ("abc", "cba"):
        make_snapshot(store, {"ann": [*letters]}, [*"def"])
    with writing(store):
        prune(store, keep=1)
    set_flips(store, EARLIER, LATER)
    assert not snapshot_folder(store, 1).exists()
    status, found = explain("ann", "a,b,c")
    assert (status, found["is_confirmed"], found["source"]) == (0, None, "pruned")
    assert found["code_version"] == "test"
    assert [one["item_id"] for one in found["items"]] == [*"abc"]


def test_without_a_line_the_answer_of_the_moment_is_explained(tmp_path, explain):
    """And a failed request has no items."""
    make_snapshot(tmp_path / "store", {"ann": [*"abc"]}, [*"def"])
    set_flips(tmp_path / "store", EARLIER)
    status, found = explain("ann", None, is_logged=False)
    assert (status, found["answer"], found["is_confirmed"]) == (0, None, None)
    assert [one["item_id"] for one in found["items"]] == [*"abc"]
    status, found = explain("ann", None, status=0, result="java.net.ConnectException")
    assert (found["items"], found["source"]) == ([], "")
    assert found["answer"]["result"] == "java.net.ConnectException"
