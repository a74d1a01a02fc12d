"""The verdict: each rule's figure beside its threshold, and what follows from them.

users      0.43 of the served snapshot's, at least 0.9 wanted     refused
loss       …                                                      ok
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

PASSED: Final = "passed"
REFUSED: Final = "refused"
OVERRIDDEN: Final = "overridden"
EXIT_REFUSED: Final = 3  # exit status of a refresh whose snapshot was refused


@dataclass(frozen=True, slots=True)
class GateCheck:
    """What one rule found.

    Attributes:
        rule: Its name, as in the README.
        figure: What was measured; None if it could not be.
        threshold: What it was held against.
        is_ok: Whether the snapshot may pass.
        note: Both in words, or why nothing was measured.
    """

    rule: str
    figure: float | None
    threshold: float
    is_ok: bool
    note: str


@dataclass(frozen=True, slots=True)
class GateResult:
    """What the gate said.

    Attributes:
        checks: Of each rule, in their order.
        override: Why the operator lets it pass whatever the rules say; empty if not.
    """

    checks: Sequence[GateCheck]
    override: str = ""

    @property
    def refusals(self) -> list[str]:
        """What speaks against publishing, in words."""
        return [f"{check.rule}: {check.note}" for check in self.checks if not check.is_ok]

    @property
    def result(self) -> str:
        """PASSED, REFUSED or OVERRIDDEN."""
        if not self.refusals:
            return PASSED
        return OVERRIDDEN if self.override else REFUSED

    @property
    def why(self) -> str:
        """One line for the journal."""
        found = "; ".join(self.refusals)
        if self.result == OVERRIDDEN:
            return f"refresh, gate overridden ({self.override}): {found}"
        return f"gate: {found}" if found else "refresh"

    def as_json(self) -> dict[str, Any]:
        """Return what stands in the manifest."""
        document = {"result": self.result, "checks": [asdict(check) for check in self.checks]}
        return document | ({"override": self.override} if self.result == OVERRIDDEN else {})
