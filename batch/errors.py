"""The batch's family of errors."""

from store.errors import MarqueeError


class BatchError(MarqueeError):
    """The refresh cannot go on; nothing has been published."""

    remedy = "`python -m batch --help` lists the commands and their options"


class InputError(BatchError):
    """An input file cannot be read, or is not what it was given as."""


class RejectedError(BatchError):
    """So much of the input is broken that the rest is not to be trusted."""


class NothingToLearnError(BatchError):
    """The input is sound, but there is nothing in it to recommend from."""


class GateRefusedError(BatchError):
    """The snapshot was built and is kept for inspection, but the gate refused it."""
