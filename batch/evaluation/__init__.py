"""How good lists are: a split, a model fitted to one side, its lists judged by the other.

    interactions ─► split ─┬─► train ─► Recommender.fit ─► lists ─┐
                           └─► test ──────────────────────────────┴─► metrics ─► intervals

`python -m batch evaluate` judges one model in detail, `python -m batch compare`
several on the same split.
"""
