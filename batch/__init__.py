"""The nightly batch: events in, one snapshot out.

    events ─► interactions ─► ALS ─► exact top-k ─► rules ─► index ─► fallbacks ─► gate ─► snapshot

It may be heavy (pandas, pyarrow, implicit): it runs in a process of its own
that ends. `python -m batch refresh` is its command.
"""
