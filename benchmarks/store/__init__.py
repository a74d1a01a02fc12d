"""The store against SQLite, Redis and a pickled dict: `python -m benchmarks.store`."""
