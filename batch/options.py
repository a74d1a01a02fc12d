"""The options of one refresh: its settings of six sections, and what holds for this run alone."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from batch.gate.settings import GateSettings
from batch.report.settings import ReportSettings
from batch.rules.settings import RuleSettings
from batch.settings import BatchSettings
from batch.trust.settings import TrustSettings
from store.config import StoreSettings


@dataclass(frozen=True, slots=True)
class RefreshOptions:
    """Options of a refresh.

    Attributes:
        batch: Inputs, model and parameters.
        rules: Rules of what may be recommended to whom.
        gate: Thresholds that a snapshot must meet to be published.
        store: Number of snapshots to keep.
        override: Reason to publish this snapshot even if the gate refuses it; empty: none.
        at: Time that availability counts from, with its zone; None: now.
        arm: Arm of an experiment that the snapshot is built for; empty: none.
        overrides: Settings of that arm by `section.key`, applied by `batch.arms`.
        parent: Generation to start from and to compare with; None: the current one.
        trust: Limits of the influence of new accounts.
        report: Settings of the report.
    """

    batch: BatchSettings
    rules: RuleSettings
    gate: GateSettings
    store: StoreSettings
    override: str = ""
    at: datetime | None = None
    arm: str = ""
    overrides: dict[str, Any] = field(default_factory=dict)
    parent: int | None = None
    trust: TrustSettings = field(default_factory=TrustSettings)
    report: ReportSettings = field(default_factory=ReportSettings)
