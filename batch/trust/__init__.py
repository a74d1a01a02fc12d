"""Trust: no group of new accounts moves the lists of others by more than a little.

    interactions ─► ages of accounts ─┬─► influence ──► left out ─► trusted interactions ─► models
                                      └─► suspects ─────┘  │
    lists ◄── histories: every user's own list is made from all of their items ◄─┘
      └─► growth: an item without old accounts behind it enters few more lists a night

Way in: `assess.assess`. What is left out has no influence on models, popular items and lists
of others; nothing is deleted, and everybody's own items stay theirs.
"""
