"""Exact top-k lists of every user: ours against what one would use instead."""
