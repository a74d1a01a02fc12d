"""Plain words for the entries of a manifest, and the subjects that they belong to.

    last_day.groups.age 25-34.ndcg  ->  quality by group    NDCG@20 of age 25-34
    recs.mdb/users                  ->  size                users with a list

Parameters keep the names of their settings. A figure that is not in the table gets its own
name, without underscores and dots, under `other figures`.
"""

import re
from typing import Final

_LISTS: Final = {
    "new": "the new lists",
    "served": "the lists served before",
    "popular": "the popular list",
}
_NAMES: Final = {
    "gate": (("gate", r"result", "result of the gate"), ("gate", r"(.+)", "check “{0}”")),
    "metrics": (
        ("quality on the last day", r"last_day\.ndcg\.(\w+)", "NDCG@20 of {0}"),
        ("quality on the last day", r"last_day\.change\.(\w+)", "gain in NDCG@20 over {0}"),
        ("quality on the last day", r"last_day\.missing\.(\w+)", "why not compared with {0}"),
        ("quality on the last day", r"last_day\.n_users", "evaluated users"),
        ("quality on the last day", r"last_day_ndcg_(\w+)", "NDCG@20 of {0}, mean alone"),
        ("quality on the last day", r"last_day_users", "users of the mean"),
        ("quality on the last day", r"last_day_ranker", "what ordered the evaluated lists"),
        ("quality by group", r"last_day\.groups\.(.+)\.ndcg", "NDCG@20 of {0}"),
        ("quality by group", r"last_day\.groups\.(.+)\.n_users", "evaluated users of {0}"),
        ("choice of the model", r"validation_ndcg", "NDCG@20 on the validation set"),
        ("choice of the model", r"share_(.+)", "share of {0} in the blend"),
        ("choice of the model", r"iterations", "iterations of the training"),
        ("choice of the model", r"second_stage", "second stage"),
        ("predicted ratings", r"rating_rmse", "RMSE of predicted ratings"),
        ("lists and index", r"index_recall_at_20", "recall@20 of the index of neighbours"),
        ("lists and index", r"hidden_by_rules", "items hidden by rules"),
        ("lists and index", r"short_lists", "lists with fewer than 20 items"),
        ("lists and index", r"minors", "users treated as minors"),
        ("size", r"data_until", "time of the last event"),
    ),
    "counts": (
        ("size", r"recs\.mdb/users", "users with a list"),
        ("size", r"recs\.mdb/spares", "users with spares behind their list"),
        ("size", r"recs\.mdb/fallback", "fallback lists"),
        ("size", r"recs\.mdb/profiles", "users with a profile"),
        ("size", r"recs\.mdb/items", "items with title and features"),
        ("size", r"recs\.mdb/rows", "items that can be recommended"),
        ("size", r"recs\.mdb/similar", "items with a list of neighbours"),
        ("size", r"factors\.mdb/users", "users with factors"),
        ("size", r"factors\.mdb/items", "items with factors"),
        ("size", r"factors\.mdb/biases", "biases of ratings"),
        ("size", r"factors\.mdb/rating_users", "users with factors of ratings"),
        ("size", r"factors\.mdb/rating_items", "items with factors of ratings"),
        ("size", r"seen\.mdb/users", "users with watched items"),
    ),
}
_METRICS: Final = {
    "click_through": "click-through",
    "watch_through": "watch-through",
    "mrr": "reciprocal rank",
    "mean_ms": "milliseconds of an answer",
}
_OTHER: Final = {"metrics": "other figures", "counts": "other figures"}
SUBJECTS: Final = (
    "gate", "quality on the last day", "quality by group", "choice of the model",
    "predicted ratings", "lists and index", "size", "other figures", "parameters", "build",
)  # fmt: skip


def figure_name(part: str, name: str) -> tuple[str, str]:
    """Return the subject of an entry of a manifest, one of `SUBJECTS`, and its name in words.

    Args:
        part: Part of the manifest, as in `store.compare`.
        name: Dotted name in that part.
    """
    for subject, pattern, words in _NAMES.get(part, ()):
        if found := re.fullmatch(pattern, name):
            return subject, words.format(*(_LISTS.get(one, one) for one in found.groups()))
    if part in _OTHER:
        return _OTHER[part], re.sub(r"[._/]+", " ", name)
    return part, name


def metric_name(key: str) -> str:
    """Return an online metric in plain words: `click_through` is click-through."""
    return _METRICS.get(key, key.replace("_", " "))
