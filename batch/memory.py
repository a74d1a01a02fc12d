"""Memory: what the machine has, what this process may still take, and what it has freed.

What may still be taken is asked before training, so that a model too large is refused.
"""

import contextlib
import ctypes
import resource
from pathlib import Path
from typing import Final

import pyarrow as pa

_MEMINFO: Final = Path("/proc/meminfo")
_CGROUP: Final = Path("/sys/fs/cgroup")  # of the container, where there is one
_STATUS: Final = Path("/proc/self/status")
_CLEAR_REFS: Final = Path("/proc/self/clear_refs")
_RESET_PEAK: Final = "5"


def available_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int:
    """Return the bytes that the machine and the control group (version 2) have left."""
    left = _kibibytes(meminfo, "MemAvailable") * 1024
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
    except OSError:
        return left  # the root group has no such files
    return left if limit == "max" else max(0, min(left, int(limit) - used))


def total_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int:
    """Return the memory of the machine, swap included, or the limit of the control group."""
    whole = sum(_kibibytes(meminfo, name) for name in ("MemTotal", "SwapTotal")) * 1024
    try:
        limit = (cgroup / "memory.max").read_text().strip()
    except OSError:
        return whole  # the root group has no such file
    return whole if limit == "max" else min(whole, int(limit))


def resident_bytes() -> int:
    """Return the memory of this process."""
    return _kibibytes(_STATUS, "VmRSS") * 1024


def peak_bytes() -> int:
    """Return the peak memory of this process since the last `reset_peak`.

    getrusage(2) is no less than the peak of the process that started this one, and is used only
    where the kernel has no better figure (gVisor).
    """
    try:
        return _kibibytes(_STATUS, "VmHWM") * 1024
    except LookupError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def reset_peak() -> None:
    """Let the peak memory of this process begin anew; where the kernel refuses it, it goes on.

    Source:
        proc_pid_clear_refs(5), value 5.
    """
    with contextlib.suppress(OSError):
        _CLEAR_REFS.write_text(_RESET_PEAK)


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


def _kibibytes(file: Path, name: str) -> int:
    """Return a figure of a file of `/proc` with lines `NAME:   123 kB`.

    Raises:
        LookupError: The file has no such line.
    """
    for line in file.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(f"{file} has no {name}")
