"""Recommenders behind one small protocol.

    weights ─► Recommender.fit ─► Fitted.top_k ─► exact lists, seen items masked
                              Fitted.fold_in: the same for users outside of the training data

`popularity`, `recent_popularity`, `als`, `ials`, `spectral` and `bpr` produce factors, searched
by the exact top-k of norm-pruned blocks. `ease`, `rp3beta`, `graph_filter`, `item_knn` and
`last_items` multiply a user's items with a matrix of items (`item_item.py`).

    auto    choice ◄─ search ─► families ─► candidates ─► validation ─► selection
              └─► each part fitted ─► blend: scores standardised within the user, added
"""
