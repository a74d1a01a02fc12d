"""The LCFN protocol: lists of 20 of all items that the user does not have in training.

    20-core of all pairs ─┬─► test pairs         a tenth, drawn by the protocol's authors
                          ├─► validation pairs   another tenth
                          └─► training pairs     the only ones that no list may have

Validation items stay in the ranking and count as misses of the test, as in the authors' code.
F1@20 of a user has the precision of 20 items and the recall of all test items. NDCG@20 has the
ideal of min(20, test items). Both are means over the users with test items.

Source:
    Yu and Qin, "Graph Convolutional Network for Recommendation with Low-pass Collaborative
    Filters", ICML 2020, and `test_model.py` of its repository Wenhui-Yu/LCFN.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles
from batch.evaluation.metrics import hits_of, per_user
from batch.models.protocol import Fitted
from benchmarks.published.pairs import k_core, matrix_of, numbering_of, read_pairs, take_out
from benchmarks.published.tasks import EvaluationProtocol, Published, Tasks

K: Final = 20
_CORE: Final = 20  # pairs that each user and item has
_PAIRS: Final = "ml-1m/pairs.parquet"
_TEST: Final = "ml-1m-protocols/lcfn-test.parquet"
_VALIDATION: Final = "ml-1m-protocols/lcfn-validation.parquet"


@dataclass(frozen=True, slots=True)
class ListsOfAllItems:
    """Test items, looked for in lists of all items but those of training.

    Attributes:
        train: (n_users, n_items), 1 where the user has the item.
        relevant: (n_users, n_items), an entry for each test item.
    """

    train: sp.csr_matrix
    relevant: sp.csr_matrix

    def per_user(self, fitted: Fitted, n_threads: int) -> dict[str, Doubles]:
        """Evaluate the lists of the users with test items; see `Task.per_user`."""
        user_rows = np.flatnonzero(np.diff(self.relevant.indptr))
        relevant = self.relevant[user_rows]
        item_rows = fitted.top_k(K, user_rows=user_rows, n_threads=n_threads).item_rows
        n_hits = hits_of(item_rows, relevant).sum(axis=1)
        found = per_user(item_rows, relevant)
        return {
            f"f1@{K}": 2 * n_hits / (K + np.diff(relevant.indptr)),  # 2PR/(P + R), simplified
            f"ndcg@{K}": found["ndcg"],
            f"recall@{K}": found["recall"],
        }


def read_tasks(folder: Path) -> Tasks[ListsOfAllItems]:
    """Read the pairs, and the test and validation pairs of their 20-core.

    Raises:
        BenchmarkError: A file cannot be read, or the files do not belong together.
    """
    core = k_core(read_pairs(folder / _PAIRS), _CORE)
    numbering = numbering_of(core)
    train = matrix_of(core, numbering, folder / _PAIRS)
    sides = []
    for path in (folder / _VALIDATION, folder / _TEST):
        pairs = read_pairs(path)
        train = take_out(train, *numbering.rows(pairs, path), path)
        sides.append(matrix_of(pairs, numbering, path))
    return Tasks(ListsOfAllItems(train, sides[0]), ListsOfAllItems(train, sides[1]))


_SIMPLEX: Final = "README of SimpleX (Mao et al., CIKM 2021)"

LCFN: Final = EvaluationProtocol(
    name="lcfn",
    files=(_PAIRS, _TEST, _VALIDATION),
    read=read_tasks,
    choose_by=f"ndcg@{K}",
    goals={"f1@20": 0.166, "ndcg@20": 0.270},
    published=(
        Published("NGCF", {"f1@20": 0.1582, "ndcg@20": 0.2511, "recall@20": 0.2513}, _SIMPLEX),
        Published("LCFN", {"f1@20": 0.1625, "ndcg@20": 0.2603}, _SIMPLEX),
        Published("ENMF", {"f1@20": 0.1640, "ndcg@20": 0.2656}, _SIMPLEX),
        Published("SimpleX", {"f1@20": 0.1658, "ndcg@20": 0.2670, "recall@20": 0.2802}, _SIMPLEX),
    ),
)
