"""The errors of the batch."""

from collections.abc import Mapping
from types import MappingProxyType

from store.errors import MarqueeError


class BatchError(MarqueeError):
    """A command of the batch cannot be completed; nothing has been published."""

    remedy = "`python -m batch --help` lists the commands and their options"


class InputError(BatchError):
    """An input file cannot be read, or has the wrong format."""


class DatabaseError(BatchError):
    """A database cannot be reached, read or written."""

    remedy = "check that the server runs, and the URL, the user and the password"


class UnreadKindError(InputError):
    """An input file is of a kind that is not read; in an archive, such files are left out.

    Attributes:
        members: Reason why each member of an archive is not read, by its name.
    """

    def __init__(
        self,
        subject: object,
        problem: str,
        remedy: str | None = None,
        members: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(subject, problem, remedy)
        self.members = members


class RejectedError(BatchError):
    """Too much of the input is broken to rely on the rest."""


class NothingToLearnError(BatchError):
    """The input is valid, but has too few users or items to train on."""


class SecondStageError(BatchError):
    """The second stage cannot be trained: LightGBM is not installed, or data is missing.

    Attributes:
        reason: Cause, as the manifest says it.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__("[batch] second_stage", reason, remedy)
        self.reason = reason


class NotForgottenError(BatchError):
    """A user to forget is unknown, or a file that is not rewritten may still name one."""

    remedy = "check the id, and remove the lines from the files that are listed"


class EngineError(BatchError):
    """Spark, Java or the master of the cluster is missing, or a job on it has failed."""

    remedy = 'look into the output of Spark above; `[batch] engine = "local"` does without'


class FetchError(BatchError):
    """An API has not answered, or not in the expected form; earlier answers are kept."""

    remedy = "run it again later: only what is missing is asked for"

    def __init__(self, subject: object, problem: str, remedy: str | None = None) -> None:
        super().__init__(subject, problem, remedy)
        self.problem = problem
        self.advice = remedy or self.remedy


class TrackingError(BatchError):
    """A system that records refreshes cannot be reached, or refuses a record."""

    remedy = "check [tracking]; `python -m batch track` delivers what is missing"


class MemoryLimitError(BatchError):
    """A model takes more memory than is available."""


class CapacityError(BatchError):
    """A refresh needs more memory or disk than the machine has."""


class GateRefusedError(BatchError):
    """The snapshot was built and is kept for inspection, but the gate refused it."""
