"""Memory: what this process may still take, and what it has freed.

What may still be taken is asked before training, so that a model too large is refused.
"""

import ctypes
from pathlib import Path
from typing import Final

import pyarrow as pa

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


def use_system_allocator() -> None:
    """Let Arrow allocate as all else does: its own pool keeps what other threads have freed."""
    pa.set_memory_pool(pa.system_memory_pool())


def release_free_memory() -> None:
    """Return memory that is free to the system: the allocator keeps much of it.

    glibc keeps blocks below 32 MiB. Large arrays of the next stage come on top of what is kept.

    Source:
        malloc_trim(3); without glibc nothing is done.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
