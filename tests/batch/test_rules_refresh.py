"""Rules from the configuration to every table of the snapshot, and to the server's responses."""

import json
from pathlib import Path

import numpy as np
import pytest

from batch.__main__ import main
from batch.rules.exploration import Draw
from serve.worker.served import Served
from store.check import broken_records
from store.snapshot import Snapshot, open_snapshot
from store.takedown_filter import FilteredLists
from tests.histories import History, write_history

TABLES = ("users", "spares", "similar", "fallback")
AT = ("--at", "2026-11-21T12:00")


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.chdir(tmp_path)  # the quarantine is made in `var`
    return write_history(tmp_path / "history")


@pytest.fixture
def catalogue(history):
    """Change fields of some items of the catalogue, by id."""

    def catalogue(fields: dict[str, dict[str, object]]) -> None:
        rows = [json.loads(line) for line in history.catalogue.read_text().splitlines()]
        rows = [row | fields.get(row["id"], {}) for row in rows]
        history.catalogue.write_text("".join(json.dumps(row) + "\n" for row in rows))

    return catalogue


@pytest.fixture
def refresh(history, capsys):
    """Refresh with a `[rules]` section, and return summary and snapshot."""
    opened = []

    def refresh(rules: str = "", *arguments: str, store="store") -> tuple[dict, Snapshot]:
        Path("marquee.toml").write_text(f'[batch]\nmodel = "als"\n[rules]\n{rules}\n')
        inputs = ["--events", history.events, "--catalogue", history.catalogue]
        inputs += ["--profiles", history.profiles, "--store", store]
        status = main(["refresh", "--json", *map(str, inputs), *(arguments or AT)])
        output = capsys.readouterr()
        assert status == 0, output.err
        summary = json.loads(output.out)
        opened.append(open_snapshot(Path(store), summary["generation"]))
        assert list(broken_records(opened[-1])) == []
        return summary, opened[-1]

    yield refresh
    for snapshot in opened:
        snapshot.close()


def shown(snapshot: Snapshot) -> set[str]:
    """Return every item that any list of the snapshot holds."""
    bodies = [body for name in TABLES for _, body in getattr(snapshot, name)]
    return {item for body in bodies for item in body.decode().split(",")}


def lists(snapshot: Snapshot) -> dict[str, list[str]]:
    return {user.decode(): body.decode().split(",") for user, body in snapshot.users}


def spares_of(snapshot: Snapshot, user: str) -> list[str]:
    return (snapshot.spares.get(user.encode()) or b"").decode().split(",")


def answers(snapshot: Snapshot, item_ids, user=b"unknown") -> set[bytes]:
    """Return the items that are served for a history of each item alone, and of ten."""
    served, names = Served(snapshot), [name.encode() for name in sorted(item_ids)]
    found = [served.answer(user, history) for history in [*([name] for name in names), names[:10]]]
    assert all(len(answer.names) == 20 for answer in found)
    return {name for answer in found for name in answer.names}


def test_denied_items_are_nowhere(refresh, history):
    """They are in no list, nor found by a history; the most popular and the last row too."""
    had = sorted(set().union(*history.seen.values()))
    gone = sorted(history.item_ids)[::20] + had[-3:] + ["film+0+1950"]
    Path("deny.txt").write_text("\n".join([*gone, "no+such+film"]))
    summary, snapshot = refresh('deny = ["film+1+1951"]\ndeny_file = "deny.txt"')
    gone += ["film+1+1951"]
    assert shown(snapshot).isdisjoint(gone)
    assert {len(names) for names in lists(snapshot).values()} == {20}
    assert answers(snapshot, history.item_ids).isdisjoint(name.encode() for name in gone)
    assert summary["warnings"] == ["deny: 1 of the ids are not items: no+such+film"]
    assert snapshot.manifest.metrics["hidden_by_rules"] == len(set(gone) & in_rows(snapshot))
    assert snapshot.manifest.inputs[-1]["kind"] == "deny list"
    assert all(snapshot.similar.get(name.encode()) for name in set(gone) & in_rows(snapshot))


def in_rows(snapshot):
    return {name.decode() for _, name in snapshot.rows}


def test_recall_is_measured_without_denied_items(refresh, history):
    """Denied neighbours do not count; with half of the films denied recall stays high."""
    _, snapshot = refresh(f"deny = {json.dumps(sorted(history.item_ids)[::2])}")
    assert snapshot.manifest.metrics["index_recall_at_20"] > 0.95


