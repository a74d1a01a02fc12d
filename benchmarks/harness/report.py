"""Figures for programs: one JSON object a line on standard output.

{"benchmark": "serving", "subject": "marquee-bare", "metric": "requests_per_second",
 "value": 121000, "unit": "1/s", "peer": "webdis-redis", "ratio": 1.84, "seed": 7, …}
"""

import json
import platform
from typing import Any


def print_figure(
    benchmark: str, metric: str, value: float, unit: str, *, subject: str, **details: Any
) -> None:
    """Print one figure.

    Args:
        benchmark: Name of the benchmark.
        metric: What was measured.
        value: The figure.
        unit: Unit of the value: "s", "1/s", "MiB"; "1" for a pure number.
        subject: What was measured on: a server, a model, a rule.
        details: Peer and ratio, inputs, seed, versions.
    """
    figure = {"benchmark": benchmark, "subject": subject, "metric": metric, "value": value}
    figure |= {"unit": unit, **details, "python": platform.python_version()}
    print(json.dumps(figure), flush=True)
