"""The pointer: `CURRENT` names the generation to serve, and `PIN` fixes it.

    CURRENT     42
    PIN         42 <TAB> why        only while pinned

Both are replaced by an atomic rename: a reader finds the old text or the new.
"""

from pathlib import Path
from typing import Final, NamedTuple

from store.durable import fsync_path, replace_durable
from store.errors import NoSnapshotError, PinnedError
from store.parse import MAX_PIN_BYTES, MAX_POINTER_BYTES, parse_generation, read_small

_CURRENT: Final = "CURRENT"
_PIN: Final = "PIN"


class Pin(NamedTuple):
    """The pin of a store.

    Attributes:
        generation: Generation that stays current.
        why: Reason in words.
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
        content = read_small(path, MAX_POINTER_BYTES)
        return parse_generation(content.decode("ascii", "replace").strip())
    except FileNotFoundError:
        raise NoSnapshotError(store, "nothing has been published yet") from None
    except OSError as error:
        raise NoSnapshotError(path, f"does not hold a generation: {error.strerror}") from error
    except ValueError as error:
        raise NoSnapshotError(path, f"does not hold a generation, but {error}") from error


def current_or_none(store: Path) -> int | None:
    """Return the generation that readers should open, None before the first.

    Raises:
        NoSnapshotError: `CURRENT` exists but could not be read from the disk. A caller
            that took this for an empty store would void the journal's last line and
            prune the served snapshot.
    """
    try:
        return current(store)
    except NoSnapshotError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return None


def point_at(store: Path, generation: int) -> None:
    """Make `generation` current, so that it survives a power cut.

    Raises:
        OSError: It could not be written; the old generation is current.
    """
    replace_durable(store / _CURRENT, f"{generation}\n")


def pinned(store: Path) -> Pin | None:
    """Return the pin of the store, None if it is not pinned.

    Raises:
        PinnedError: `PIN` exists, but its content is not valid.
    """
    path = store / _PIN
    try:
        text = read_small(path, MAX_PIN_BYTES).decode(errors="replace").strip()
        generation, _, why = text.partition("\t")
        return Pin(parse_generation(generation), why)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PinnedError(path, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise PinnedError(path, f"does not hold a generation, but {error}") from error


def is_pinned(store: Path) -> bool:
    """Return whether there is a pin, readable or not."""
    return (store / _PIN).exists()


def clear_pending(store: Path) -> None:
    """Remove the files of a writer that was killed before its rename.

    The caller holds `writing`.

    Raises:
        OSError: It could not be removed.
    """
    for name in (_CURRENT, _PIN):
        (store / f"{name}.pending").unlink(missing_ok=True)


def write_pin(store: Path, pin: Pin | None) -> None:
    """Set the pin, or remove it for None, so that it survives a power cut.

    Raises:
        OSError: It could not be written.
    """
    if pin is not None:
        replace_durable(store / _PIN, f"{pin.generation}\t{' '.join(pin.why.split())}\n")
    else:
        (store / _PIN).unlink(missing_ok=True)
        fsync_path(store)
