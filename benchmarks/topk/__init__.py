"""Exact top-k lists of every user: Marquee's search against the alternatives."""
