"""What is planted in a service: accounts that push one item, and items that many watch honestly.

kinds of attack (the first three as in SDLib's generators: github.com/Coder-Yu/SDLib)
    random      the target and 10 random items
    average     the target and 10 items by their popularity
    bandwagon   the target and 5 of the 10 most popular items, and 5 random ones
    same path   the target and the same 9 popular items, in the same order at the same time
    drip        bandwagon by accounts that are created, and watch, over 14 days

kinds of honest items
    trailer     an item that 3 % of the users begin in two hours of the last evening
    award       an item that 3 % begin on the last day
    release     an item that nobody had, and 4 % begin on the last day
"""

from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, Rows
from benchmarks.attacks.service import Service

ATTACKS: Final = ("random", "average", "bandwagon", "same path", "drip")
VIRAL: Final = ("trailer", "award", "release")
_DAY: Final = 86_400
_DRIP_DAYS: Final = 14
_N_FILLERS: Final = 10
_N_POPULAR: Final = 10
_FANS: Final = 20.0  # weight of a user per item of theirs that is near to the viral one
_SHARE: Final = {"trailer": 0.03, "award": 0.03, "release": 0.04}


def target_of(service: Service) -> int:
    """Return an item that few watch: that at nine tenths of the ranking."""
    ranking = np.argsort(-service.popularity(), kind="stable")
    return int(ranking[int(0.9 * service.n_items)])


def attacked(
    service: Service, kind: str, share: float, target: int, random: np.random.Generator
) -> Service:
    """Return the service with accounts that push a target.

    Args:
        service: Service without an attack.
        kind: Kind of the attack.
        share: Number of accounts, as a share of the users.
        target: Item row of the target.
        random: Random numbers of the accounts.
    """
    n_accounts = max(int(share * service.n_users), 1)
    fillers = _fillers(service, kind, n_accounts, random)
    n_each = fillers.shape[1] + 1
    items = np.concatenate((np.full((n_accounts, 1), target), fillers), axis=1)
    if kind == "drip":
        created = service.until - (random.random(n_accounts) * _DRIP_DAYS * _DAY).astype(np.int64)
        at = created[:, None] + 300 + 600 * np.arange(n_each)
    elif kind == "same path":
        created = np.full(n_accounts, service.until - _DAY // 2)
        at = (
            created[:, None]
            + 300 * np.arange(1, n_each + 1)
            + random.integers(0, 60, (n_accounts, n_each))
        )
    else:
        created = service.until - random.integers(_DAY // 2, _DAY, n_accounts)
        at = created[:, None] + random.integers(60, _DAY // 2, (n_accounts, n_each))
    rows = np.repeat(service.n_users + np.arange(n_accounts), n_each)
    at = np.minimum(at, service.until)
    return service.with_views(rows, items.ravel(), at.ravel().astype(np.int64), created)


def _fillers(service: Service, kind: str, n_accounts: int, random: np.random.Generator) -> Rows:
    """Return (n_accounts, n_fillers) other items of the accounts."""
    n_users = service.popularity()
    popular = np.argsort(-n_users, kind="stable")[:_N_POPULAR]
    shape = (n_accounts, _N_FILLERS)
    if kind == "same path":
        return np.tile(popular[: _N_FILLERS - 1], (n_accounts, 1))
    if kind == "average":
        return random.choice(service.n_items, shape, p=n_users / n_users.sum())
    found = random.integers(0, service.n_items, shape)
    if kind in ("bandwagon", "drip"):
        found[:, :5] = random.permuted(np.tile(popular, (n_accounts, 1)), axis=1)[:, :5]
    return found


def viral(service: Service, kind: str, item_row: int, random: np.random.Generator) -> Service:
    """Return the service with an item that many of its users begin on the last day.

    Viewers are users of any age, more of those who have items that go with this one.
    """
    weights = service.interactions().weights
    like = item_row if kind != "release" else int(random.integers(service.n_items))
    likes = 1 + _FANS * _nearness(weights, like)
    if kind == "release":
        service = service.without_item(item_row)
    likes[weights[:, item_row].nonzero()[0]] = 0
    n = int(_SHARE[kind] * service.n_users)
    users = random.choice(service.n_users, n, replace=False, p=likes / likes.sum())
    span = (2 * 3600, 3600) if kind == "trailer" else (_DAY, 0)
    at = service.until - span[1] - (random.random(n) * span[0]).astype(np.int64)
    return service.with_views(users, np.full(n, item_row), at)


def _nearness(weights: sp.csr_matrix, item_row: int) -> Doubles:
    """Return (n_users,) share of each user's items that are near to an item."""
    by_item = weights.T.tocsr()
    shared = (by_item @ by_item[item_row].T).toarray().ravel()
    n_users = np.diff(by_item.indptr)
    cosine = shared / np.sqrt(np.maximum(n_users, 1) * max(n_users[item_row], 1))
    near = np.argsort(-cosine, kind="stable")[: max(len(cosine) // 50, 5)]
    n_near = weights[:, near].sum(axis=1).A1
    return np.asarray(n_near / np.maximum(np.diff(weights.indptr), 1))
