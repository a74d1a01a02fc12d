"""Held-out items: a share of all items of users, which lists made from the others should hold."""

from typing import Final

import numpy as np
import scipy.sparse as sp

HELD_OUT: Final = 0.2  # of the items of users


def split_items(weights: sp.csr_matrix, seed: int) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Return training and test set, of all users.

    Args:
        weights: (n_users, n_items) weights; not modified.
        seed: Random seed.
    """
    is_test = np.random.default_rng(seed).random(weights.nnz) < HELD_OUT
    train, test = weights.copy(), weights.copy()
    train.data, test.data = weights.data * ~is_test, weights.data * is_test
    for one in (train, test):
        one.eliminate_zeros()
    return train, test


def hold_out_items(weights: sp.csr_matrix, seed: int) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Return training and test set, of the users who have an item in each; see `split_items`."""
    train, test = split_items(weights, seed)
    is_kept = (np.diff(train.indptr) > 0) & (np.diff(test.indptr) > 0)
    return train[np.flatnonzero(is_kept)], test[np.flatnonzero(is_kept)]
