"""The master: what can be checked of its URL before a JVM starts."""

import re
import socket
from collections.abc import Iterator
from typing import Final

from batch.errors import EngineError

_STANDALONE: Final = "spark://"
_ADDRESS: Final = r"([^][,:/]+|\[[\da-fA-F:.]+\]):\d+"
_FORMS: Final = re.compile(
    rf"local(\[(\*|[1-9]\d*)(,\s*\d+)?\])?|yarn|k8s://.+|{_STANDALONE}{_ADDRESS}(,{_ADDRESS})*"
)
_CONNECT_SECONDS: Final = 5.0


def check_master(master: str) -> None:
    """Check the form of the URL, and that a standalone master listens there.

    Spark itself would try for minutes.

    Args:
        master: URL of the master; of several standalone masters, one must listen.

    Raises:
        EngineError: The URL is malformed, or no master listens.
    """
    if not _FORMS.fullmatch(master):
        raise EngineError(
            f"[batch] spark_master {master!r}",
            "not the URL of a Spark master",
            "give one such as local[2], spark://host:7077, yarn or k8s://https://host:443",
        )
    if not master.startswith(_STANDALONE):
        return
    problems = [*_connection_errors(master)]
    if len(problems) == len(_addresses(master)):
        raise EngineError(
            f"[batch] spark_master {master}",
            f"the master cannot be reached: {problems[0]}",
            "check the URL, spark://host:7077, and that the master runs",
        )


def _addresses(master: str) -> list[tuple[str, int]]:
    pairs = (address.rsplit(":", 1) for address in master.removeprefix(_STANDALONE).split(","))
    return [(host.strip("[]"), int(port)) for host, port in pairs]


def _connection_errors(master: str) -> Iterator[Exception]:
    """Yield why an address cannot be connected to, for each that cannot."""
    for address in _addresses(master):
        try:
            socket.create_connection(address, _CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:  # a port above 65,535
            yield error
