"""The rehearsal, a soak test; run it as `python -m benchmarks.scenarios.rehearsal`."""
