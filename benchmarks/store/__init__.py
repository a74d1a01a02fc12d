"""The store against SQLite, Redis and a dict in a pickle: `python -m benchmarks.store`."""
