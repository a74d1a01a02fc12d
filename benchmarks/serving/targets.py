"""Requests: targets by kind, and the headers of a real client.

known      /recommend/17              a user with a list
history    /recommend/u?history=a,b,c an unknown user with a history of three items
recent     /recommend/1999017         a user with recent views only
segment    /recommend/1000017         a user with a profile only
popular    /recommend/2000017         an unknown user
"""

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from benchmarks.harness.servers import Address
from benchmarks.serving.data import Data

HEADERS: Final = {
    "User-Agent": "python-requests/2.32.3",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
}
_N_TARGETS: Final = 20_000  # per kind of fallback
_N_HISTORY: Final = 3


def request_tail(address: Address) -> str:
    """Return the part of a request after its target."""
    headers = {"Host": f"{address.host}:{address.port}", **HEADERS}
    return " HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"


def write_targets(path: Path, targets: Iterable[str]) -> Path:
    """Write a file of targets, one per line."""
    path.write_text("".join(f"{target}\n" for target in targets))
    return path


def known(data: Data, _: random.Random) -> Sequence[str]:
    """Return every user with a list."""
    return [f"/recommend/{user}" for user in range(data.n_users)]


def history(data: Data, rng: random.Random) -> Sequence[str]:
    """Return unknown users with a history of random items."""
    items = [quote(item_id, safe="") for item_id in data.item_ids()]
    return [
        f"{target}?history={','.join(rng.sample(items, _N_HISTORY))}"
        for target in popular(data, rng)
    ]


def recent(data: Data, rng: random.Random) -> Sequence[str]:
    """Return users with recent views only."""
    return [f"/recommend/{rng.choice(data.recent_users)}" for _ in range(_N_TARGETS)]


def segment(data: Data, rng: random.Random) -> Sequence[str]:
    """Return users with a profile only."""
    return [f"/recommend/{rng.choice(data.profiled_users)}" for _ in range(_N_TARGETS)]


def popular(data: Data, rng: random.Random) -> Sequence[str]:
    """Return unknown users."""
    return [f"/recommend/{rng.choice(data.unknown_users)}" for _ in range(_N_TARGETS)]


class Kind(NamedTuple):
    """A kind of request.

    Attributes:
        source: Value of `X-Marquee-Source` in the right answers.
        targets: Returns random targets of this kind.
    """

    source: str
    targets: Callable[[Data, random.Random], Sequence[str]]


KINDS: Final = {
    "known": Kind("list", known),
    "history": Kind("history", history),
    "recent": Kind("recent", recent),
    "segment": Kind("segment", segment),
    "popular": Kind("popular", popular),
}
