"""The errors of all packages: one base with one constructor, and the store's family.

Each package has one family under `MarqueeError`. A message has the form
*subject: what is wrong; what to do*.
"""

from typing import ClassVar


class MarqueeError(Exception):
    """Something that was asked for cannot be done.

    Attributes:
        subject: File, setting or part that the message is about.
        remedy: What to do, where the place that raises it names nothing better.
    """

    remedy: ClassVar[str]

    def __init__(self, subject: object, problem: str, remedy: str | None = None) -> None:
        super().__init__(f"{subject}: {problem}; {remedy or self.remedy}")
        self.subject = subject


class StoreError(MarqueeError):
    """A store, a snapshot or the configuration cannot be used as it is."""

    remedy = "look with `python -m store ls`"


class ConfigError(StoreError):
    """A setting is unknown, of the wrong type or out of range."""

    remedy = "the configuration table in README.md lists every key"


class NoSnapshotError(StoreError):
    """Nothing has been published yet, or not that generation."""

    remedy = "build one with `python -m batch refresh`, or look with `python -m store ls`"


class CorruptSnapshotError(StoreError):
    """The directory is there, but it is not a complete, unharmed snapshot."""

    remedy = "go back with `python -m store rollback`"


class CorruptRecentError(StoreError):
    """`recent.mdb` is there, but is no file of recent views."""

    remedy = "stop whoever writes it and remove it: it is only a help and fills again"


class IncompatibleSnapshotError(StoreError):
    """The snapshot is whole, but of a format that this code does not read."""

    remedy = "rebuild with `python -m batch refresh`, or serve it with the version that wrote it"


class RefusedSnapshotError(StoreError):
    """The snapshot is whole, but its gate said that it must not be served."""

    remedy = "`python -m store show` says which rule refused it"


class PinnedError(StoreError):
    """The store is pinned, or is not when it should be."""

    remedy = "let go with `python -m store unpin --why …` first"


class NotAnItemError(StoreError):
    """No item of that name can be taken down, or none is."""

    remedy = "`python -m store takedown --list` shows what is taken down"


class StoreBusyError(StoreError):
    """Another process is writing to the store."""

    remedy = "wait for it to end, then try again"


class WriteError(StoreError):
    """A snapshot could not be written; the store is as it was."""

    remedy = "see that the disk has room and that you may write there, then run it again"


class ReplicaError(StoreError):
    """The other side of a push or a pull cannot be reached, or is not as it must be."""

    remedy = "see that the URL is right and the other side up, then run it again"
