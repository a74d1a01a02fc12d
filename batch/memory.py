"""Memory that this process may still take, so that a model too large is refused beforehand."""

from pathlib import Path
from typing import Final

_MEMINFO: Final = Path("/proc/meminfo")
_CGROUP: Final = Path("/sys/fs/cgroup")  # of the container, where there is one


def available_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int:
    """Return the bytes that the machine and the control group (version 2) have left."""
    kibibytes = next(
        line.split()[1] for line in meminfo.read_text().splitlines() if "MemAvailable" in line
    )
    left = int(kibibytes) * 1024
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
    except OSError:
        return left  # the root group has no such files
    return left if limit == "max" else max(0, min(left, int(limit) - used))
