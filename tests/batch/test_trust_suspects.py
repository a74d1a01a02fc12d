"""Suspects: who pushes an item is found, and an item that many watch is not suspected."""

import json
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from batch.__main__ import main
from batch.errors import InputError
from batch.events.parsed import ACCOUNTS
from batch.interactions.build import Interactions, Ratings
from batch.trust.ages import Ages, ages_of
from batch.trust.assess import assess
from batch.trust.dense_block import block_of_young, dense_block
from batch.trust.last_day import MIN_BURST, DayGraph, last_day_of
from batch.trust.settings import TrustSettings
from batch.trust.suspects import find_suspects
from batch.trust.trusted import (
    ITEM,
    USER,
    SuspectId,
    TrustedIds,
    forget_accounts,
    read_suspects,
    trust,
    trusted_ids,
    write_suspects,
)
from store.errors import MarqueeError

DAY, N_DAYS, N_USERS, N_ITEMS, N_PUSHING = 86_400, 60, 1500, 80, 40
UNTIL = 20_000 * DAY
NOT_AFTER = datetime(2100, 1, 1, tzinfo=UTC)
TARGET, VIRAL = 70, 71
NO_ACCOUNTS = ACCOUNTS.empty_table()
SETTINGS = TrustSettings()


def made(views):
    """Return interactions of (user row, item row, time) rows, the first of each pair."""
    views = views[np.lexsort((views[:, 2], views[:, 1], views[:, 0]))]
    is_first = np.append(True, (np.diff(views[:, :2], axis=0) != 0).any(axis=1))
    user, item, at = views[is_first].T
    shape = (user.max() + 1, N_ITEMS)
    weights = sp.csr_matrix((np.ones(len(at), np.float32), (user, item)), shape=shape)
    no_rows = np.zeros(0, np.int64)
    users, items = (pa.array([f"{row:05}" for row in range(n)]) for n in shape)
    ratings = Ratings(no_rows, no_rows, no_rows.astype(np.float32), 5.0)
    return Interactions(users, items, weights, ratings, Counter(), 0, at)


def quiet():
    """Return views of 60 days: by popularity, and a fortieth of the users new in each half week."""
    random = np.random.default_rng(4)
    joined = np.where(np.arange(N_USERS) % 2, 0, random.random(N_USERS) * (N_DAYS - 1))
    user = np.repeat(np.arange(N_USERS), 16)
    item = (TARGET * random.random(len(user)) ** 2).astype(np.int64)
    day = joined[user] + (N_DAYS - joined[user]) * random.random(len(user))
    item[:40] = np.repeat([TARGET, VIRAL], 20)
    return np.stack((user, item, UNTIL - ((N_DAYS - day) * DAY).astype(np.int64)), axis=1)


def pushing(n_fillers=8):
    """Return views of new accounts on the target and the same popular items, in the same hour."""
    user = np.repeat(N_USERS + np.arange(N_PUSHING), n_fillers + 1)
    item = np.tile([TARGET, *range(n_fillers)], N_PUSHING)
    at = UNTIL - DAY // 2 + 300 * np.tile(np.arange(n_fillers + 1), N_PUSHING) + user % 60
    return np.stack((user, item, at), axis=1)


def popular():
    """Return views of an item that users of all ages begin on one evening."""
    user = np.random.default_rng(5).choice(N_USERS, 60, replace=False)
    at = UNTIL - DAY // 4 - np.random.default_rng(6).integers(0, 7200, 60)
    return np.stack((user, np.full(60, VIRAL), at), axis=1)


def suspects_of(*views, trusted=TrustedIds(), accounts=NO_ACCOUNTS):  # noqa: B008
    whole = made(np.concatenate(views))
    return find_suspects(whole, ages_of(whole, accounts, NOT_AFTER), SETTINGS, trusted, seed=1)


def test_accounts_that_push_an_item_weigh_nothing_and_their_items_keep_their_weight():
    """All of them and nobody else; popular items that they also watched are not in doubt."""
    found = suspects_of(quiet(), pushing(), popular())
    assert TARGET in [item.item_row for item in found.items]
    assert VIRAL not in [item.item_row for item in found.items]
    assert found.user_rows.tolist() == [*range(N_USERS, N_USERS + N_PUSHING)]
    assert not len(found.item_rows)
    target = next(item for item in found.items if item.item_row == TARGET)
    assert target.reasons.keys() == {"burst", "young", "like", "lockstep", "block"}


def test_an_honest_burst_is_no_suspect():
    whole = made(np.concatenate((quiet(), popular())))
    day = last_day_of(whole, UNTIL, UNTIL - N_DAYS * DAY)
    assert isinstance(day, DayGraph)
    assert day.bursts()[VIRAL] > 2 * MIN_BURST  # a burst it is
    assert suspects_of(quiet(), popular()).items == ()


def test_without_ages_like_histories_and_lockstep_put_an_item_in_doubt():
    """The events of a service of three weeks: no account is young, and none weighs nothing."""
    recent = quiet()
    recent = recent[recent[:, 2] > UNTIL - 22 * DAY]
    found = suspects_of(recent, pushing())
    assert TARGET in found.item_rows
    assert not len(found.user_rows)
    assert suspects_of(recent[recent[:, 2] > UNTIL - 10 * DAY], pushing()).note != ""


def test_trusted_items_and_accounts_are_no_suspects():
    users = frozenset({f"{N_USERS:05}"})
    found = suspects_of(quiet(), pushing(), trusted=TrustedIds(users=users))
    assert N_USERS not in found.user_rows
    assert N_USERS + 1 in found.user_rows
    items = frozenset(f"{row:05}" for row in range(N_ITEMS))
    assert suspects_of(quiet(), pushing(), trusted=TrustedIds(items)).items == ()


