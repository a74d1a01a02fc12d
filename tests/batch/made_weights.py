"""Weights of two groups of users, for the tests of models."""

import numpy as np
import scipy.sparse as sp


def some_weights(
    n_users: int = 200, n_items: int = 40, density: float = 0.15, seed: int = 1
) -> sp.csr_matrix:
    """Return users of two groups over items of falling popularity, with noise."""
    rng = np.random.default_rng(seed)
    liked = 1 / np.arange(1, n_items + 1) ** 0.7
    preference = np.where(np.arange(n_users)[:, None] % 2 == np.arange(n_items) % 2, 3.0, 0.3)
    has = rng.random((n_users, n_items)) < preference * liked / liked.mean() * density / 2
    has[:, 0] |= ~has.any(axis=1)
    return sp.csr_matrix(has.astype(np.float32))
