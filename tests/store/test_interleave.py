"""The team draft: a fair merge of two lists, and a snapshot of such lists."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.check import broken_records
from store.dump import dump, load
from store.forget import forget
from store.interleave import interleave
from store.items import split
from store.layout import RECS, snapshot_folder
from store.manifest import verify
from store.publish import writing
from store.snapshot import open_snapshot
from store.team_draft import (
    CONTROL,
    NO_TEAM,
    TREATMENT,
    coins_function,
    pack_teams,
    team_draft,
    unpack_teams,
)
from tests.snapshots import make_snapshot

lists = st.lists(st.sampled_from([b"%d" % n for n in range(30)]), unique=True, max_size=20)
coins = st.integers(0, 2**32 - 1)


def ids(text):
    return [name.encode() for name in text]


@pytest.mark.parametrize(
    ("control", "treatment", "coins", "names", "teams"),
    [
        ("abcd", "abcd", 0, "abcd", "----"),
        ("abcd", "ebfa", 1, "eabcfd", "TC-CT-"),
        ("abcd", "ebfa", 0, "aebcfd", "CT-CT-"),
        ("ab", "cd", 0b01, "cabd", "TCCT"),
        ("ab", "", 0, "ab", "--"),
        ("", "", 0, "", ""),
    ],
)
def test_known_drafts(control, treatment, coins, names, teams):
    found = team_draft(ids(control), ids(treatment), coins)
    assert b"".join(found.names).decode() == names
    assert "".join("CT-"[team] for team in found.teams) == teams


@given(lists, lists, coins)
def test_a_draft_is_a_fair_merge(control, treatment, coins):
    """Every property of the merged list that the analysis relies on."""
    names, teams = team_draft(control, treatment, coins)
    assert len(names) == len(set(names)) == len(teams) == min(20, len({*control, *treatment}))
    assert {*names} <= {*control, *treatment}
    assert abs(teams.count(CONTROL) - teams.count(TREATMENT)) <= 1
    for name, team in zip(names, teams, strict=True):
        of_team = {CONTROL: control, TREATMENT: treatment, NO_TEAM: [*control, *treatment]}
        assert name in of_team[team]
    for name, other in zip(control, treatment, strict=False):
        if name == other and name in names:
            assert teams[names.index(name)] == NO_TEAM
    for given_list in (control, treatment):  # each team's own picks keep its order
        own = CONTROL if given_list is control else TREATMENT
        picks = [name for name, team in zip(names, teams, strict=True) if team == own]
        assert picks == sorted(picks, key=given_list.index)


@given(lists, lists, coins)
def test_the_other_coins_and_lists_give_the_other_teams(control, treatment, coins):
    """Neither side has an advantage but by its coins."""
    one = team_draft(control, treatment, coins)
    other = team_draft(treatment, control, ~coins & 2**32 - 1)
    swapped = {CONTROL: TREATMENT, TREATMENT: CONTROL, NO_TEAM: NO_TEAM}
    of_teams = [
        (name, team) for name, team in zip(one.names, one.teams, strict=True) if team != NO_TEAM
    ]
    assert of_teams == [
        (name, swapped[team])
        for name, team in zip(other.names, other.teams, strict=True)
        if team != NO_TEAM
    ]


@given(lists, lists, coins)
def test_three_bytes_hold_the_teams(control, treatment, coins):
    names, teams = team_draft(control, treatment, coins)
    packed = pack_teams(teams)
    assert (len(packed), unpack_teams(packed, len(names))) == (3, teams)


def test_bytes_of_another_length_are_not_teams():
    with pytest.raises(ValueError, match="4 bytes of teams instead of 3"):
        unpack_teams(bytes(4), 20)


def test_coins_are_fair_and_depend_on_the_salt():
    """Each of ten coins within 5 standard errors; another salt gives other coins."""
    users = [b"%d" % number for number in range(20_000)]
    found = [coins_function("a")(user) for user in users]
    heads = [sum(one >> n & 1 for one in found) for n in range(10)]
    assert all(abs(n - 10_000) < 5 * 71 for n in heads)
    same = sum(
        (one ^ coins_function("b")(user)) & 1 for one, user in zip(found, users, strict=True)
    )
    assert abs(same - 10_000) < 5 * 71


# The snapshot


LISTS = {f"user{n}": [f"item{(n + k) % 30:02d}" for k in range(20)] for n in range(30)}
OTHERS = {f"user{n}": [f"item{(n + 2 * k) % 40:02d}" for k in range(20)] for n in range(5, 35)}


@pytest.fixture
def merged(tmp_path):
    """A store of two generations, and a third that interleaves them."""
    store = tmp_path / "store"
    spares = {user: ["item27", "item28"] for user in LISTS if "item27" not in LISTS[user]}
    make_snapshot(store, LISTS, ["item00"], spares=spares, profiles={"user7": "F minor"})
    make_snapshot(store, OTHERS, ["item01"], flip=False)
    with writing(store):
        made = interleave(store, 1, 2, "salt")
    assert (made.generation, made.arm, made.format_version) == (3, "interleaved", 3)
    assert made.parameters["interleaved"] == [1, 2]
    return store


def test_a_merged_snapshot_is_sound_and_its_lists_are_drafts(merged):
    verify(merged / "snapshots" / "000003")
    coins_of = coins_function("salt")
    with open_snapshot(merged, 3) as snapshot:
        assert list(broken_records(snapshot)) == []
        assert snapshot.teams
        users = dict(snapshot.users)
        assert users.keys() == {user.encode() for user in LISTS.keys() | OTHERS.keys()}
        for user, body in users.items():
            both = [[n.encode() for n in one.get(user.decode(), [])] for one in (LISTS, OTHERS)]
            names, teams = team_draft(both[0], both[1], coins_of(user))
            assert split(body) == names
            packed = snapshot.teams.get(user)
            assert packed is not None
            assert unpack_teams(packed, len(names)) == teams
        assert snapshot.profiles.get(b"user7") == b"F minor"
        without = sum(snapshot.teams.get(user) == bytes(3) for user in users)
        assert without >= 10  # those with one list only


def test_a_dump_carries_the_teams(merged, tmp_path):
    """Loaded again it has the same lists and teams, byte for byte, and the same lines."""
    with open_snapshot(merged, 3) as snapshot:
        lines = [json.dumps(line) for line in dump(snapshot, snapshot.manifest.as_json())]
    assert sum("teams" in json.loads(line) for line in lines) == 35
    other = tmp_path / "other"
    with writing(other):
        loaded = load(other, lines)
    copies = [snapshot_folder(store, n) / RECS for store, n in ((merged, 3), (other, 1))]
    assert copies[0].read_bytes() == copies[1].read_bytes()
    with open_snapshot(other, loaded.generation) as snapshot:
        assert [json.dumps(line) for line in dump(snapshot, {})][1:] == lines[1:]


def test_other_snapshots_have_no_teams(merged):
    with open_snapshot(merged, 1) as snapshot:
        assert snapshot.teams is None


def test_a_forgotten_user_is_in_no_team(merged):
    """The table of teams is copied without the user, and all others with theirs."""
    forgotten = forget(merged, ["user7"], "test", 1.0)
    with open_snapshot(merged, forgotten.copies[3]) as snapshot:
        assert snapshot.teams
        assert snapshot.teams.get(b"user7") is None
        assert snapshot.teams.get(b"user8") is not None
        assert snapshot.manifest.arm == "interleaved"
