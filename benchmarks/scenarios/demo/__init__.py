"""The demo; run it as `python -m benchmarks.scenarios.demo`."""
