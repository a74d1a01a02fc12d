"""Some users drawn by lot, where all of them would be more than is needed."""

import numpy as np
import numpy.typing as npt


def sample_users(n_entries: npt.NDArray[np.integer], most: int, seed: int) -> npt.NDArray[np.bool_]:
    """Return (n_users,) who is drawn: all, or as many as have `most` entries together.

    Args:
        n_entries: (n_users,) of each.
        most: Entries wanted; one user is drawn whatever they have.
        seed: Of the lot.
    """
    if n_entries.sum() <= most:
        return np.ones(len(n_entries), dtype=bool)
    lot = np.random.default_rng(seed).permutation(len(n_entries))
    n_drawn = max(int(np.searchsorted(np.cumsum(n_entries[lot]), most, side="right")), 1)
    is_drawn = np.zeros(len(n_entries), dtype=bool)
    is_drawn[lot[:n_drawn]] = True
    return is_drawn
