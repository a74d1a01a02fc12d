"""Effects of faults on the world and the traffic, in the form that the simulation reads."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from batch.arrays import Flags


class PreferenceShift(NamedTuple):
    """A group of users whose preferences turn to one taste.

    Attributes:
        users: (n_users,) True for users of the group.
        taste: New taste of the group, a column of the world's tastes.
    """

    users: Flags
    taste: int


class FaultEffects(Protocol):
    """Effects of the active faults; call `tick` first, then read the attributes.

    Attributes:
        traffic_factor: Factor of the usual traffic; 1 without faults.
        viral: Factor of the usual popularity, by item row.
        shift: Shift of preferences; None without one.
        api_outage: Kind of the APIs' outage, "503", "hang" or "refused"; "" while they work.
    """

    traffic_factor: float
    viral: Mapping[int, float]
    shift: PreferenceShift | None
    api_outage: str

    def tick(self, seconds: float) -> None:
        """Begin and end the faults that are due.

        Args:
            seconds: Seconds since the begin of the run; never less than before.
        """
