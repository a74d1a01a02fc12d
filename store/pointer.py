"""The pointer: `CURRENT` names the generation to serve, and `PIN` holds it there.

    CURRENT     42
    PIN         42 <TAB> why        only while pinned

Both are replaced by an atomic rename: a reader finds the old text or the new.
"""

from pathlib import Path
from typing import Final, NamedTuple

from store.durable import fsync_path, replace_durable
from store.errors import NoSnapshotError

_CURRENT: Final = "CURRENT"
_PIN: Final = "PIN"


class Pin(NamedTuple):
    """What holds the store at one generation.

    Attributes:
        generation: Which.
        why: In words.
    """

    generation: int
    why: str


def current(store: Path) -> int:
    """Return the generation that readers should open.

    Raises:
        NoSnapshotError: Nothing has been published, or `CURRENT` is unreadable.
    """
    path = store / _CURRENT
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise NoSnapshotError(store, "nothing has been published yet") from None
    except (OSError, ValueError) as error:
        raise NoSnapshotError(path, f"does not hold a generation: {error}") from error
    if not text.isdecimal() or int(text) < 1:
        raise NoSnapshotError(path, f"does not hold a generation, but {text[:20]!r}")
    return int(text)


def current_or_none(store: Path) -> int | None:
    """Return the generation that readers should open, None before the first."""
    try:
        return current(store)
    except NoSnapshotError:
        return None


def point_at(store: Path, generation: int) -> None:
    """Make `generation` current, and keep it so through a power cut.

    Raises:
        OSError: It could not be written; the old one is current.
    """
    replace_durable(store / _CURRENT, f"{generation}\n")


def pinned(store: Path) -> Pin | None:
    """Return what the store is pinned to, if it is."""
    try:
        generation, _, why = (store / _PIN).read_text(encoding="utf-8").strip().partition("\t")
    except FileNotFoundError:
        return None
    return Pin(int(generation), why)


def write_pin(store: Path, pin: Pin | None) -> None:
    """Set the pin, or take it away, and keep it so through a power cut.

    Raises:
        OSError: It could not be written.
    """
    if pin is not None:
        replace_durable(store / _PIN, f"{pin.generation}\t{' '.join(pin.why.split())}\n")
    else:
        (store / _PIN).unlink(missing_ok=True)
        fsync_path(store)
