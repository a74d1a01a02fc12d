"""The options of one refresh: its settings of five sections, and what holds for this run alone."""

from dataclasses import dataclass, field
from datetime import datetime

from batch.gate.settings import GateSettings
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
        trust: Limits of the influence of new accounts.
    """

    batch: BatchSettings
    rules: RuleSettings
    gate: GateSettings
    store: StoreSettings
    override: str = ""
    at: datetime | None = None
    trust: TrustSettings = field(default_factory=TrustSettings)
