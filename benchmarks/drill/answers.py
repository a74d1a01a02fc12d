"""One answer of the server, by a new connection."""

import http.client

from benchmarks.harness.servers import Address

_LIMIT_SECONDS = 5.0


def answer_of(address: Address, user: int) -> list[str]:
    """Return the items of a user's list.

    Raises:
        OSError, http.client.HTTPException: There is no answer.
    """
    connection = http.client.HTTPConnection(*address, timeout=_LIMIT_SECONDS)
    try:
        connection.request("GET", f"/recommend/{user}")
        return connection.getresponse().read().decode().split(",")
    finally:
        connection.close()


def holds_item(address: Address, user: int, item: str) -> bool:
    """Return whether a user's list holds an item."""
    return item in answer_of(address, user)
