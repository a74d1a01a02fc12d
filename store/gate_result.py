"""The gate's result: the figure of each check beside its threshold, and the decision.

    users   0.43 of the served snapshot's users, at least 0.9 required   refused
    loss    …                                                            ok

`batch` writes it, the manifest stores it, and publishing reads it: a snapshot
whose result is REFUSED is never made current.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from store.parse import excerpt

PASSED: Final = "passed"
REFUSED: Final = "refused"
OVERRIDDEN: Final = "overridden"
EXIT_REFUSED: Final = 3  # exit status of a refresh whose snapshot was refused

_KEYS: Final = {"result", "checks", "override"}


@dataclass(frozen=True, slots=True)
class GateCheck:
    """One check of the gate.

    Attributes:
        rule: Name of the check, a row of the gate's table in `batch/README.md`.
        figure: Measured value; None if there was nothing to measure.
        threshold: Limit that the figure was compared with.
        is_ok: Whether the snapshot may be published as far as this check goes.
        note: Figure and threshold in words, or why nothing was measured.
    """

    rule: str
    figure: float | None
    threshold: float
    is_ok: bool
    note: str


@dataclass(frozen=True, slots=True)
class GateResult:
    """The gate's decision on one snapshot.

    Attributes:
        checks: Checks in the order in which they ran; none in a snapshot that no gate saw.
        override: Operator's reason to publish in spite of failed checks; empty without one.
    """

    checks: Sequence[GateCheck] = ()
    override: str = ""

    @property
    def refusals(self) -> list[str]:
        """The failed checks in words."""
        return [f"{check.rule}: {check.note}" for check in self.checks if not check.is_ok]

    @property
    def result(self) -> str:
        """PASSED, REFUSED or OVERRIDDEN."""
        if not self.refusals:
            return PASSED
        return OVERRIDDEN if self.override else REFUSED

    @property
    def is_refused(self) -> bool:
        """Whether the snapshot must not be published."""
        return self.result == REFUSED

    @property
    def why(self) -> str:
        """One line for the journal."""
        found = "; ".join(self.refusals)
        if self.result == OVERRIDDEN:
            return f"refresh, gate overridden ({self.override}): {found}"
        return f"gate: {found}" if found else "refresh"

    def as_json(self) -> dict[str, Any]:
        """Return the object under `gate` in `MANIFEST.json`."""
        document: dict[str, Any] = {"result": self.result}
        if self.checks:
            document["checks"] = [asdict(check) for check in self.checks]
        return document | ({"override": self.override} if self.result == OVERRIDDEN else {})

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """Return the gate's result from the object under `gate` in `MANIFEST.json`.

        Args:
            document: Parsed JSON. `checks` may be missing where the result is PASSED:
                the first snapshots of format version 1 have none.

        Raises:
            ValueError: It is not a gate's result, or its result contradicts its checks.
        """
        is_sound = (
            isinstance(document, dict)
            and document.keys() <= _KEYS
            and isinstance(document.get("checks", []), list)
            and isinstance(document.get("override", ""), str)
        )
        if not is_sound:
            raise ValueError(f"gate: {excerpt(document)} is not a gate result")
        checks = tuple(_parse_check(check) for check in document.get("checks", []))
        parsed = cls(checks, document.get("override", ""))
        if document.get("result") != parsed.result:
            raise ValueError(
                f"gate: result is {excerpt(document.get('result'))}, "
                f"but its checks say {parsed.result!r}"
            )
        return parsed


def _parse_check(document: Any) -> GateCheck:
    try:
        check = GateCheck(**document)
    except TypeError as error:
        raise ValueError(f"gate: {excerpt(document)} is not a check") from error
    is_sound = (
        isinstance(check.rule, str)
        and isinstance(check.note, str)
        and isinstance(check.is_ok, bool)
        and type(check.threshold) in (int, float)
        and (check.figure is None or type(check.figure) in (int, float))
    )
    if not is_sound:
        raise ValueError(f"gate: {excerpt(document)} is not a check")
    return check
