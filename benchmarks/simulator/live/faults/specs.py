"""Fault specifications: `AT KIND key=value …`, such as `30s flood item=heat+1995 for=20s`."""

import argparse
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.history.noise import KINDS as NOISES
from benchmarks.simulator.live.apis.outages import OUTAGES
from benchmarks.simulator.live.errors import FaultError
from benchmarks.simulator.live.faults.schemas import SCHEMAS
from benchmarks.simulator.log_formats import LOG_FORMATS

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": DAY_SECONDS}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_MAX_MINUTES: Final = 1440
_MAX_JUMP_SECONDS: Final = 3650 * DAY_SECONDS


class Key(NamedTuple):
    """One key of a kind.

    Attributes:
        read: Parser of its value; raises ValueError with a description of valid values.
        default: Default value; ... for a required key.
        description: Meaning of the key.
    """

    read: Callable[[str], Any]
    default: Any
    description: str


class Kind(NamedTuple):
    """One kind of fault.

    Attributes:
        description: Effect of the fault.
        keys: Keys besides `for`.
        for_seconds: Default duration; None: until the run ends.
    """

    description: str
    keys: Mapping[str, Key]
    for_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """Specification of a fault.

    Attributes:
        at_seconds: Begin, in seconds after the begin of the run or after it was added.
        kind: Kind of fault, one of KINDS.
        values: Values by key, defaults filled in.
        for_seconds: Duration; None: until the run ends.
        text: Text of the specification.
    """

    at_seconds: float
    kind: str
    values: Mapping[str, Any]
    for_seconds: float | None
    text: str


def read_duration(text: str) -> float:
    """Read `30s`, `1.5m`, `2h`, `1d`, or seconds alone."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError("a time such as 30s, 5m, 2h or 1d")
    return float(found[1]) * _UNITS[found[2]]


def _time_offset(text: str) -> int:
    seconds = round(read_duration(text.lstrip("+-")))
    if not seconds or seconds > _MAX_JUMP_SECONDS or len(text) - len(text.lstrip("+-")) > 1:
        raise ValueError("a time offset such as +1h or -30s, at most ten years")
    return -seconds if text.startswith("-") else seconds


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= 10_000_000):
        raise ValueError("a whole number from 1 to 10,000,000")
    return int(text)


def _minutes(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= _MAX_MINUTES):
        raise ValueError(f"a whole number from 1 to {_MAX_MINUTES}")
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
    if unknown := [kind for kind in text.split(",") if kind not in NOISES]:
        raise ValueError(f"some of {', '.join(NOISES)}, not {unknown[0]!r}")
    return tuple(text.split(","))


def _one_of(names: Mapping[str, Any] | tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return text

    return read


def _begin(text: str) -> float:
    try:
        return read_duration(text)
    except ValueError as error:
        raise ValueError(f"{error}, or now") from None


def _positive_duration(text: str) -> float:
    if not (seconds := read_duration(text)):
        raise ValueError("longer than 0s")
    return seconds


_AT: Final = Key(_begin, ..., "begin of the fault")
_FOR: Final = Key(_positive_duration, None, "duration")

KINDS: Final[Mapping[str, Kind]] = {
    "flood": Kind(
        "made-up accounts watch one item again and again",
        {
            "item": Key(str, ..., "item id"),
            "accounts": Key(_count, 100, "number of accounts"),
            "views": Key(_count, 1000, "number of views of all accounts"),
            "minutes": Key(_minutes, 5, "length of each view"),
            "rating": Key(_rating, None, "rating after each view"),
        },
        for_seconds=60,
    ),
    "schema": Kind(
        "lines take a form that no edition has",
        {"change": Key(_one_of(SCHEMAS), "extra", f"one of {', '.join(SCHEMAS)}")},
    ),
    "edition": Kind(
        "lines are written as in another edition",
        {"to": Key(_one_of(LOG_FORMATS), ..., f"one of {', '.join(LOG_FORMATS)}")},
    ),
    "jump": Kind(
        "the stream's clock jumps",
        {"by": Key(_time_offset, ..., "time offset, such as +1h or -30s")},
    ),
    "noise": Kind(
        "lines break",
        {
            "share": Key(_share, 0.01, "share of the lines"),
            "only": Key(_noises, tuple(NOISES), f"some of {','.join(NOISES)}"),
        },
    ),
    "kafka": Kind("the stream accepts no lines: they wait, then are dropped", {}, 30),
    "viral": Kind(
        "one item becomes very popular",
        {
            "item": Key(str, ..., "item id"),
            "factor": Key(_factor, 50.0, "factor of its popularity"),
        },
    ),
    "shift": Kind(
        "the preferences of a group turn to one taste",
        {
            "group": Key(str, ..., "ages, gender or both: 25-34, F, 25-34/F; all"),
            "taste": Key(str, ..., "number of a taste, or name of a genre"),
        },
    ),
    "traffic": Kind(
        "more requests and views, or fewer", {"factor": Key(_factor, 10.0, "factor of the rate")}
    ),
    "api": Kind(
        "the user and movie APIs fail",
        {"how": Key(_one_of(OUTAGES[1:]), OUTAGES[1], f"one of {', '.join(OUTAGES[1:])}")},
    ),
}


def read_spec(text: str) -> FaultSpec:
    """Read a specification.

    Raises:
        FaultError: The specification is malformed; the message lists valid values.
    """
    words = text.split()
    if len(words) < 2:
        remedy = "write AT KIND key=value …, such as 30s traffic factor=10 for=1m"
        raise _error(text, "not a valid fault", remedy)
    at, name, *pairs = words
    kind = KINDS.get(name)
    if kind is None:
        remedy = f"choose from {', '.join(KINDS)}"
        raise _error(text, f"{name!r} is not a kind of fault", remedy)
    given = dict(_pair(text, name, kind, pair) for pair in pairs)
    if len(given) < len(pairs):
        raise _error(text, "a key is given twice")
    required = [key for key, (_, default, _) in kind.keys.items() if default is ...]
    if missing_keys := [key for key in required if key not in given]:
        key = missing_keys[0]
        raise _error(text, f"{name} needs {key}=…, {kind.keys[key].description}")
    values = {key: _value(text, key, given.get(key), one) for key, one in kind.keys.items()}
    return FaultSpec(
        at_seconds=0.0 if at == "now" else _value(text, "AT", at, _AT),
        kind=name,
        values=values,
        for_seconds=_value(text, "for", given.get("for"), _FOR._replace(default=kind.for_seconds)),
        text=" ".join(words),
    )


def fault_argument(text: str) -> FaultSpec:
    """Read a specification from the command line."""
    try:
        return read_spec(text)
    except FaultError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _pair(text: str, name: str, kind: Kind, pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not (equals and value):
        raise _error(text, f"{pair!r} must be written key=value")
    if key not in kind.keys and key != "for":
        raise _error(text, f"{name} has no {key!r}; it has {', '.join((*kind.keys, 'for'))}")
    return key, value


def _value(text: str, name: str, value: str | None, key: Key) -> Any:
    if value is None:
        return key.default
    try:
        return key.read(value)
    except ValueError as error:
        raise _error(text, f"{name} must be {error}; it is {value!r}") from None


def _error(text: str, problem: str, remedy: str | None = None) -> FaultError:
    return FaultError(f"fault {text!r}", problem, remedy)
