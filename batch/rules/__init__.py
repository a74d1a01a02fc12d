"""The rules: filters and reordering of the candidates, before the cut to the kept list.

    hidden items                    each user's candidates, in this order
    ┌─────────────────────┐         ┌──────────────────────────────────────────────────┐
    │ deny, availability, │ ──────► │ minors ─► boost ─► cost ─► diversity ─► exploration │
    │ boosts of 0         │ hidden  └──────────────────────────────────────────────────┘
    └─────────────────────┘                      ─► cap, over all lists ─► the kept ones

Each rule is one file with one function; `pipeline` lists them all. Rules that hide items
act in the search itself, so that lists stay full.
"""
