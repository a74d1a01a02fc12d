"""What trouble does to the world and the traffic, as the live loop reads it."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class Shift(NamedTuple):
    """A group of users that turns to one taste.

    Attributes:
        users: (n_users,) who they are.
        taste: What they all want now, a column of the world's tastes.
    """

    users: npt.NDArray[np.bool_]
    taste: int


class Disturbance(Protocol):
    """Trouble as the live loop sees it: `tick` first, then read the rest.

    Attributes:
        traffic_factor: By how many times the usual traffic goes up; 1 in quiet times.
        viral: By item row, how many times as popular the item is as it was.
        shift: Whose preference has turned, and to what; None in quiet times.
        api_outage: How the APIs fail now: "503", "hang" or "refused"; "" where they work.
    """

    traffic_factor: float
    viral: Mapping[int, float]
    shift: Shift | None
    api_outage: str

    def tick(self, seconds: float) -> None:
        """Begin and end what is due.

        Args:
            seconds: Since the run began, on the live loop's own clock; never less than before.
        """
