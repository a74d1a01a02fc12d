"""The serial numbers that a replica accepted last, so that an older state is seen.

    REPLICA     CURRENT <TAB> 1795802400000
                TAKEDOWN <TAB> 1795802399000

The file is written by a pull with trusted keys. The numbers come from signatures.
"""

import re
from pathlib import Path
from typing import Final

from store.durable import replace_durable
from store.errors import ReplicaError, WriteError

_FILE: Final = "REPLICA"
_FORM: Final = re.compile(r"(?:[A-Z]{1,20}\t\d{1,15}\n){0,8}", re.ASCII)
_MAX_BYTES: Final = 1024


def accepted_serials(store: Path) -> dict[str, int]:
    """Return the serial number that was accepted last, by file.

    Raises:
        ReplicaError: The file exists, but cannot be read.
    """
    path = store / _FILE
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES).decode("latin-1")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ReplicaError(path, f"cannot be read: {error.strerror}") from error
    if not _FORM.fullmatch(text):
        remedy = "remove it, and pull once with --allow-rollback"
        raise ReplicaError(path, "does not hold serial numbers", remedy)
    lines = (line.split("\t") for line in text.splitlines())
    return {name: int(serial) for name, serial in lines}


def accept_serial(store: Path, name: str, serial: int) -> None:
    """Record the serial number of a file that was pulled.

    Raises:
        WriteError: It could not be written.
    """
    serials = accepted_serials(store)
    if serials.get(name) == serial:
        return
    lines = sorted((serials | {name: serial}).items())
    try:
        replace_durable(store / _FILE, "".join(f"{n}\t{number}\n" for n, number in lines))
    except OSError as error:
        raise WriteError(store / _FILE, f"cannot be written: {error.strerror}") from error
