"""New users with a vector from outside: expected factors, learned from users who have both.

    users with interactions    vectors ─► ridge ◄─ factors learned by ALS
    users without              vectors ─► ridge ─► factors, times a weight

How much the factors count is chosen on a fifth of the users who have both: the ridge predicts
their factors without them. If no weight makes their lists significantly better than what they
would get without a vector, the list of their segment or the popular one, no vector is used.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from batch.arrays import Doubles, Flags, Floats, ItemRows, Rows
from batch.cold_start.preference_scores import PreferenceScorer
from batch.cold_start.projection import Projection, learn_projection
from batch.cold_start.ridge import Ridge, learn_ridge
from batch.cold_start.vector_weights import NOT_USED, HeldOutUsers, VectorWeights
from batch.interactions.build import Interactions
from batch.records.vectors import OutsideVectors
from batch.sampling import sample_rows
from batch.topk import NO_ITEM
from store.layout import LIST_LENGTH

_SEED: Final = 0
_HALF_WEIGHT_ITEMS: Final = 10.0  # items with which a user's factors have half of the full weight
_MAX_USERS: Final = 50_000  # that the ridge is learned from
_HELD_OUT_SHARE: Final = 0.2  # of these users
_MAX_HELD_OUT: Final = 2_000
_MIN_HELD_OUT: Final = 10
_CHUNK: Final = 1 << 14  # users predicted at a time


@dataclass(frozen=True, slots=True)
class ExpectedUsers:
    """Users without interactions who have a vector.

    Attributes:
        user_ids: (n_users,) ids, sorted.
        factors: (n_users + 1, n_factors), of a mean top score of one unit; a last row of zeros
            for users without a vector.
        weights: Weights of the factors.
        about: Figures for the manifest.
    """

    user_ids: Sequence[str]
    factors: Floats
    weights: VectorWeights = NOT_USED
    about: Mapping[str, float] = field(default_factory=dict)

    def weighted(self, rows: Rows, names_items: Flags) -> Floats:
        """Return (n, n_factors) the factors of some users, times their weights.

        Args:
            rows: (n,) rows of `factors`.
            names_items: (n,) whether a user names items, too.
        """
        weights = np.where(names_items, self.weights.beside_items, self.weights.alone)
        return np.asarray(weights[:, None] * self.factors[rows], np.float32)


def expected_users(
    interactions: Interactions,
    outside: OutsideVectors | None,
    scorer: PreferenceScorer,
    fallback_of: Callable[[str], Sequence[int]],
    n_threads: int = 0,
) -> ExpectedUsers:
    """Return the factors of new users; no users where there is too little to learn from.

    Args:
        interactions: Interactions that the scorer's model was fitted to.
        outside: Vectors from outside by user_id; None without any.
        scorer: Scores of users without interactions.
        fallback_of: Function from a user_id to the list that this user would get without a
            vector; an empty one stands for the popular list.
        n_threads: Number of threads; 0 means all processors.
    """
    no_factors = np.zeros((1, scorer.n_factors), np.float32)
    if outside is None:
        return ExpectedUsers((), no_factors)
    row = pc.fill_null(pc.index_in(outside.ids, interactions.user_ids), -1).to_numpy()
    known = np.argsort(row, kind="stable")[np.count_nonzero(row < 0) :]
    known = known[sample_rows(np.arange(len(known)), _MAX_USERS, np.random.default_rng(_SEED))]
    by_id = pc.sort_indices(outside.ids).to_numpy().astype(np.int64)
    is_elsewhere = pc.is_in(outside.ids, pa.array(sorted(interactions.elsewhere), pa.string()))
    new = by_id[(row[by_id] < 0) & ~is_elsewhere.to_numpy(zero_copy_only=False)[by_id]]
    if len(known) * _HELD_OUT_SHARE < _MIN_HELD_OUT or not len(new):
        return ExpectedUsers((), no_factors)
    users = _KnownUsers.of(interactions, row[known], outside.vectors[known], scorer)
    unit, weights, about = users.choose_weights(scorer, fallback_of, n_threads)
    if not weights.alone:
        return ExpectedUsers((), no_factors, weights, about)
    ridge = users.learn(np.arange(len(known)))
    factors = np.zeros((len(new) + 1, scorer.n_factors), np.float32)
    for begin in range(0, len(new), _CHUNK):
        part = new[begin : begin + _CHUNK]
        expected = ridge(users.projection(outside.vectors[part]))
        factors[begin : begin + len(part)] = unit * expected
    return ExpectedUsers(outside.ids.take(new).to_pylist(), factors, weights, about)


@dataclass(frozen=True, slots=True)
class _KnownUsers:
    """Users with interactions and a vector.

    Attributes:
        user_ids: (n_users,) ids.
        projection: Map from vectors to features.
        features: (n_users, n_features).
        learned: (n_users, n_factors) factors that the model has learned.
        seen: (n_users, n_items) interactions.
    """

    user_ids: pa.StringArray
    projection: Projection
    features: Doubles
    learned: Doubles
    seen: sp.csr_matrix

    @classmethod
    def of(
        cls, interactions: Interactions, user_rows: Rows, vectors: Floats, scorer: PreferenceScorer
    ) -> "_KnownUsers":
        """Return the users of these rows."""
        projection = learn_projection(vectors, _SEED)
        return cls(
            interactions.user_ids.take(user_rows),
            projection,
            projection(vectors),
            scorer.learned(user_rows),
            interactions.weights[user_rows],
        )

    def learn(self, rows: Rows) -> Ridge:
        """Return the map from features to factors that some of the users support."""
        n_items = np.diff(self.seen.indptr)[rows]
        weights = n_items / (n_items + _HALF_WEIGHT_ITEMS)
        return learn_ridge(self.features[rows], self.learned[rows], weights, _SEED)

    def choose_weights(
        self,
        scorer: PreferenceScorer,
        fallback_of: Callable[[str], Sequence[int]],
        n_threads: int,
    ) -> tuple[float, VectorWeights, dict[str, float]]:
        """Return the factor that makes expected factors a unit, their weights, and figures."""
        order = np.random.default_rng(_SEED).permutation(len(self.features))
        n_held_out = min(int(_HELD_OUT_SHARE * len(order)), _MAX_HELD_OUT)
        held_out, rest = np.sort(order[:n_held_out]), np.sort(order[n_held_out:])
        ridge = self.learn(rest)
        expected = ridge(self.features[held_out]).astype(np.float32)
        top_score = scorer.top_score(expected, n_threads)
        unit = scorer.mean_top_score / top_score if top_score > 0 else 0.0
        users = HeldOutUsers(
            scorer,
            np.float32(unit) * expected,
            self.seen[held_out],
            _as_item_rows(map(fallback_of, self.user_ids.take(held_out).to_pylist())),
            n_threads,
        )
        weights, about = users.choose()
        return unit, weights, {"user_vectors_explained": ridge.explained, **about}


def _as_item_rows(lists: Iterable[Sequence[int]]) -> ItemRows:
    """Return (n, 20) lists, NO_ITEM in the places left over."""
    empty = [NO_ITEM] * LIST_LENGTH
    return np.array([[*rows, *empty][:LIST_LENGTH] for rows in lists], np.int32)
