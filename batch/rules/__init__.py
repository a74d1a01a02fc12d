"""The rules: what acts on the candidates before the cut to the kept list.

    what nobody is offered          each user's candidates, in this order
    ┌─────────────────────┐         ┌──────────────────────────────────────────────────┐
    │ deny, availability, │ ──────► │ minors ─► boost ─► cost ─► diversity ─► exploration │
    │ boosts of 0         │ hidden  └──────────────────────────────────────────────────┘
    └─────────────────────┘                      ─► cap, over all lists ─► the kept ones

Each rule is one file with one function that says what it does; `order` names them all.
What hides items, hides them in the search, so that lists have no holes.
"""
