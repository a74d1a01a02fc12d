"""Signs of an attack among the users who began to watch an item on the last day.

    young accounts     their odds among the viewers are over 5 times those of the day
    like histories     the median Jaccard similarity of two viewers' other items is above the
                       99th percentile of random groups of that size
    lockstep           so is the share of pairs of viewers who began another item within the
                       same ten minutes
    dense block        the item is in the dense block of young accounts

Source:
    Beutel, Xu, Guruswami, Palow and Faloutsos, "CopyCatch", WWW 2013, and Cao, Yang, Yu and
    Palow, "Uncovering Large Groups of Active Malicious Accounts" (SynchroTrap), CCS 2014:
    accounts that act on the same items in the same windows of time.
"""

from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, Flags, Rows
from batch.models.item_item import ones
from batch.trust.dense_block import DenseBlock
from batch.trust.last_day import DayGraph

_MIN_YOUNG_ODDS: Final = 5.0  # in multiples of those of all viewers of the day
_MIN_YOUNG: Final = 5
_MAX_GROUP: Final = 48  # viewers compared with each other
_N_POOL: Final = 1000  # viewers of the day that random groups are drawn from
_N_GROUPS: Final = 400
_PERCENTILE: Final = 99.0
_WINDOW_SECONDS: Final = 600
_MIN_LOCKSTEP: Final = 0.1  # share of pairs: one pair by chance is no sign


@dataclass(frozen=True, slots=True)
class ViewerSigns:
    """What signs are looked for in.

    Attributes:
        day: Interactions of the last day.
        everyone: Rows of all users of that day, ascending.
        histories: (n_users, n_items) matrix with an entry where the user has the item.
        windows: (n_users, n_windows · n_items) ones where the user began the item on the last
            day, in ten minutes.
        is_young: (n_users,) flags of the young accounts; None where no age is known.
        block: Dense block of young accounts.
        seed: Random seed of the groups.
        usual: 99th percentiles of random groups found so far, by their size.
    """

    day: DayGraph
    everyone: Rows
    histories: sp.csr_matrix
    windows: sp.csr_matrix
    is_young: Flags | None
    block: DenseBlock
    seed: int
    usual: dict[int, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of_day(
        cls,
        day: DayGraph,
        weights: sp.csr_matrix,
        is_young: Flags | None,
        block: DenseBlock,
        seed: int,
    ) -> Self:
        """Return what signs of a day are looked for in.

        Args:
            day: Interactions of the last day.
            weights: (n_users, n_items) weights of all interactions.
            is_young: (n_users,) flags of the young accounts; None where no age is known.
            block: Dense block of young accounts.
            seed: Random seed of the groups.
        """
        everyone = np.unique(day.user_rows)
        return cls(day, everyone, weights, _windows(day, weights.shape), is_young, block, seed)

    def of(self, item_row: int) -> dict[str, float]:
        """Return the figure of each sign that an item has, by name."""
        viewers = self.day.viewers_of(item_row)
        group = self._random(len(viewers)).permutation(viewers)[:_MAX_GROUP]
        usual = self._usual(len(group))
        similarity = _median_of_pairs(_jaccard(self.histories[group], item_row))
        lockstep = _mean_of_pairs(_together(self.windows[group], item_row, self._n_items))
        found = {
            "young": self._young_odds(viewers),
            "like": similarity if similarity > usual[0] else 0.0,
            "lockstep": lockstep if lockstep > max(usual[1], _MIN_LOCKSTEP) else 0.0,
            "block": self.block.density * float(item_row in self.block.item_rows),
        }
        return {name: round(float(figure), 4) for name, figure in found.items() if figure}

    def _young_odds(self, viewers: Rows) -> float:
        """Return the odds of young accounts in multiples of those of the day; 0: no sign."""
        if self.is_young is None:
            return 0.0
        n_young, n_base = (int(self.is_young[rows].sum()) for rows in (viewers, self.everyone))
        odds = n_young / max(len(viewers) - n_young, 1)
        base = max(n_base, 1) / max(len(self.everyone) - n_base, 1)
        return odds / base if n_young >= _MIN_YOUNG and odds > _MIN_YOUNG_ODDS * base else 0.0

    def _usual(self, size: int) -> tuple[float, float]:
        """Return the 99th percentiles of similarity and lockstep of random groups of a size."""
        if size not in self.usual:
            pool = self._random(0).permutation(self.everyone)[:_N_POOL]
            pairs = (
                (_jaccard(self.histories[pool], None), _median_of_pairs),
                (_together(self.windows[pool], None, self._n_items), _mean_of_pairs),
            )
            random = self._random(1)
            groups = [random.permutation(len(pool))[:size] for _ in range(_N_GROUPS)]
            similarity, lockstep = (
                float(np.percentile([of(figures[np.ix_(g, g)]) for g in groups], _PERCENTILE))
                for figures, of in pairs
            )
            self.usual[size] = similarity, lockstep
        return self.usual[size]

    @property
    def _n_items(self) -> int:
        return int(self.histories.shape[1])

    def _random(self, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, stream))


def _windows(day: DayGraph, shape: tuple[int, int]) -> sp.csr_matrix:
    """Return `ViewerSigns.windows` of a day."""
    window = (day.at - day.at.min()) // _WINDOW_SECONDS if len(day.at) else day.at
    columns = window * shape[1] + day.item_rows
    n_columns = (int(window.max(initial=0)) + 1) * shape[1]
    ones = np.ones(len(day.at), np.float32)
    return sp.csr_matrix((ones, (day.user_rows, columns)), shape=(shape[0], n_columns))


def _jaccard(histories: sp.csr_matrix, item_row: int | None) -> Doubles:
    """Return (n, n) similarities of users' items, one item left out."""
    if item_row is not None:
        histories = _without(histories, histories.indices == item_row)
    histories = ones(histories)
    both = (histories @ histories.T).toarray()
    n_of = np.diff(histories.indptr)
    either = n_of[:, None] + n_of - both
    return np.asarray(both / np.maximum(either, 1), np.float64)


def _together(windows: sp.csr_matrix, item_row: int | None, n_items: int) -> Doubles:
    """Return (n, n) 1 where two users began the same item, but one, in the same window."""
    if item_row is not None:
        windows = _without(windows, windows.indices % n_items == item_row)
    return np.asarray((windows @ windows.T).toarray() > 0, np.float64)


def _without(matrix: sp.csr_matrix, is_left_out: Flags) -> sp.csr_matrix:
    kept = ones(matrix)
    kept.data[is_left_out] = 0
    kept.eliminate_zeros()
    return kept


def _median_of_pairs(figures: Doubles) -> float:
    return float(np.median(figures[np.triu_indices(len(figures), 1)])) if len(figures) > 1 else 0.0


def _mean_of_pairs(figures: Doubles) -> float:
    return float(figures[np.triu_indices(len(figures), 1)].mean()) if len(figures) > 1 else 0.0
