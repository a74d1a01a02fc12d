"""The nightly batch: events in, one snapshot out.

    events ─► interactions ─► models ─► exact top-k ─► rules ─► index ─► fallbacks ─► gate
        ─► snapshot

It may import heavy packages (pandas, pyarrow, implicit), since it runs in a process of
its own. `python -m batch refresh` is the command.
"""
