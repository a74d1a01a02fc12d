"""The rehearsal; run it as `python -m benchmarks.scenarios.rehearsal`."""
