"""Is it the right answer? Asked of every subject before it is timed."""

import http.client
import random
import time
from collections.abc import Callable, Mapping
from typing import Final

from benchmarks.serving.data import SEED, Data
from benchmarks.serving.errors import RefusedError
from benchmarks.serving.subjects import Subject, static_list
from benchmarks.serving.targets import HEADERS, Address

_N_ASKED: Final = 500
_PATIENCE_SECONDS: Final = 60.0  # a server may first verify or load a million lists
_POLL_SECONDS: Final = 0.05
_HUNG_SECONDS: Final = 10.0


def check(
    subject: Subject,
    address: Address,
    data: Data,
    *,
    is_alive: Callable[[], None] = lambda: None,
    patience_seconds: float = _PATIENCE_SECONDS,
) -> None:
    """Wait until a subject answers as it must, then ask for the lists of random users.

    Args:
        subject: Which one.
        address: Of its server, which may still be starting.
        data: Knows the right lists.
        is_alive: Raises where waiting has become useless.
        patience_seconds: That a server has to start.

    Raises:
        RefusedError: It does not start, or an answer is not 200 with the very list.
    """
    rng = random.Random(SEED)
    users = sorted({0, *(rng.randrange(data.n_users) for _ in range(_N_ASKED))})
    right = dict.fromkeys(users, static_list(data)) if subject.is_static else data.lists(users)
    expected = {subject.target.format(user): body for user, body in right.items()}
    deadline = time.monotonic() + patience_seconds
    while wrong := _wrong(address, dict(list(expected.items())[:1])):
        is_alive()
        if time.monotonic() > deadline:
            raise RefusedError(subject.name, f"after {patience_seconds:.0f} s, {wrong}")
        time.sleep(_POLL_SECONDS)
    if wrong := _wrong(address, expected):
        raise RefusedError(subject.name, wrong)


def _wrong(address: Address, expected: Mapping[str, bytes]) -> str:
    """Ask for each target on one connection; return what is wrong with an answer, or nothing."""
    connection = http.client.HTTPConnection(*address, timeout=_HUNG_SECONDS)
    try:
        for target, body in expected.items():
            connection.request("GET", target, headers={**HEADERS})
            answer = connection.getresponse()
            seen = answer.read()
            if (answer.status, seen) != (200, body):
                return f"GET {target} gives {answer.status} {seen[:100]!r}, not the user's list"
    except (OSError, http.client.HTTPException) as error:
        return f"GET {target} fails: {error!r}"
    finally:
        connection.close()
    return ""
