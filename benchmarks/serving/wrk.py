"""Closed-loop load by wrk: the peak number of requests per second of a server.

One thread and 16 keep-alive connections; each sends its next request as soon as it
has an answer. `wrk.lua` draws the requests.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.harness.errors import LoadError
from benchmarks.harness.servers import Address
from benchmarks.serving.targets import request_tail

CONNECTIONS: Final = 16
_SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_ERRORS: Final = {
    "connect": "connections refused",
    "read": "read errors",
    "write": "write errors",
    "timeout": "time-outs",
    "status": "answers that were neither 2xx nor 3xx",
}
_START_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """The figures of one run of wrk.

    Attributes:
        n_requests: Number of requests answered.
        requests_per_second: Requests answered per second.
        p50_us: Median time from request to answer.
        p99_us: 99th percentile of the time.
    """

    n_requests: int
    requests_per_second: float
    p50_us: float
    p99_us: float


def run_wrk(
    address: Address,
    targets: Path,
    *,
    core: int,
    seconds: int,
    seed: int,
    environment: Mapping[str, str],
) -> Load:
    """Request random targets of one server, from one core.

    Args:
        address: Address of the server.
        targets: File of targets, one per line.
        core: Core that wrk is pinned to.
        seconds: Length of the run.
        seed: Random seed of the targets.
        environment: Environment with wrk in its PATH.

    Raises:
        LoadError: wrk failed, or an answer was not good.
    """
    command = [
        *("taskset", "-c", str(core), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"),
        *("-s", str(_SCRIPT), f"http://{address.host}:{address.port}"),
        *("--", str(targets), str(seed), request_tail(address)),
    ]
    try:
        output = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds + _START_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LoadError("wrk", f"did not end within {error.timeout:.0f} s") from error
    if output.returncode:
        raise LoadError("wrk", f"ended with {output.returncode}: {output.stderr.strip()}")
    return parse(output.stdout)


def parse(text: str) -> Load:
    """Parse the output of wrk; its last line is that of `wrk.lua`.

    Raises:
        LoadError: The line is missing, counts errors, or counts no answer.
    """
    try:
        counted = json.loads(text.splitlines()[-1])
        errors = {what: counted[name] for name, what in _ERRORS.items()}
        n_requests, seconds = counted["requests"], counted["duration_us"] / 1e6
        p50_us, p99_us = counted["p50_us"], counted["p99_us"]
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise LoadError("wrk", f"printed no figures: {text[-200:]!r}") from error
    if seen := [f"{n:,} {what}" for what, n in errors.items() if n]:
        raise LoadError("wrk", f"{', '.join(seen)} of {n_requests:,} requests")
    if not n_requests:
        raise LoadError("wrk", f"no answer in {seconds:.1f} s")
    return Load(n_requests, n_requests / seconds, p50_us, p99_us)
