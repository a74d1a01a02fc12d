"""Thirty nights of the scheduler in simulated time, with what goes wrong in them.

Way in: `python -m benchmarks.nights`.
"""