def test_a_hidden_item_of_a_history_is_replaced_by_its_neighbour(refresh, history):
    """Both in the middle of the rows and behind the last indexed one."""
    last = max(set().union(*history.seen.values()))
    _, snapshot = refresh(f'deny = ["film+1+1951", "{last}"]')
    served = Served(snapshot)
    for hidden in ("film+1+1951", last):
        nearest = snapshot.similar.get(hidden.encode()).split(b",")[0]
        answer = served.answer(b"unknown", [hidden.encode()])
        assert answer.source == "history"
        assert answer.names[0] == nearest
        rest = served.answer(b"unknown", [nearest]).names
        assert answer.names[1:] == rest[:19]


def test_unavailable_items_are_nowhere(refresh, catalogue):
    """At the given time; at a later one they are available."""
    catalogue(
        {
            "film+0+1950": {"available_until": "2026-11-21"},
            "film+1+1951": {"available_from": "2026-11-23"},
            "film+2+1952": {"available_from": "2026-11-20", "available_until": "2026-11-22"},
        }
    )
    _, snapshot = refresh()
    assert shown(snapshot) & {f"film+{n}+{1950 + n}" for n in range(3)} == {"film+2+1952"}
    assert snapshot.manifest.parameters["rules"]["at"] == "2026-11-21T12:00:00+00:00"
    _, later = refresh("", "--at", "2026-11-24")
    assert shown(later) & {f"film+{n}+{1950 + n}" for n in range(3)} == {"film+1+1951"}
    _, always = refresh("availability = false")
    assert {"film+0+1950", "film+1+1951"} <= shown(always)


def test_the_same_time_gives_the_same_bytes(refresh, catalogue):
    """With every rule on; the system clock does not count."""
    catalogue({"film+0+1950": {"available_until": "2026-11-23", "cost": 3}})
    every = 'boosts = ["year:1951=2"]\ncost_weight = 0.2\ndiversity = 0.4\nexplore = 2\ncap = 0.6'
    snapshots = [refresh(every, store=name)[1].folder for name in ("a", "b")]
    for name in ("recs.mdb", "factors.mdb", "items.ann"):
        assert (snapshots[0] / name).read_bytes() == (snapshots[1] / name).read_bytes(), name


def minors_of(history):
    profiles = [json.loads(line) for line in history.profiles.read_text().splitlines()]
    return {str(profile["user_id"]) for profile in profiles if profile["age"] < 18}


ADULT = [f"film+{n}+{1950 + n}" for n in range(0, 40, 3)]


def test_no_adult_title_is_shown_to_a_minor(refresh, history, catalogue):
    """Neither in list and spares, nor when a takedown or a history adds other items."""
    catalogue({name: {"adult": True} for name in ADULT})
    _, snapshot = refresh()
    minors = minors_of(history)
    assert 0 < len(minors) < len(history.seen)
    withheld = FilteredLists(snapshot, {b"film+1+1951", b"film+2+1952", b"film+4+1954"})
    served = Served(snapshot)
    for user in minors:
        name = user.encode()
        lists = [snapshot.users.get(name), snapshot.spares.get(name), withheld.get(name)]
        names = {item for body in lists for item in body.decode().split(",")}
        names |= {item.decode() for item in served.answer(name, [b"film+1+1951"]).names}
        assert names.isdisjoint(ADULT)
        assert len(snapshot.users.get(name).split(b",")) == 20
    assert not shown(snapshot).isdisjoint(ADULT)  # the others get them


@pytest.mark.parametrize("is_minor", [True, False])
def test_users_of_unknown_age_are_minors_by_configuration(refresh, catalogue, history, is_minor):
    """Users without a profile, or with one without an age."""
    catalogue({name: {"adult": True} for name in ADULT})
    with history.profiles.open("a") as file:
        file.write('{"user_id": 5, "gender": "F"}\n')
    _, snapshot = refresh(f"unknown_age_is_minor = {str(is_minor).lower()}")
    for user in (b"unknown", b"5"):
        found = answers(snapshot, ["film+0+1950", "film+1+1951"], user)
        assert found.isdisjoint(name.encode() for name in ADULT) == is_minor
    assert snapshot.profiles.get(b"5") == (b"F minor" if is_minor else b"F")


def test_the_adult_filter_can_be_switched_off(refresh, history, catalogue):
    catalogue({name: {"adult": True} for name in ADULT})
    _, snapshot = refresh("adult_filter = false")
    seen_by_minors = {name for user in minors_of(history) for name in lists(snapshot)[user]}
    assert not seen_by_minors.isdisjoint(ADULT)


def test_a_boost_raises_and_a_negative_one_hides(refresh, catalogue, history):
    catalogue({name: {"original_language": "fr"} for name in sorted(history.item_ids)[::4]})
    french = {*sorted(history.item_ids)[::4]}

    def share(snapshot):
        return sum(name in french for names in lists(snapshot).values() for name in names)

    _, plain = refresh()
    _, more = refresh('boosts = ["language:fr=3"]')
    _, none = refresh('boosts = ["language:fr=-1"]')
    assert share(more) > 1.2 * share(plain)
    assert shown(none).isdisjoint(french)


