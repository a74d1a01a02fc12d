"""The report of a refresh: what a person reads about it, and a program.

    manifest, summary of the refresh ─┐
    lists of it and of its parent ────┼─► report.json ─┬─► report.html      one page, no script
    online figures, earlier reports ──┘  `document`    └─► MODEL_CARD.md
                                         list_counts.json  lists that hold each item

`make.make_report` is the way in. The four files lie in the snapshot's directory, beside the
manifest, and are not part of the snapshot: no checksum covers them, and any may be removed and
made again. Everything is aggregated before it is drawn, and each number of the page is one of
`report.json`.
"""
