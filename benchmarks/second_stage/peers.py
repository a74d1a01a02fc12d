"""What the content-based and boosted systems did alone, on the same features of pairs.

pairs that the user has, and random others ─► classifier ─► probability of each item
─► the best 20 that the user does not have
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, ItemRows, Rows
from batch.unavailable import Unavailable
from benchmarks.second_stage.content import Content

_BLOCK_USERS: Final = 64
_SEED: Final = 42


def make_classifier(name: str, n_threads: int) -> Any | Unavailable:
    """Return a classifier with `fit` and `predict_proba`, or the reason of its absence."""
    try:
        return _CLASSIFIERS[name](n_threads)
    except ImportError as error:
        return Unavailable(f"{error.name} is not installed")


def lists_of(
    classifier: Any, content: Content, train: sp.csr_matrix, user_rows: Rows, k: int
) -> ItemRows:
    """Return (n, k) the items of the highest probability that the users do not have."""
    n_items = train.shape[1]
    found = np.empty((len(user_rows), k), np.int32)
    for first in range(0, len(user_rows), _BLOCK_USERS):
        rows = user_rows[first : first + _BLOCK_USERS]
        users, items = np.repeat(rows, n_items), np.tile(np.arange(n_items), len(rows))
        scores: Floats = classifier.predict_proba(content.pairs(users, items))[:, 1]
        scores = scores.reshape(len(rows), n_items)
        scores[train[rows].nonzero()] = -np.inf
        found[first : first + len(rows)] = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return found


def _xgboost(n_threads: int) -> Any:
    return importlib.import_module("xgboost").XGBClassifier(
        n_estimators=100, max_depth=6, learning_rate=0.1, n_jobs=n_threads, random_state=_SEED
    )


def _logistic_regression(_: int) -> Any:
    return _scaled(importlib.import_module("sklearn.linear_model").LogisticRegression(max_iter=500))


def _mlp(_: int) -> Any:
    package = importlib.import_module("sklearn.neural_network")
    return _scaled(
        package.MLPClassifier(
            (64, 32), batch_size=1024, max_iter=100, early_stopping=True, n_iter_no_change=3,
            random_state=_SEED,
        )
    )  # fmt: skip


def _scaled(classifier: Any) -> Any:
    """Return the classifier on features of mean 0 and deviation 1."""
    scaler = importlib.import_module("sklearn.preprocessing").StandardScaler()
    return importlib.import_module("sklearn.pipeline").make_pipeline(scaler, classifier)


_CLASSIFIERS: Final[Mapping[str, Callable[[int], Any]]] = {
    "XGBoost": _xgboost,
    "logistic regression": _logistic_regression,
    "MLP": _mlp,
}
PEERS: Final = tuple(_CLASSIFIERS)
