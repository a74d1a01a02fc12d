"""Orders of trouble as text: `AT KIND key=value …`, such as `30s flood item=heat+1995 for=20s`."""

import argparse
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.editions import EDITIONS
from benchmarks.simulator.live.apis.outages import OUTAGES
from benchmarks.simulator.live.errors import TroubleError
from benchmarks.simulator.live.trouble.schemas import SCHEMAS
from benchmarks.simulator.noise import KINDS as NOISES

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": DAY_SECONDS}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_MOST_MINUTES: Final = 1440
_FURTHEST_JUMP: Final = 3650 * DAY_SECONDS


class Key(NamedTuple):
    """One key of a kind.

    Attributes:
        read: Makes its value, or raises ValueError with what it must be.
        default: Where it is not given; ... for what must be given.
        says: What it means.
    """

    read: Callable[[str], Any]
    default: Any
    says: str


class Kind(NamedTuple):
    """One kind of trouble.

    Attributes:
        says: What it does.
        keys: Besides `for`.
        for_seconds: How long where `for` is not given; None: until the run ends.
    """

    says: str
    keys: Mapping[str, Key]
    for_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """Trouble that was ordered.

    Attributes:
        at_seconds: When, after the run's beginning or after the order came in.
        kind: Of KINDS.
        values: By key, defaults filled in.
        for_seconds: How long; None: until the run ends.
        text: As it was ordered.
    """

    at_seconds: float
    kind: str
    values: Mapping[str, Any]
    for_seconds: float | None
    text: str


def duration(text: str) -> float:
    """Read `30s`, `1.5m`, `2h`, `1d`, or seconds alone."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError("a time such as 30s, 5m, 2h or 1d")
    return float(found[1]) * _UNITS[found[2]]


def _distance(text: str) -> int:
    seconds = round(duration(text.lstrip("+-")))
    if not seconds or seconds > _FURTHEST_JUMP or len(text) - len(text.lstrip("+-")) > 1:
        raise ValueError("a time forth or back such as +1h or -30s, of ten years at most")
    return -seconds if text.startswith("-") else seconds


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= 10_000_000):
        raise ValueError("a whole number from 1 to 10,000,000")
    return int(text)


def _minutes(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= _MOST_MINUTES):
        raise ValueError(f"a whole number from 1 to {_MOST_MINUTES}")
    return int(text)


def _rating(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 10):
        raise ValueError("a whole number from 1 to 10")
    return int(text)


def _factor(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1e6:
        raise ValueError("a number from 0 to 1,000,000")
    return value


def _share(text: str) -> float:
    value = _factor(text)
    if value > 1:
        raise ValueError("a number from 0 to 1")
    return value


def _noises(text: str) -> tuple[str, ...]:
    if wrong := [kind for kind in text.split(",") if kind not in NOISES]:
        raise ValueError(f"some of {', '.join(NOISES)}, not {wrong[0]!r}")
    return tuple(text.split(","))


def _one_of(names: Mapping[str, Any] | tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return text

    return read


KINDS: Final[Mapping[str, Kind]] = {
    "flood": Kind(
        "made-up accounts watch one item again and again",
        {
            "item": Key(str, ..., "its id"),
            "accounts": Key(_count, 100, "how many there are"),
            "views": Key(_count, 1000, "that they begin, all together"),
            "minutes": Key(_minutes, 5, "of each view"),
            "rating": Key(_rating, None, "given after each view"),
        },
        for_seconds=60,
    ),
    "schema": Kind(
        "lines take a form that no edition has",
        {"change": Key(_one_of(SCHEMAS), "extra", f"one of {', '.join(SCHEMAS)}")},
    ),
    "edition": Kind(
        "lines are written as in another edition",
        {"to": Key(_one_of(EDITIONS), ..., f"one of {', '.join(EDITIONS)}")},
    ),
    "jump": Kind(
        "the stream's clock goes wrong",
        {"by": Key(_distance, ..., "as +1h or -30s")},
    ),
    "noise": Kind(
        "lines break",
        {
            "share": Key(_share, 0.01, "of the lines"),
            "only": Key(_noises, tuple(NOISES), f"some of {','.join(NOISES)}"),
        },
    ),
    "kafka": Kind("nobody takes the stream's lines: they wait, then are dropped", {}, 30),
    "viral": Kind(
        "everybody watches one item",
        {
            "item": Key(str, ..., "its id"),
            "factor": Key(_factor, 50.0, "times as popular as it was"),
        },
    ),
    "shift": Kind(
        "a group's preference turns to one taste",
        {
            "group": Key(str, ..., "ages, gender or both: 25-34, F, 25-34/F; all"),
            "taste": Key(str, ..., "its number, or the name of a genre"),
        },
    ),
    "traffic": Kind(
        "more requests and views, or fewer", {"factor": Key(_factor, 10.0, "times as many")}
    ),
    "api": Kind(
        "the user and movie APIs fail",
        {"how": Key(_one_of(OUTAGES[1:]), OUTAGES[1], f"one of {', '.join(OUTAGES[1:])}")},
    ),
}


def read_order(text: str) -> Order:
    """Read an order.

    Raises:
        TroubleError: It cannot be read; the message lists what there is.
    """
    words = text.split()
    if len(words) < 2:
        raise _wrong(text, "write AT KIND key=value …, such as 30s traffic factor=10 for=1m")
    at, name, *pairs = words
    kind = KINDS.get(name)
    if kind is None:
        raise _wrong(text, f"{name!r} is no kind of trouble; they are {', '.join(KINDS)}")
    given = dict(_pair(text, name, kind, pair) for pair in pairs)
    if len(given) < len(pairs):
        raise _wrong(text, "a key is given twice")
    missing = [key for key, (_, default, _) in kind.keys.items() if default is ...]
    if left := [key for key in missing if key not in given]:
        raise _wrong(text, f"{name} needs {left[0]}=…, {kind.keys[left[0]].says}")
    values = {key: _value(text, key, given.get(key), one) for key, one in kind.keys.items()}
    return Order(
        at_seconds=0.0 if at == "now" else _value(text, "AT", at, _AT),
        kind=name,
        values=values,
        for_seconds=_value(text, "for", given.get("for"), _FOR._replace(default=kind.for_seconds)),
        text=" ".join(words),
    )


def argument(text: str) -> Order:
    """Read an order from the command line."""
    try:
        return read_order(text)
    except TroubleError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _moment(text: str) -> float:
    try:
        return duration(text)
    except ValueError as error:
        raise ValueError(f"{error}, or now") from None


def _lasting(text: str) -> float:
    if not (seconds := duration(text)):
        raise ValueError("longer than 0s")
    return seconds


_AT: Final = Key(_moment, ..., "when")
_FOR: Final = Key(_lasting, None, "how long")


def _pair(text: str, name: str, kind: Kind, pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not (equals and value):
        raise _wrong(text, f"{pair!r} must be written key=value")
    if key not in kind.keys and key != "for":
        raise _wrong(text, f"{name} has no {key!r}; it has {', '.join((*kind.keys, 'for'))}")
    return key, value


def _value(text: str, name: str, value: str | None, key: Key) -> Any:
    if value is None:
        return key.default
    try:
        return key.read(value)
    except ValueError as error:
        raise _wrong(text, f"{name} must be {error}; it is {value!r}") from None


def _wrong(text: str, what: str) -> TroubleError:
    return TroubleError(f"trouble {text!r}", what)
