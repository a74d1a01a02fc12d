"""The nightly batch: events in, one snapshot out.

    events ─► interactions ─► ALS ─► exact top-k ─► Annoy index ─► fallbacks ─► snapshot

It may be heavy (pandas, pyarrow, implicit): it runs in a process of its own
that ends. `python -m batch refresh` is its command.
"""
