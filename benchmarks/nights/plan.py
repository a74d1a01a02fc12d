"""What goes wrong in the nights, and the runs and messages that have to follow.

A night is the 24 hours from noon to noon, UTC. In Cairo the clock went forward and back within
three weeks of 2010: 00:30 was skipped in night 6, and 23:30 came twice in night 27.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

BEGIN: Final = datetime(2010, 9, 4, 12, tzinfo=UTC)
ZONE: Final = "Africa/Cairo"
FETCH_AT: Final = "23:30"
REFRESH_AT: Final = "00:30"
N_NIGHTS: Final = 30
N_QUICK_NIGHTS: Final = 9

Endings = tuple[str, ...]
_ONCE: Final = ("succeeded",)
_TWICE: Final = ("succeeded", "succeeded")
_CRASHED: Final = ("interrupted", "succeeded")


@dataclass(frozen=True, slots=True)
class Night:
    """A night.

    Attributes:
        fault: What goes wrong; empty: nothing.
        fetch: Endings of the runs of `fetch`.
        refresh: Endings of the runs of `refresh`.
        verify: Endings of the runs of `verify`.
        messages: Names of the messages, with ` over` for the end of an alarm.
    """

    fault: str = ""
    fetch: Endings = _ONCE
    refresh: Endings = _ONCE
    verify: Endings = _ONCE
    messages: tuple[str, ...] = ()


# The night before the first start is made up for, and what was missed while the machine was off.
_MADE_UP: Final = {"fetch": _TWICE, "refresh": _TWICE, "verify": _TWICE}
_NONE: Final[dict[str, Endings]] = {"fetch": (), "refresh": (), "verify": ()}
_PLAN: Final = {
    1: Night("first start", **_MADE_UP),
    2: Night("hang", ("timed out", "timed out"), messages=("job fetch",)),
    3: Night(messages=("job fetch over",)),
    4: Night("fail", ("failed", "failed"), messages=("job fetch",)),
    5: Night("fail", ("failed", "failed"), messages=("job fetch",)),  # urgent after 48 hours
    6: Night("clock forward", messages=("job fetch over",)),
    7: Night("crash", refresh=_CRASHED),
    8: Night("refuse", refresh=("refused by the gate",), messages=("gate",)),
    9: Night(messages=("gate over",)),
    11: Night("memory", refresh=("failed", "failed"), messages=("job refresh", "old lists")),
    12: Night(messages=("job refresh over", "old lists over")),
    14: Night(  # nor is there room for the history
        "full", **_NONE, messages=("job fetch", "job refresh", "job verify", "old lists")
    ),
    15: Night(messages=("job fetch over", "job refresh over", "old lists over", "job verify over")),
    18: Night("off", **_NONE),
    19: Night("off", **_NONE),
    20: Night("", **_MADE_UP, messages=("old lists", "old lists over")),
    23: Night("crash", refresh=_CRASHED),
    26: Night("data", refresh=_TWICE),
    27: Night("clock back"),
    28: Night("data", refresh=_TWICE),
}


def plan_of(number: int) -> Night:
    """Return what happens in a night, the first of which is 1."""
    return _PLAN.get(number, Night())


def night_of(at: datetime) -> int:
    """Return the number of the night of a time."""
    return (at - BEGIN) // timedelta(days=1) + 1


def begin_of(number: int) -> datetime:
    """Return when a night begins."""
    return BEGIN + timedelta(days=number - 1)
