"""Something optional that one refresh does without, as a type of its own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The place of a missing parent snapshot, warm start or trial.

    Attributes:
        reason: Cause of the absence, as the summary and the gate print it.
    """

    reason: str
