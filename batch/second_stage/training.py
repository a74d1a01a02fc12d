"""Training: boosted trees that rank the candidates of a period by what was watched in it.

    past ─► candidates ─► features ─┐
    period ─► which were watched ───┴─► LambdaMART

A fifth of the users decides after how many trees training stops. LightGBM is an optional
extra. The same data and seed give the same trees.

Source:
    Burges, "From RankNet to LambdaRank to LambdaMART: An Overview", Microsoft Research
    Technical Report MSR-TR-2010-82.
    Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS 2017.
"""

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np

from batch.arrays import Flags, Floats, Integers
from batch.errors import SecondStageError

_MIN_USERS: Final = 50  # with a candidate that they watched
_MAX_TREES: Final = 300
_PATIENCE: Final = 20  # trees without a gain, after which training stops
_STOPPING_SHARE: Final = 5  # one user in so many decides when training stops
_PARAMETERS: Final = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 40,
    "metric": "ndcg",
    "eval_at": [20],
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 200,
    "lambda_l2": 10.0,
    "feature_fraction": 0.7,
    "deterministic": True,
    "force_row_wise": True,
    # Two threads wait for each other after every leaf: beside other programs on the same
    # processors they took five times as long as one.
    "num_threads": 1,
    "verbose": -1,
}


def lightgbm() -> ModuleType:
    """Return the package LightGBM.

    Raises:
        SecondStageError: It is not installed.
    """
    try:
        return importlib.import_module("lightgbm")
    except ImportError as error:
        raise SecondStageError(
            "LightGBM is not installed",
            "install the extra `second-stage`: `.venv/bin/pip install 'lightgbm>=4.6'`, "
            'or set second_stage = "auto" or "off"',
        ) from error


@dataclass(frozen=True, slots=True)
class Examples:
    """Candidates of users who watched at least one of them.

    Attributes:
        features: (n_examples, n_features), the candidates of a user in a row.
        is_watched: (n_examples,) whether the user watched the candidate in the period.
        n_candidates: (n_users,) number of candidates of each user.
    """

    features: Floats
    is_watched: Flags
    n_candidates: Integers


def train(examples: Examples, seed: int) -> Any:
    """Return a trained `lightgbm.Booster`.

    Args:
        examples: Examples of users.
        seed: Random seed of the features that a tree may use.

    Raises:
        SecondStageError: LightGBM is not installed, or there are too few examples.
    """
    if len(examples.n_candidates) < _MIN_USERS:
        raise SecondStageError(
            f"only {len(examples.n_candidates)} users watched any of their candidates",
            'use more events, or set second_stage = "auto" or "off"',
        )
    package = lightgbm()
    is_stopping = np.arange(len(examples.n_candidates)) % _STOPPING_SHARE == 0
    in_stopping = np.repeat(is_stopping, examples.n_candidates)
    parts = [
        package.Dataset(
            examples.features[rows],
            examples.is_watched[rows].astype(np.float32),
            group=examples.n_candidates[users],
            free_raw_data=True,
        )
        for rows, users in ((~in_stopping, ~is_stopping), (in_stopping, is_stopping))
    ]
    return package.train(
        {**_PARAMETERS, "seed": seed},
        parts[0],
        num_boost_round=_MAX_TREES,
        valid_sets=[parts[1]],
        callbacks=[package.early_stopping(_PATIENCE, verbose=False)],
    )
