"""Watching the stream and the lists: what has changed, and is it more than usual?

Way in: `command.py`, the verb `watch`.
"""
