"""The check that a subject answers with the right lists, before it is timed."""

import http.client
import random
import time
from collections.abc import Callable, Mapping
from typing import Final

from benchmarks.harness.errors import RefusedError
from benchmarks.harness.servers import Address
from benchmarks.serving.data import SEED, Data
from benchmarks.serving.subjects import Subject, static_list
from benchmarks.serving.targets import HEADERS

_N_CHECKED_USERS: Final = 500
_START_SECONDS: Final = 60.0  # a server may verify or load a million lists first
_POLL_SECONDS: Final = 0.05
_HUNG_SECONDS: Final = 10.0


def check(
    subject: Subject,
    address: Address,
    data: Data,
    *,
    check_alive: Callable[[], None] = lambda: None,
    patience_seconds: float = _START_SECONDS,
) -> None:
    """Wait until a subject answers correctly, then check the lists of random users.

    Args:
        subject: Subject to check.
        address: Address of its server, which may still be starting.
        data: Store with the right lists.
        check_alive: Raises an error if the server has ended.
        patience_seconds: Limit of the time to start.

    Raises:
        RefusedError: It does not start, or an answer is not 200 with the right list.
    """
    rng = random.Random(SEED)
    users = sorted({0, *(rng.randrange(data.n_users) for _ in range(_N_CHECKED_USERS))})
    right = dict.fromkeys(users, static_list(data)) if subject.is_static else data.lists(users)
    expected = {subject.target.format(user): body for user, body in right.items()}
    deadline = time.monotonic() + patience_seconds
    while wrong := _wrong(address, dict(list(expected.items())[:1])):
        check_alive()
        if time.monotonic() > deadline:
            raise RefusedError(subject.name, f"after {patience_seconds:.0f} s, {wrong}")
        time.sleep(_POLL_SECONDS)
    if wrong := _wrong(address, expected):
        raise RefusedError(subject.name, wrong)


def _wrong(address: Address, expected: Mapping[str, bytes]) -> str:
    """Request each target on one connection; return the first defect, or an empty string."""
    connection = http.client.HTTPConnection(*address, timeout=_HUNG_SECONDS)
    try:
        for target, body in expected.items():
            connection.request("GET", target, headers={**HEADERS})
            answer = connection.getresponse()
            received = answer.read()
            if (answer.status, received) != (200, body):
                return (
                    f"GET {target} returns {answer.status} {received[:100]!r}, not the user's list"
                )
    except (OSError, http.client.HTTPException) as error:
        return f"GET {target} fails: {error!r}"
    finally:
        connection.close()
    return ""
