"""Drills: one failure in a running service, its time line, and a postmortem filled with it.

Way in: `python -m benchmarks.drill NAME`.
"""
