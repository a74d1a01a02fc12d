"""Some users drawn by lot, where all of them would be more than is needed."""

import numpy as np

from batch.ratings.model import Flags, Rows


def users_by_lot(n_ratings: Rows, most: int, seed: int) -> Flags:
    """Return (n_users,) who is drawn: all, or as many as have `most` ratings together.

    Args:
        n_ratings: (n_users,) of each.
        most: Ratings wanted; one user is drawn whatever they have.
        seed: Of the lot.
    """
    if n_ratings.sum() <= most:
        return np.ones(len(n_ratings), dtype=bool)
    lot = np.random.default_rng(seed).permutation(len(n_ratings))
    n_drawn = max(int(np.searchsorted(np.cumsum(n_ratings[lot]), most, side="right")), 1)
    is_drawn = np.zeros(len(n_ratings), dtype=bool)
    is_drawn[lot[:n_drawn]] = True
    return is_drawn
