"""Recommenders behind one small protocol.

    weights ─► Recommender.fit ─► Fitted.top_k ─► exact lists, seen items masked
                              Fitted.fold_in: the same for users outside of the training data

`popularity`, `als`, `bpr` and `auto` produce factors, searched by the exact top-k of
norm-pruned blocks; `item_knn` scores the neighbours of a user's items.
"""
