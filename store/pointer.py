"""The pointer: `CURRENT` names the generation to serve, and `PIN` holds it there.

    CURRENT     42
    PIN         42 <TAB> why        only while pinned

Both are replaced by an atomic rename: a reader finds the old text or the new.
"""

from pathlib import Path
from typing import Final, NamedTuple

from store.durable import fsync_path, replace_durable
from store.errors import NoSnapshotError, PinnedError

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
    """Return the generation that readers should open, None before the first.

    Raises:
        NoSnapshotError: The disk did not give `CURRENT` back: who took that for an
            empty store would void the journal's last line, and prune what is served.
    """
    try:
        return current(store)
    except NoSnapshotError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return None


def point_at(store: Path, generation: int) -> None:
    """Make `generation` current, and keep it so through a power cut.

    Raises:
        OSError: It could not be written; the old one is current.
    """
    replace_durable(store / _CURRENT, f"{generation}\n")


def pinned(store: Path) -> Pin | None:
    """Return what the store is pinned to, if it is.

    Raises:
        PinnedError: `PIN` is there, but nobody can tell what it says.
    """
    path = store / _PIN
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PinnedError(path, f"cannot be read: {error.strerror}") from error
    generation, _, why = text.partition("\t")
    if not generation.isdecimal():
        raise PinnedError(path, f"holds no generation, but {text[:20]!r}")
    return Pin(int(generation), why)


def is_pinned(store: Path) -> bool:
    """Tell whether there is a pin, readable or not."""
    return (store / _PIN).exists()


def clear_pending(store: Path) -> None:
    """Remove what a writer that was killed between the bytes and the rename left.

    The caller holds `writing`.

    Raises:
        OSError: It could not be removed.
    """
    for name in (_CURRENT, _PIN):
        (store / f"{name}.pending").unlink(missing_ok=True)


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
