"""Requests: sent when they are due, and graded when their answers arrive.

    traffic ─► Window ─► client ─► connections ─► servers      the client is a separate process
    grading ◄─ Response ◄──┘

`messages` defines what the two processes exchange.
"""
