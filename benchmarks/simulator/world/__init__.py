"""The world: users, items, the latent tastes of both, and the views that follow from them.

    fitted ─► items, users ─► world ─┬─► truth     probabilities of views and likes
              titles                 ├─► choices ─► views    user, item, time, minutes, stars
                                     └─► catalogue, profiles    answers of the APIs

`ranking` makes lists from scores and measures their NDCG.
Way in: `world.make_world` and `truth.Truth`.
"""
