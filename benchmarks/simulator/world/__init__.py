"""The world: users, items, the latent tastes that both share, and what follows from them.

    fitted ─► items, users ─► world ─┬─► truth     what each user would watch and like
              titles                 ├─► choices ─► views    who watches what, when, how long
                                     └─► catalogue, profiles    what the APIs answer

`ranking` makes lists of scores and measures how near a list comes to the best one.
Way in: `world.make_world` and `truth.Truth`.
"""