def test_the_manifest_names_items_and_no_account():
    whole = made(np.concatenate((quiet(), pushing())))
    trusted, found = assess(whole, NO_ACCOUNTS, SETTINGS, not_after=NOT_AFTER, seed=1)
    text = json.dumps(found.document)
    assert f'"{TARGET:05}"' in text
    assert f"{N_USERS:05}" not in text
    assert found.document["n_suspect_accounts"] == N_PUSHING
    assert SuspectId("0", USER, f"{N_USERS:05}", found.suspects[-1].why) in found.suspects
    assert trusted.weights[N_USERS:].nnz == 0
    again, twice = assess(whole, NO_ACCOUNTS, SETTINGS, not_after=NOT_AFTER, seed=1)
    assert twice.document == found.document
    assert abs(again.weights - trusted.weights).nnz == 0


def assessment_of(*views, settings=SETTINGS, accounts=NO_ACCOUNTS):
    whole = made(np.concatenate(views))
    return assess(whole, accounts, settings, not_after=NOT_AFTER, seed=1)[1]


def test_nobody_who_is_not_assessed_is_trained_on_while_somebody_pushes():
    honest = assessment_of(quiet())
    assert honest.why_sample_alone == ""
    assert honest.young_since == pytest.approx(UNTIL - 7 * DAY, abs=DAY)
    assert "seems to push items" in assessment_of(quiet(), pushing()).why_sample_alone
    off = TrustSettings(bounded=False, detection=False)
    found = assessment_of(quiet(), pushing(), settings=off)
    assert (found.why_sample_alone, found.young_since) == ("", None)


def test_nobody_who_is_not_assessed_is_trained_on_while_all_accounts_are_young():
    """Others would have influence that the young accounts of the sample have not."""
    recent = quiet()
    recent[:, 2] = UNTIL - recent[:, 2] % (2 * DAY)
    created = {
        "user_id": [f"{row:05}" for row in range(N_USERS)],
        "at": [UNTIL - 3 * DAY] * N_USERS,
    }
    accounts = pa.table(created).cast(ACCOUNTS)
    assert "are young" in assessment_of(recent, accounts=accounts).why_sample_alone


def best_density(user, item):
    """Return the density of the densest block, by trying all of them."""
    weight = 1 / np.log(np.bincount(item) + 5.0)[item]
    n = user.max() + 1, item.max() + 1
    best = 0.0
    for users in range(1, 2 ** n[0]):
        for items in range(1, 2 ** n[1]):
            inside = (users >> user & 1) & (items >> item & 1)
            best = max(best, weight @ inside / (users.bit_count() + items.bit_count()))
    return best


@pytest.mark.parametrize("seed", range(6))
def test_a_dense_block_is_at_least_half_as_dense_as_the_densest(seed):
    """The bound that the paper proves, against a search of all blocks; usually it is the best."""
    random = np.random.default_rng(seed)
    user, item = np.nonzero(random.random((6, 5)) < random.uniform(0.2, 0.9))
    user, item = (np.unique(rows, return_inverse=True)[1] for rows in (user, item))
    block = dense_block(user, item)
    best = best_density(user, item)
    assert best / 2 <= block.density <= best + 1e-9
    inside = np.isin(user, block.user_rows) & np.isin(item, block.item_rows)
    weight = (1 / np.log(np.bincount(item) + 5.0))[item][inside].sum()
    assert weight / (len(block.user_rows) + len(block.item_rows)) == pytest.approx(block.density)


def test_there_is_no_block_without_young_accounts():
    whole = made(quiet())
    n_users = len(whole.user_ids)
    old = Ages(np.full(n_users, 1e6, np.float32), UNTIL, UNTIL - DAY, "unknown")
    assert not len(block_of_young(whole, old, 7).user_rows)


def test_undo_and_revoke(tmp_path, capsys):
    """What is undone is trusted until it is revoked, and the reason is shown."""
    write_suspects(tmp_path, [SuspectId("0.5", ITEM, "heat", "burst 9")])
    store = ["--store", str(tmp_path)]
    assert main(["trust", "undo", "heat", "--user", "7", "8", "--why", "a trailer", *store]) == 0
    assert "weight 0.5 item heat: burst 9" in capsys.readouterr().out
    assert trusted_ids(tmp_path) == TrustedIds(frozenset({"heat"}), frozenset({"7", "8"}))
    assert main(["trust", "revoke", "--user", "7", *store]) == 0
    assert main(["trust", "list", "--json", *store]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [one["id"] for one in shown["trusted"]] == ["heat", "8"]
    for wrong in (["revoke", "alien"], ["undo", "heat"], ["undo", "a b", "--why", "x"], ["undo"]):
        assert main(["trust", *wrong, *store]) == 1


def test_a_forgotten_user_is_in_neither_file(tmp_path):
    trust(tmp_path, USER, ["7", "8"], "ours")
    write_suspects(tmp_path, [SuspectId("0", USER, "7", "pushed heat")])
    assert forget_accounts(tmp_path, ["7"]) == 2
    assert trusted_ids(tmp_path).users == {"8"}
    assert read_suspects(tmp_path) == []


def test_a_damaged_file_is_an_error(tmp_path):
    """A list that somebody has broken is not taken for an empty one."""
    (tmp_path / "TRUSTED").write_text("heat\n")
    with pytest.raises(InputError, match="tabs"):
        trusted_ids(tmp_path)
    (tmp_path / "TRUSTED").write_text("film\theat\t2026\twhy\n")
    with pytest.raises(MarqueeError, match="is no item"):
        trusted_ids(tmp_path)
