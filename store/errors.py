"""The errors of all packages: one base with one constructor, and the store's family.

Each package has one family under `MarqueeError`. A message has the form
*subject: what is wrong; what to do*.
"""

from typing import Any, ClassVar, Final

ALLOW_ROLLBACK: Final = "pull once with --allow-rollback if that is intended"


class MarqueeError(Exception):
    """An operation cannot be done.

    Attributes:
        subject: File, setting or part that the message is about.
        problem: What is wrong.
        remedy: Default advice of this type of error.
    """

    remedy: ClassVar[str]

    def __init__(self, subject: object, problem: str, remedy: str | None = None) -> None:
        super().__init__(f"{subject}: {problem}; {remedy or self.remedy}")
        self.subject = subject
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what pickles it, for other processes: the message, not what it was made of."""
        return _restored, (type(self), str(self), str(self.subject), self.problem)


def _restored(kind: type[MarqueeError], message: str, subject: str, problem: str) -> MarqueeError:
    error = kind.__new__(kind, message)
    error.subject, error.problem = subject, problem
    return error


class StoreError(MarqueeError):
    """A store, a snapshot or the configuration cannot be used."""

    remedy = "look with `python -m store ls`"


class ConfigError(StoreError):
    """A setting is unknown, renamed, of the wrong type or out of range."""

    remedy = (
        "`python -m PACKAGE config --toml` prints every key of batch, stream, serve, store and cron"
    )


class NoSnapshotError(StoreError):
    """Nothing has been published yet, or the generation does not exist."""

    remedy = "build one with `python -m batch refresh`, or look with `python -m store ls`"


class CorruptSnapshotError(StoreError):
    """The directory exists, but is not a complete and undamaged snapshot."""

    remedy = "go back with `python -m store rollback`"


class CorruptRecentError(StoreError):
    """`recent.mdb` exists, but is not a valid file of recent views."""

    remedy = "stop the process that writes it, then remove it: it is optional and fills again"


class CorruptFreshError(StoreError):
    """`fresh.mdb` exists, but is not a valid file of fresh lists."""

    remedy = "stop `python -m stream fresh`, then remove the file: it is optional and fills again"


class IncompatibleSnapshotError(StoreError):
    """The snapshot is complete, but of a format version that this code does not read."""

    remedy = "rebuild with `python -m batch refresh`, or serve it with the version that wrote it"


class PartialSnapshotError(IncompatibleSnapshotError):
    """The snapshot is sound, but a shard that is needed was not pulled to this machine."""

    remedy = (
        "run it where all shards are, or add the shard to [replica] `shards` and pull again; "
        "a server names its shards in [serve] `shards`"
    )


class RefusedSnapshotError(StoreError):
    """The snapshot is complete, but the gate refused it."""

    remedy = "`python -m store show --generation N` lists the failed checks"


class PinnedError(StoreError):
    """The store is pinned, or is not pinned where it has to be."""

    remedy = "unpin it first with `python -m store unpin --why …`"


class ExperimentError(StoreError):
    """An experiment cannot be started, changed or read."""

    remedy = "look with `python -m stream experiment status`"


class NotAnItemError(StoreError):
    """The item id is not valid, or the item is not taken down."""

    remedy = "`python -m store takedown --list` lists the takedowns"


class StoreBusyError(StoreError):
    """Another process is writing to the store."""

    remedy = "wait until it ends, then try again"


class WriteError(StoreError):
    """Something could not be written; the store is unchanged."""

    remedy = "check free disk space and permissions, then run it again"


class SpoolFullError(StoreError):
    """The spool of posted events has reached its limit; nothing was added."""

    remedy = "start `python -m stream collect`, or set a larger spool_mib in [serve]"


class PortError(StoreError):
    """A port of metrics cannot be opened."""

    remedy = "set another metrics_port"


class ReplicaError(StoreError):
    """The remote of a push or a pull cannot be reached, or its content is not valid."""

    remedy = "check the URL and that the remote is reachable, then run it again"


class IncompleteError(ReplicaError):
    """A file of a remote is smaller there than it should be."""


class OversizeError(ReplicaError):
    """A file of a remote is larger than it may be."""

    remedy = "run `push` to it again"


class ServiceError(StoreError):
    """A server does not answer, or not as a server of Marquee does."""

    remedy = "start it with `python -m serve`, or name its address with --url"
