"""The `[replica]` section: the name of a machine that pulls, and how it pulls.

The section may be the same on all machines; the name then comes from the environment,
`MARQUEE_REPLICA_NAME`.
"""

import math
import re
from dataclasses import dataclass
from typing import Final

from store.shards import parse_shards

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_MIN_MIB_PER_SECOND: Final = 0.1  # a piece of 5 MiB, as HTTP delivers, stays below the time-out


def is_replica_name(text: str) -> bool:
    """Return whether a text may name a replica: the form of a host name."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class ReplicaSettings:
    """The `[replica]` section.

    Attributes:
        name: Name of this machine in the reports of replicas; empty for no reports.
        barrier: Names of the replicas that flip to a new generation together; empty for no barrier.
        max_wait_seconds: Longest time that the others wait for a replica of the barrier.
        lead_seconds: Time from the last replica's report to the flip of all.
        report_seconds: Time between two reports of an unchanged state.
        max_mib_per_second: Highest rate of a pull, in MiB a second; 0 for no limit.
        shards: Numbers of the shards that a pull fetches, `"0,1"`, or `all`.
    """

    name: str = ""
    barrier: tuple[str, ...] = ()
    max_wait_seconds: float = 300.0
    lead_seconds: float = 5.0
    report_seconds: float = 30.0
    max_mib_per_second: float = 0.0
    shards: str = "all"

    def __post_init__(self) -> None:
        parse_shards(self.shards)  # raises what is wrong
        for name in (*self.barrier, *filter(None, [self.name])):
            if not is_replica_name(name):
                raise ValueError(
                    f"name must have 1 to 63 letters, digits, `.`, `_` and `-`, not {name!r}"
                )
        if len(set(self.barrier)) < len(self.barrier):
            raise ValueError("barrier must not name a replica twice")
        if self.barrier and self.name and self.name not in self.barrier:
            raise ValueError(f"barrier must list the name of this machine, {self.name!r}")
        for key in ("lead_seconds", "report_seconds"):
            if not 0 < getattr(self, key) < math.inf:
                raise ValueError(f"{key} must be above 0, and finite, not {getattr(self, key)}")
        if not 2 * self.report_seconds <= self.max_wait_seconds < math.inf:
            raise ValueError(
                f"max_wait_seconds must be at least twice report_seconds, {self.report_seconds}, "
                f"and finite, not {self.max_wait_seconds}"
            )
        if self.max_mib_per_second and not (
            _MIN_MIB_PER_SECOND <= self.max_mib_per_second < math.inf
        ):
            raise ValueError(
                f"max_mib_per_second must be 0, or at least {_MIN_MIB_PER_SECOND} and finite, "
                f"not {self.max_mib_per_second}"
            )

    @property
    def pulled_shards(self) -> frozenset[int] | None:
        """Shards that a pull fetches; None for all."""
        return parse_shards(self.shards)


ALONE: Final = ReplicaSettings()  # a replica without a name, without limits
