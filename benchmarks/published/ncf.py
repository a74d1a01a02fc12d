"""The NCF protocol: each user's held-out item is ranked among 99 items they do not have.

    held-out item  score 0.7 ┐
    99 negatives   0.9, 0.7, … ┴─► rank 3 of 100: equal scores count against the held-out item

HR@10 is the share of users whose held-out item is among the first 10, NDCG@10 the mean of
1 / log2(1 + rank) there. Parameters are chosen on one more pair of each user, drawn from the
training pairs, among negatives drawn from what the user does not have in training.

Source:
    He, Liao, Zhang, Nie, Hu and Chua, "Neural Collaborative Filtering", WWW 2017, section 4.1.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from batch.arrays import Doubles, Rows
from batch.models.holdout import hold_out
from batch.models.protocol import Fitted
from benchmarks.harness.errors import BenchmarkError
from benchmarks.published.pairs import matrix_of, numbering_of, read_pairs, take_out
from benchmarks.published.tasks import EvaluationProtocol, Published, Tasks

K: Final = 10
_PAIRS: Final = "ml-1m/pairs.parquet"
_TEST: Final = "ml-1m-protocols/ncf-test.parquet"
_NEGATIVES: Final = "ml-1m-protocols/ncf-negatives.parquet"
_SEED: Final = 7  # of the validation pairs and their negatives
_USERS_PER_BLOCK: Final = 1024  # whose scores of all items are in memory at a time


@dataclass(frozen=True, slots=True)
class RankedAmongNegatives:
    """Held-out items, each with the negatives that it is ranked among.

    Attributes:
        train: (n_users, n_items), 1 where the user has the item.
        user_rows: (n_evaluated,) rows of the evaluated users.
        held_out: (n_evaluated,) row of each one's held-out item.
        negatives: (n_evaluated, n_negatives) rows of the other items.
    """

    train: sp.csr_matrix
    user_rows: Rows
    held_out: Rows
    negatives: Rows

    def per_user(self, fitted: Fitted, n_threads: int) -> dict[str, Doubles]:
        """Rank by the scores of blocks of users, on one thread; see `Task.per_user`."""
        ranks = np.empty(len(self.user_rows), np.int64)
        with threadpool_limits(1, user_api="blas"):
            for first in range(0, len(ranks), _USERS_PER_BLOCK):
                block = slice(first, first + _USERS_PER_BLOCK)
                scores = fitted.scores(self.user_rows[block])
                held_out = np.take_along_axis(scores, self.held_out[block, None], axis=1)
                negatives = np.take_along_axis(scores, self.negatives[block], axis=1)
                ranks[block] = 1 + (~(negatives < held_out)).sum(axis=1)  # NaN is not below
        is_hit = ranks <= K
        return {
            f"hr@{K}": is_hit.astype(np.float64),
            f"ndcg@{K}": np.where(is_hit, 1 / np.log2(1 + ranks), 0.0),
        }


def read_tasks(folder: Path) -> Tasks[RankedAmongNegatives]:
    """Read the pairs, the held-out items and their negatives.

    Raises:
        BenchmarkError: A file cannot be read, or the files do not belong together.
    """
    pairs = read_pairs(folder / _PAIRS)
    numbering = numbering_of(pairs)
    user_rows, held_out = numbering.rows(read_pairs(folder / _TEST), folder / _TEST)
    path = folder / _NEGATIVES
    of_users, negatives = numbering.rows(read_pairs(path), path)
    by_user = np.argsort(of_users, kind="stable")
    order = np.argsort(user_rows)
    n_each = len(of_users) // max(len(user_rows), 1)
    if not np.array_equal(of_users[by_user], np.repeat(user_rows[order], n_each)):
        raise BenchmarkError(path, "not the same number of items for each user", "write it anew")
    train = take_out(
        matrix_of(pairs, numbering, folder / _PAIRS), user_rows, held_out, folder / _TEST
    )
    test = RankedAmongNegatives(
        train, user_rows[order], held_out[order], negatives[by_user].reshape(-1, n_each)
    )
    return Tasks(validation=validation_task(train, n_each, _SEED), test=test)


def validation_task(train: sp.csr_matrix, n_negatives: int, seed: int) -> RankedAmongNegatives:
    """Hold out one more item of each user with 2 or more, and draw negatives for it.

    Args:
        train: (n_users, n_items), 1 where the user has the item; not modified.
        n_negatives: Number of negatives for each user; all users have as many items unseen.
        seed: Random seed of the items and the negatives.
    """
    held = hold_out(train, None, train.shape[0], seed)
    random = np.random.default_rng(seed)
    negatives = np.empty((len(held.user_rows), n_negatives), np.int64)
    for place, row in enumerate(held.user_rows.tolist()):
        is_unseen = np.ones(train.shape[1], dtype=bool)
        is_unseen[train.indices[train.indptr[row] : train.indptr[row + 1]]] = False
        negatives[place] = random.choice(np.flatnonzero(is_unseen), n_negatives, replace=False)
    return RankedAmongNegatives(held.weights, held.user_rows, held.item_rows, negatives)


_RENDLE_2020: Final = "Rendle et al., RecSys 2020"

NCF: Final = EvaluationProtocol(
    name="ncf",
    files=(_PAIRS, _TEST, _NEGATIVES),
    read=read_tasks,
    choose_by=f"ndcg@{K}",
    goals={"hr@10": 0.726, "ndcg@10": 0.447},
    published=(
        Published("SLIM", {"hr@10": 0.7162, "ndcg@10": 0.4468}, _RENDLE_2020),
        Published("iALS", {"hr@10": 0.722, "ndcg@10": 0.445}, "Rendle et al., RecSys 2022"),
        Published(
            "NeuMF", {"hr@10": 0.730, "ndcg@10": 0.447}, f"He et al., WWW 2017; {_RENDLE_2020}"
        ),
        Published("matrix factorization", {"hr@10": 0.7294, "ndcg@10": 0.4523}, _RENDLE_2020),
    ),
)
