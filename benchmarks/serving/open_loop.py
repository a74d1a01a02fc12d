"""Open-loop load by `open_loop.c`: each request is timed from the moment when it was due.

wrk sends the next request only after an answer, so a stall delays its requests and
hides the waiting time of others. Debian's h2load starts the clock when a request is
sent, with the same effect; wrk2 is not packaged.
"""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.harness.errors import LoadError
from benchmarks.harness.servers import Address
from benchmarks.serving.installed import Installed, run_to_stderr
from benchmarks.serving.targets import request_tail

CONNECTIONS: Final = 64
LATE_MS: Final = 600  # the client's time-out
_SOURCE: Final = Path(__file__).with_suffix(".c")
_START_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Latency:
    """The measurement of one run; times from the moment when a request was due.

    Attributes:
        due: Number of requests due in the run.
        failed: Number of requests without a good answer.
        late: Number of good answers after more than 600 ms.
        p50_ns: Median time.
        p99_ns: 99th percentile of the time.
        p99_9_ns: 99.9th percentile of the time.
        max_ns: Longest time.
    """

    due: int
    failed: int
    late: int
    p50_ns: int
    p99_ns: int
    p99_9_ns: int
    max_ns: int


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Options of one run.

    Attributes:
        core: Core that the generator is pinned to.
        rate: Mean number of requests per second.
        seconds: Length of the run.
        seed: Random seed of moments and targets.
        connections: Maximum number of requests in progress.
    """

    core: int
    rate: float
    seconds: int
    seed: int
    connections: int = CONNECTIONS


def compile_open_loop(folder: Path, installed: Installed) -> Path:
    """Return the path of the generator; compile it if it does not exist.

    Raises:
        NotInstalledError: A C compiler is missing.
        LoadError: The generator does not compile.
    """
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:12]
    program = folder.absolute() / f"open_loop-{digest}"
    if not program.exists():
        installed.require(["cc"])
        folder.mkdir(parents=True, exist_ok=True)
        compiled = program.with_suffix(".building")
        command = [installed.found("cc"), "-O2", "-o", str(compiled), str(_SOURCE), "-lm"]
        if not run_to_stderr(command):
            raise LoadError(_SOURCE, "does not compile", "see the compiler's output")
        compiled.rename(program)
    return program


def run_open_loop(
    program: Path,
    address: Address,
    targets: Path,
    options: OpenLoop,
) -> Latency:
    """Request random targets of one server at a mean rate, from one core.

    Args:
        program: Path of the generator.
        address: Address of the server.
        targets: File of targets, one per line.
        options: Rate, length, seed, core and connections.

    Raises:
        LoadError: The generator failed; failures of the server are in the figures.
    """
    seconds = options.seconds
    numbers = (options.rate, seconds, options.connections, options.seed, LATE_MS)
    command = [
        *("taskset", "-c", str(options.core), str(program), address.host, str(address.port)),
        *(str(targets), request_tail(address), *map(str, numbers)),
    ]
    try:
        output = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + _START_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LoadError(program.name, f"did not end within {error.timeout:.0f} s") from error
    if output.returncode:
        raise LoadError(program.name, f"ended with {output.returncode}: {output.stderr.strip()}")
    return parse(output.stdout)


def parse(text: str) -> Latency:
    """Parse the output of the generator.

    Raises:
        LoadError: The output does not hold all figures.
    """
    try:
        seen = json.loads(text)
        return Latency(**{name: int(seen[name]) for name in Latency.__slots__})
    except (KeyError, TypeError, ValueError) as error:
        raise LoadError("open_loop", f"printed no figures: {text[-200:]!r}") from error
