"""All rules together, over a fitted model."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from batch.errors import InputError
from batch.models.item_knn import ItemKnn
from batch.records.profiles import Profile
from batch.rules.exploration import MOVED, SALT
from batch.rules.rules import Rules
from batch.rules.settings import RuleSettings
from batch.topk import NO_ITEM
from tests.batch.made_rules import AT, made_fitted, made_interactions, made_item, names_of

N_KEPT = 30
GENRES = ("Comedy", "Drama", "Horror")
SETTINGS = {
    "default": {},
    "boosts": {"boosts": ("genre:Horror=0.2", "item:i003=5", "item:i004=0")},
    "cost": {"cost_weight": 0.5},
    "diversity": {"diversity": 0.5},
    "factors": {"diversity": 0.5, "diversity_by": "factors"},
    "explore": {"explore": 3},
    "cap": {"cap": 0.3},
    "all": {
        "deny": ("i005",), "boosts": ("genre:Horror=0.2",), "cost_weight": 0.2,
        "diversity": 0.3, "explore": 2, "cap": 0.3,
    },
}  # fmt: skip
every_setting = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)


def made_rules(fitted, settings, salt="4"):
    """Rules for items of which 1 in 10 is adult, 1 in 12 unavailable, and 1 in 5 users a minor."""
    interactions = made_interactions(fitted.seen)
    items = {
        name: made_item(
            genres=(GENRES[row % 3],),
            adult=row % 10 == 0,
            cost=row % 7 / 10,
            available_until="2026-11-20T00:00:00+00:00" if row % 12 == 5 else None,
        )
        for row, name in enumerate(interactions.item_ids.to_pylist())
    }
    profiles = {
        name: Profile(10 if row % 5 == 0 else 30, None, None)
        for row, name in enumerate(interactions.user_ids.to_pylist())
    }
    of = partial(Rules.of, RuleSettings(**settings), at=AT, salt=salt)
    return of(interactions, items, profiles)


def lists_of(fitted, settings, n_threads=1, hidden=(), chunk_users=65_536):
    rules = replace(made_rules(fitted, settings), chunk_users=chunk_users)
    factors = getattr(fitted, "item_factors", np.eye(fitted.seen.shape[1], dtype=np.float32))
    return rules.lists(fitted, factors, N_KEPT, hidden=hidden, n_threads=n_threads)


@every_setting
@pytest.mark.parametrize("seed", [1, 2])
def test_every_list_is_valid(settings, seed):
    """Full, without repeated, seen, denied, unavailable or hidden items, or adult for a minor."""
    fitted = made_fitted(seed)
    lists = lists_of(fitted, settings, hidden={7})
    assert lists.item_rows.shape == lists.scores.shape == (90, N_KEPT)
    denied = {int(name[1:]) for name in settings.get("deny", ())}
    for user, rows in enumerate(names_of(lists)):
        assert len(set(rows)) == len(rows) == N_KEPT
        assert not set(rows) & set(fitted.seen[user].indices)
        assert not set(rows) & (denied | {7})
        assert not any(row % 12 == 5 for row in rows)
        if user % 5 == 0:
            assert not any(row % 10 == 0 for row in rows)
    assert any(row % 10 == 0 for rows in names_of(lists) for row in rows)


@every_setting
def test_threads_and_chunks_do_not_change_the_lists(settings):
    """They are the same on three threads, and with chunks of a few users."""
    fitted = made_fitted(3)
    one = lists_of(fitted, settings)
    assert np.array_equal(one.item_rows, lists_of(fitted, settings, n_threads=3).item_rows)
    many = made_fitted(3, n_users=600)
    in_chunks = lists_of(many, settings, chunk_users=256)
    assert np.array_equal(in_chunks.item_rows, lists_of(many, settings).item_rows)


@every_setting
def test_rules_apply_to_every_model(settings):
    """Lists of item-kNN hold allowed items alone."""
    seen = made_fitted(5).seen
    seen.data[:] = 1
    fitted = ItemKnn(10).fit(seen, n_threads=1)
    interactions = made_fitted(5)
    rules = made_rules(interactions, settings)
    lists = rules.lists(fitted, interactions.item_factors, N_KEPT, n_threads=1)
    for user, rows in enumerate(names_of(lists)):
        assert len(set(rows)) == len(rows) >= 20
        assert not set(rows) & set(seen[user].indices)
        assert user % 5 or not any(row % 10 == 0 for row in rows)


def test_without_rules_the_lists_are_those_of_the_model():
    """They are equal byte for byte, scores too."""
    fitted = made_fitted(6)
    rules = Rules.of(RuleSettings(), made_interactions(fitted.seen), {}, {}, at=AT, salt="1")
    lists = rules.lists(fitted, fitted.item_factors, N_KEPT)
    own = fitted.top_k(N_KEPT)
    assert lists.item_rows.tobytes() == own.item_rows.tobytes()
    assert lists.scores.tobytes() == own.scores.tobytes()


def test_lists_of_minors_are_exact():
    """They are the best of all other titles, not the overall best without adult titles."""
    fitted = made_fitted(7)
    lists = lists_of(fitted, {})
    scores = fitted.user_factors @ fitted.item_factors.T
    scores[fitted.seen.nonzero()] = -np.inf
    scores[:, [row for row in range(120) if row % 12 == 5]] = -np.inf
    scores[::5, ::10] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, :N_KEPT]
    assert np.array_equal(lists.item_rows, best)


@pytest.mark.parametrize("age", [10, 30])
def test_all_minors_or_none(age):
    """A single search is done, with or without adult titles."""
    fitted = made_fitted(8)
    rules = made_rules(fitted, {})
    rules = replace(rules, minors=np.full(90, age < 18))
    lists = rules.lists(fitted, fitted.item_factors, N_KEPT)
    assert any(row % 10 == 0 for rows in names_of(lists) for row in rows) == (age >= 18)


def test_minors_of_an_adult_catalogue_have_no_list():
    """If all titles are adult, minors get an empty list."""
    fitted = made_fitted(8)
    rules = replace(made_rules(fitted, {}), adult=np.ones(120, bool))
    lengths = [len(rows) for rows in names_of(rules.lists(fitted, fitted.item_factors, N_KEPT))]
    assert lengths == [0 if user % 5 == 0 else N_KEPT for user in range(90)]


@pytest.mark.parametrize("share", [0.2, 0.25, 0.5])
def test_lists_under_the_cap_are_full(share):
    """20 places of 110 items need at least 18 %: further candidates are searched for."""
    fitted = made_fitted(9, popularity=6.0)
    lists = lists_of(fitted, {"cap": share, "candidates": 30})
    n_lists = np.bincount(lists.item_rows[:, :20].ravel() + 1, minlength=121)
    assert n_lists[0] == 0  # NO_ITEM
    assert n_lists[1:].max() <= share * 90
    free = lists_of(fitted, {"candidates": 30})
    assert np.bincount(free.item_rows[:, :20].ravel(), minlength=120).max() > share * 90


@pytest.mark.parametrize("seed", [20, 21, 22])
def test_a_list_is_short_only_if_no_item_has_room(seed):
    """If many users request the same items, further ones are searched for."""
    fitted = made_fitted(seed, popularity=20.0)
    rules = made_rules(fitted, {"cap": 0.19, "candidates": 20})
    lists = rules.lists(fitted, fitted.item_factors, 20)
    n_lists = np.bincount(lists.item_rows.ravel() + 1, minlength=121)[1:]
    for user, rows in enumerate(names_of(lists)):
        if len(rows) < 20:
            is_open = n_lists < int(0.19 * 90)
            is_open[[*rows, *fitted.seen[user].indices]] = False
            is_open[5::12] = False
            is_open[0 : 120 if user % 5 == 0 else 0 : 10] = False
            assert not is_open.any()


def test_a_cap_with_too_little_room_leaves_short_lists():
    """Each item in 9 of 90 lists gives 990 of 1,800 places; nearly all of them are used."""
    fitted = made_fitted(9)
    rules = made_rules(fitted, {"cap": 0.1})
    lists = rules.lists(fitted, fitted.item_factors, N_KEPT)
    n_lists = np.bincount(lists.item_rows[:, :20][lists.item_rows[:, :20] != NO_ITEM])
    assert n_lists.max() == 9
    assert n_lists.sum() > 0.95 * 9 * 110
    found = rules.effects(lists, made_interactions(fitted.seen), ())
    assert found["short_lists"] == sum(len(rows) < 20 for rows in names_of(lists)) > 0
    assert "lists have fewer than 20 items" in rules.context.warnings[0]


def test_lists_that_are_short_for_other_reasons_are_not_counted():
    """Such as takedowns, or users who have seen nearly everything."""
    fitted = made_fitted(10, n_items=50)
    rules = Rules.of(RuleSettings(), made_interactions(fitted.seen), {}, {}, at=AT, salt="1")
    hidden = set(range(40))
    lists = rules.lists(fitted, fitted.item_factors, N_KEPT, hidden=hidden)
    assert (lists.item_rows == NO_ITEM)[:, :20].any()
    assert rules.effects(lists, made_interactions(fitted.seen), hidden)["short_lists"] == 0
    assert rules.context.warnings == []


def test_rules_that_hide_every_item_are_an_error():
    """A deny list of the whole catalogue stops the refresh."""
    fitted = made_fitted(11)
    interactions = made_interactions(fitted.seen)
    settings = RuleSettings(deny=tuple(interactions.item_ids.to_pylist()))
    with pytest.raises(InputError, match="leave no item"):
        Rules.of(settings, interactions, {}, {}, at=AT, salt="1")


def test_boosts_and_cost_change_the_lists():
    """A genre boosted down is rarer, and a cost weight makes lists cheaper."""
    fitted = made_fitted(12)
    plain = lists_of(fitted, {}).item_rows[:, :20]
    less = lists_of(fitted, {"boosts": ("genre:Horror=0.2",)}).item_rows[:, :20]
    assert (less % 3 == 2).mean() < 0.7 * (plain % 3 == 2).mean()
    cheap = lists_of(fitted, {"cost_weight": 0.5}).item_rows[:, :20]
    assert (cheap % 7).mean() < 0.8 * (plain % 7).mean()


def test_diversity_mixes_genres():
    """Each third item has the same genre: a diverse list begins with one of each."""
    fitted = made_fitted(13)

    def share_with_all(lists):
        return np.mean([len(set(rows % 3)) == 3 for rows in lists.item_rows[:, :3]])

    assert share_with_all(lists_of(fitted, {})) < 0.5
    assert share_with_all(lists_of(fitted, {"diversity": 0.9})) == 1


def test_lists_that_the_cap_changes_after_the_draw_are_counted():
    """The manifest has their number, and the salt; without exploration neither."""
    fitted = made_fitted(16)
    interactions = made_interactions(fitted.seen)
    for cap, has_moved in ((1.0, False), (0.3, True)):
        rules = made_rules(fitted, {"explore": 2, "cap": cap})
        lists = rules.lists(fitted, fitted.item_factors, N_KEPT)
        found = rules.effects(lists, interactions, ())
        assert (found[MOVED] > 0) == has_moved
        assert rules.parameters()[SALT] == "4"
    rules = made_rules(fitted, {"cap": 0.3})
    lists = rules.lists(fitted, fitted.item_factors, N_KEPT)
    assert MOVED not in rules.effects(lists, interactions, ())
    assert SALT not in rules.parameters()


def test_the_manifest_has_settings_time_and_deny_list(tmp_path):
    """The deny list is among its inputs."""
    path = tmp_path / "deny.txt"
    path.write_bytes(b"i001\n")
    rules = made_rules(made_fitted(14), {"deny_file": str(path), "cap": 0.5})
    assert rules.parameters()["at"] == "2026-11-21T12:00:00+00:00"
    assert rules.parameters()["cap"] == 0.5
    (source,) = rules.inputs()
    assert (source["name"], source["kind"], source["bytes"]) == ("deny.txt", "deny list", 5)
    assert rules.hidden[1]


BAD = {
    "cost_weight": 1.5, "diversity": -0.1, "cap": 0.0, "explore": 21, "candidates": 19,
    "explore_temperature": 0.0, "diversity_by": "colour", "availability_hours": float("inf"),
    "boosts": ("Horror=2",),
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD.items(), ids=BAD)
def test_settings_out_of_range_are_an_error(name, value):
    """The message names the setting."""
    with pytest.raises(ValueError, match=name):
        RuleSettings(**{name: value})
