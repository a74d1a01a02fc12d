"""The served model in the files of a snapshot, so that users can be folded in all day.

fitted model ─► `describe` ─► document in the manifest + model-NAME.npy ─► `open_served` ─► model
interactions ─► `history_records` ─► seen.mdb ─────────────────────────────────┘ histories
                                        └─► `UserEvidence`, new events merged ─► histories

`contributions` says which items of a history made the score of an item.
A list of a model that was read back is, byte for byte, the list that the batch made.
"""
