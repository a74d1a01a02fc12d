"""Asking: requests when they are due, and what the grader makes of the answers.

    traffic ─► Window ─► asker ─► links ─► servers      the asker is a process of its own
    verdicts ◄─ Came ◄─────┘

`wire` is what the two processes tell each other.
"""
