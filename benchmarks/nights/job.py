"""A job of the nights: the real command, or what goes wrong with it in this night.

python -m benchmarks.nights.job fetch|refresh CONFIG
"""

import os
import sys
import time
from pathlib import Path
from typing import Final, NoReturn

from store.gate_result import EXIT_REFUSED

FAULT: Final = "fault"  # file that holds the number of the night, and what goes wrong in it
_MANY_BYTES: Final = 1 << 32


def main() -> int:
    """Run the job, and return its exit status."""
    name, config = sys.argv[1:]
    fault = Path(FAULT).read_text().partition(" ")[2]
    if name == "refresh" and fault != "refuse":
        _refresh(fault, config)
    return _fetch(fault) if name == "fetch" else EXIT_REFUSED


def _fetch(fault: str) -> int:
    if fault == "hang":
        time.sleep(3600)
    print("the API answers 503" if fault == "fail" else "fetched", file=sys.stderr)
    return int(fault == "fail")


def _refresh(fault: str, config: str) -> NoReturn:
    if fault == "memory":
        bytearray(_MANY_BYTES)  # more than the job's limit
    command = [sys.executable, "-m", "batch", "refresh", "--config", config]
    os.execv(sys.executable, command)  # the same process ends with the scheduler, as every job does


if __name__ == "__main__":
    sys.exit(main())
