"""The batch's one family of errors: what, where, and the way out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final


class BatchError(Exception):
    """The refresh cannot go on; nothing has been published."""

    def __init__(self, thing: Path | str, what: str, way_out: str) -> None:
        super().__init__(f"{thing}: {what} ({way_out})")


class InputError(BatchError):
    """An input file cannot be read, or is not what it was given as."""


class RejectedError(BatchError):
    """So much of the input is broken that the rest is not to be trusted."""


class NothingToLearnError(BatchError):
    """The input is sound, but there is nothing in it to recommend from."""


class GateRefusedError(BatchError):
    """The snapshot was built and is kept for a look, but the gate did not let it be served.

    Attributes:
        STATUS: The refresh's exit status then; the clock knows it, and does not try again
            what would be refused again.
    """

    STATUS: Final = 3

    def __init__(self, generation: int, refusals: Sequence[str]) -> None:
        super().__init__(
            f"generation {generation}",
            f"the gate refused it: {'; '.join(refusals)}; what was served goes on being served",
            f"look at it with `python -m store show --generation {generation}`; "
            "to publish such a one once: "
            'python -m batch refresh --override-gate "why", the rest as before',
        )
