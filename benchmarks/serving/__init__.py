"""The server against its peers, one core each: `python -m benchmarks.serving`."""
