"""Evaluation: a model is fitted to one side of a split, its lists are measured on the other.

    interactions ─► split ─┬─► train ─► Recommender.fit ─► lists ─┐
                           └─► test ──────────────────────────────┴─► metrics ─► intervals

`python -m batch evaluate` measures one model in detail, `python -m batch compare`
several on the same split.
"""
