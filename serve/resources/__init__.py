"""The resources: every endpoint of a worker but the hot path, a file for each."""
