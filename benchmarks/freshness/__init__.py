"""Seconds from an event to the list that has seen it, and how much better fresh lists are.

    a simulated world ─► history ─► refresh ─► snapshot ─► server, bare ◄── lists over HTTP
                     └─► newest views, a segment at a time ─► speed layer ─► fresh.mdb ──┘

`lag` waits for lists of new views, and compares the lists of the same users before and after.
`hours` lets users react to lists for some hours, with the speed layer and without it.
Uplift is 0 for the popular list and 1 for the best possible one, by the users' true tastes.
"""
