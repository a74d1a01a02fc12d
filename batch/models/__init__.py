"""Recommenders behind one small protocol.

    weights ─► Recommender.fit ─► Fitted.top_k ─► exact lists, seen items masked
                              Fitted.fold_in: the same for users it was not trained with

`popularity`, `als`, `bpr` and `auto` end in factors, and so in the exact top-k of
norm-pruned blocks; `item_knn` scores the neighbours of what a user has.
"""
