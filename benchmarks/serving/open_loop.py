"""Open-loop load by `open_loop.c`: what a request waits for, counted from when it was due.

wrk asks again only when it is answered, so a stall keeps it from asking and
hides what others would have waited. Debian's h2load starts the clock when a
request is sent, and so hides the same; wrk2 is in no distribution.
"""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.serving.errors import LoadError
from benchmarks.serving.installed import Installed, run_to_stderr
from benchmarks.serving.targets import Address, request_tail

CONNECTIONS: Final = 64
LATE_MS: Final = 600  # the grader has gone by then
_SOURCE: Final = Path(__file__).with_suffix(".c")
_START_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Latency:
    """What one run saw; times from the moment when a request was due.

    Attributes:
        due: Requests that were due in this run.
        failed: Of them without a good answer: another status, a broken connection, none.
        late: Good, but after 600 ms.
        p50_ns: Median time.
        p99_ns: One in a hundred took longer.
        p99_9_ns: One in a thousand.
        max_ns: The longest.
    """

    due: int
    failed: int
    late: int
    p50_ns: int
    p99_ns: int
    p99_9_ns: int
    max_ns: int


def compile_open_loop(folder: Path, installed: Installed) -> Path:
    """Return the generator; compile it where it is not there yet.

    Raises:
        NotInstalledError: There is no C compiler.
        LoadError: It does not compile.
    """
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:12]
    program = folder.absolute() / f"open_loop-{digest}"
    if not program.exists():
        installed.require(["cc"])
        folder.mkdir(parents=True, exist_ok=True)
        compiled = program.with_suffix(".building")
        command = [installed.found("cc"), "-O2", "-o", str(compiled), str(_SOURCE), "-lm"]
        if not run_to_stderr(command):
            raise LoadError(str(_SOURCE), "does not compile")
        compiled.rename(program)
    return program


def run_open_loop(
    program: Path,
    address: Address,
    targets: Path,
    *,
    core: int,
    rate: float,
    seconds: int,
    seed: int,
    connections: int = CONNECTIONS,
) -> Latency:
    """Ask one server for random targets at a mean rate, from one core.

    Args:
        program: The generator.
        address: Of the server.
        targets: A file, one target a line.
        core: Which the generator is held on.
        rate: Requests a second.
        seconds: How long.
        seed: Of moments and targets.
        connections: Requests under way at the same time, at most.

    Raises:
        LoadError: The generator failed; what the server got wrong is in the figures.
    """
    numbers = (rate, seconds, connections, seed, LATE_MS)
    command = [
        *("taskset", "-c", str(core), str(program), address.host, str(address.port)),
        *(str(targets), request_tail(address), *map(str, numbers)),
    ]
    try:
        said = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + _START_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LoadError(program.name, f"did not end within {error.timeout:.0f} s") from error
    if said.returncode:
        raise LoadError(program.name, f"ended with {said.returncode}: {said.stderr.strip()}")
    return parse(said.stdout)


def parse(text: str) -> Latency:
    """Read the generator's line.

    Raises:
        LoadError: It is none.
    """
    try:
        seen = json.loads(text)
        return Latency(**{name: int(seen[name]) for name in Latency.__slots__})
    except (KeyError, TypeError, ValueError) as error:
        raise LoadError("open_loop", f"printed no figures: {text[-200:]!r}") from error
