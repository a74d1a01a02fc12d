"""Ratings made by a known model."""

import numpy as np

from batch.interactions.build import Ratings


def made_by_a_model(n_users=500, n_items=200, n_factors=3, noise=0.3, share=0.25, seed=1):
    """Return ratings of random pairs made by a model of this kind, and its biases."""
    rng = np.random.default_rng(seed)
    user_bias, item_bias = rng.normal(0, 0.5, n_users), rng.normal(0, 0.5, n_items)
    users = rng.normal(0, 0.8, (n_users, n_factors))
    items = rng.normal(0, 0.8, (n_items, n_factors))
    user_row, item_row = np.nonzero(rng.random((n_users, n_items)) < share)
    exact = 5 + user_bias[user_row] + item_bias[item_row]
    exact += (users[user_row] * items[item_row]).sum(axis=1)
    rating = exact + rng.normal(0, noise, len(exact))
    return Ratings(user_row, item_row, rating.astype(np.float32), 20.0), user_bias, item_bias
