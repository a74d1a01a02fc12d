"""The store's one family of errors: what, where, and the way out."""

from pathlib import Path
from typing import ClassVar


class StoreError(Exception):
    """A store, a snapshot or the configuration cannot be used as it is."""

    hint: ClassVar[str] = "look with `python -m store ls`"

    def __init__(self, path: Path | str, what: str, hint: str | None = None) -> None:
        super().__init__(f"{path}: {what} ({hint or self.hint})")
        self.path = path


class ConfigError(StoreError):
    """A setting is unknown, of the wrong type or out of range."""

    hint = "the configuration table in README.md lists every key"


class NoSnapshotError(StoreError):
    """Nothing has been published yet, or not that generation."""

    hint = "build one with `python -m batch refresh`, or look with `python -m store ls`"


class CorruptSnapshotError(StoreError):
    """The directory is there, but it is not a complete, unharmed snapshot."""

    hint = "go back with `python -m store rollback`"


class CorruptRecentError(StoreError):
    """`recent.mdb` is there, but is no file of recent views."""

    hint = "stop whoever writes it and remove it: it is only a help and fills again"


class IncompatibleSnapshotError(StoreError):
    """The snapshot is whole, but of a format that this code does not read."""

    hint = "rebuild with `python -m batch refresh`, or serve it with the version that wrote it"


class RefusedSnapshotError(StoreError):
    """The snapshot is whole, but its gate said that it must not be served."""

    hint = "`python -m store show` says which rule refused it"


class PinnedError(StoreError):
    """The store is pinned, or is not when it should be."""

    hint = "let go with `python -m store unpin --why …` first"


class NotAnItemError(StoreError):
    """No item of that name can be taken down, or none is."""

    hint = "`python -m store takedown --list` shows what is taken down"


class StoreBusyError(StoreError):
    """Another process is writing to the store."""

    hint = "wait for it to end, then try again"


class WriteError(StoreError):
    """A snapshot could not be written; the store is as it was."""

    hint = "see that the disk has room and that you may write there, then run it again"


class ReplicaError(StoreError):
    """The other side of a push or a pull cannot be reached, or is not as it must be."""

    hint = "see that the URL is right and the other side up, then run it again"
