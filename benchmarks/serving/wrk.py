"""Closed-loop load by wrk: the most requests a second that one core can be asked for.

One thread and 16 keep-alive connections, each of which asks again as soon as it
is answered; `wrk.lua` draws the requests.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.serving.errors import LoadError
from benchmarks.serving.targets import Address, request_tail

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
    """What one run of wrk saw.

    Attributes:
        n_requests: Answered.
        requests_per_second: Of them.
        p50_us: Median time from request to answer.
        p99_us: One answer in a hundred took longer.
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
    """Ask one server for random targets, from one core.

    Args:
        address: Of the server.
        targets: A file, one target a line.
        core: Which wrk is held on.
        seconds: How long.
        seed: Of the draw.
        environment: In which wrk is found.

    Raises:
        LoadError: wrk failed, or saw any other answer than a good one.
    """
    command = [
        *("taskset", "-c", str(core), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"),
        *("-s", str(_SCRIPT), f"http://{address.host}:{address.port}"),
        *("--", str(targets), str(seed), request_tail(address)),
    ]
    try:
        said = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds + _START_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LoadError("wrk", f"did not end within {error.timeout:.0f} s") from error
    if said.returncode:
        raise LoadError("wrk", f"ended with {said.returncode}: {said.stderr.strip()}")
    return parse(said.stdout)


def parse(text: str) -> Load:
    """Read what wrk printed, the line of `wrk.lua` last.

    Raises:
        LoadError: There is no such line, or it counts errors, or no answer at all.
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
