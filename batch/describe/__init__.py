"""A page about data, before any training: what a refresh would read, and what to hope for.

    events, catalogue, profiles ─► interactions ─┬─► figures ─┬─► describe.json
                                                 └─► outlook ─┴─► describe.html

`figures` counts; `outlook` holds out each user's last item and measures what the most popular
items find of it, which a model has to beat. The page is made of the elements of `batch.report`.
"""
