"""What the lists are worth to users: figures from the stream's own lines of answers.

    answers ─► requests ─► origin: generation, source ─┐       ┌─► figures ─► table, JSON, gauges
    or access log          by journal and snapshots    ├─► rows┼─► users ─► statistics
    views, ratings ─────► clicks ──────────────────────┘ an    └─► comparison of two generations
                          one definition                 hour

`clicks` defines what a click is, `requests` what an available answer is. `compute` makes the
rows, `hours` keeps them, `figures` sums them, and `command` is the way in. `interface` counts
what clients sent that they should not. `provenance` explains one answer of the past.
"""