def test_a_cost_weight_changes_the_lists(refresh, catalogue, history):
    """At a weight of 1, cheap candidates come before all dear ones."""
    dear = {*sorted(history.item_ids)[::2]}
    catalogue({name: {"cost": 5.0 if name in dear else 0.5} for name in history.item_ids})
    _, snapshot = refresh("cost_weight = 1.0")
    for user, names in lists(snapshot).items():
        n_cheap = len(in_rows(snapshot) - dear - history.seen[user])
        assert [name in dear for name in names] == [place >= n_cheap for place in range(20)]
    assert json.loads(snapshot.items.get(min(dear).encode()))["cost"] == 5.0


def test_diversity_changes_the_lists(refresh, catalogue, history):
    """The second item is of another genre than the first."""
    genres = {name: ("War", "Drama")[n % 2] for n, name in enumerate(sorted(history.item_ids))}
    catalogue({name: {"genres": [{"id": 1, "name": genre}]} for name, genre in genres.items()})

    def n_alike(snapshot):
        return sum(genres[a] == genres[b] for a, b, *_ in lists(snapshot).values())

    _, plain = refresh()
    _, diverse = refresh("diversity = 0.95")
    assert n_alike(diverse) == 0 < n_alike(plain)


def test_the_cap_changes_the_lists(refresh):
    """No film is in more than half of the 60 lists, and every list is full."""
    _, snapshot = refresh("cap = 0.5")
    found = [name for names in lists(snapshot).values() for name in names]
    assert max(found.count(name) for name in set(found)) <= 30
    assert len(found) == 60 * 20
    _, free = refresh()
    found = [name for names in lists(free).values() for name in names]
    assert max(found.count(name) for name in set(found)) > 30


def test_exploration_fills_the_last_places(refresh):
    """17 places stay, 3 are drawn as the manifest says, and the spares have the others."""
    _, plain = refresh()
    summary, found = refresh("explore = 3")
    assert summary["estimate"] == ""
    estimate = "python -m stream estimate --generation 3 --logged 2 --store store"
    assert refresh()[0]["estimate"] == estimate  # of what explored
    rules = found.manifest.parameters["rules"]
    draw = Draw(rules["explore"], rules["explore_temperature"], rules["explore_salt"])
    kept, before = ({user: names + spares_of(one, user) for user, names in lists(one).items()}
                    for one in (found, plain))  # fmt: skip
    places = draw.drawn_places([*kept], np.full(len(kept), 13)).tolist()
    for (user, names), drawn in zip(kept.items(), places, strict=True):
        assert names[:17] == before[user][:17]
        assert names[17:20] == [before[user][17 + place] for place in drawn]
        assert set(names) == set(before[user])
    assert len({tuple(drawn) for drawn in places}) > 20
    assert "explore_salt" not in plain.manifest.parameters["rules"]
    assert found.manifest.metrics["lists_moved_after_draw"] == 0


def test_exploration_without_spares_is_an_error(refresh, monkeypatch):
    monkeypatch.setenv("MARQUEE_BATCH_N_SPARES", "0")
    with pytest.raises(AssertionError, match="draws from the spares"):
        refresh("explore = 3")


def test_lists_that_rules_made_short_are_counted(refresh, history):
    """The summary has a warning, the manifest the number."""
    gone = sorted(history.item_ids)[15:]
    summary, snapshot = refresh(f"deny = {json.dumps(gone)}")
    assert len(lists(snapshot)) == 60
    assert summary["warnings"] == [
        "rules: 60 of 60 lists have fewer than 20 items, because the rules leave no more"
    ]
    assert snapshot.manifest.metrics["short_lists"] == 60


def test_an_invalid_rule_stops_the_refresh(history, capsys, monkeypatch):
    """The error names the setting, and nothing is published."""
    monkeypatch.setenv("MARQUEE_RULES_BOOSTS", '["Horror=2"]')
    inputs = ["--events", history.events, "--catalogue", history.catalogue]
    assert main(["refresh", *map(str, inputs), "--store", "store"]) == 1
    assert "[rules] boosts: 'Horror=2' is not a valid boost" in capsys.readouterr().err
    assert not Path("store/CURRENT").exists()


def test_an_invalid_time_is_wrong_usage(history, capsys):
    with pytest.raises(SystemExit) as end:
        main(["refresh", "--events", str(history.events), "--at", "soon"])
    assert end.value.code == 2
    assert "--at: 'soon' is not a valid ISO 8601 time; write e.g." in capsys.readouterr().err
