"""The speed layer: users with new events get a list that has seen them, seconds later.

    var/events ─► new files ─► evidence of their users ─┐
    snapshot   ─► seen.mdb  ─► evidence until then ─────┴─► merged ─► folded in ─► fresh.mdb
                  model, rules, takedowns ───────────────────────────────┘

A fresh list is, byte for byte, the list that the batch would make of the whole history with
the model of the snapshot and the rules that look at one user alone. `layer` is the loop,
`command` starts it, `explain` prints why an item is in a list.
"""
