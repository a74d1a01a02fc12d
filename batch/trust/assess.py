"""The assessment: whose interactions models learn from tonight, and what is limited.

interactions, accounts ─► ages ─► influence ─► trusted interactions, left out
                            └────────────────► unsupported items ─► limits of lists
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from batch.arrays import Rows
from batch.interactions.build import Interactions
from batch.trust.ages import Ages, ages_of
from batch.trust.growth import unsupported_items
from batch.trust.influence import influence_of
from batch.trust.left_out import LeftOut, leave_out
from batch.trust.settings import TrustSettings


@dataclass(frozen=True, slots=True)
class Assessment:
    """The result of the stage.

    Attributes:
        left_out: Interactions that are not learned from; None: all are.
        unsupported: Rows of the items whose growth is limited, ascending.
        document: Figures for the manifest.
        note: Sentence for the summary about the rules on age.
    """

    left_out: LeftOut | None
    unsupported: Rows
    document: dict[str, Any]
    note: str


def assess(
    interactions: Interactions,
    accounts: pa.Table,
    settings: TrustSettings,
    *,
    not_after: datetime,
    seed: int,
) -> tuple[Interactions, Assessment]:
    """Return the interactions to learn from, and the assessment.

    Args:
        interactions: All interactions.
        accounts: Creations of accounts, with the columns of `parsed.ACCOUNTS`.
        settings: Limits of the influence.
        not_after: Time after which an event has a wrong clock.
        seed: Random seed.
    """
    nothing = np.zeros(0, np.int64)
    if not (settings.bounded or settings.detection):
        return interactions, Assessment(None, nothing, {"ages": "off"}, "")
    ages = ages_of(interactions, accounts, not_after)
    influence = influence_of(interactions.weights, ages, settings, nothing, nothing)
    positions = influence.left_out(interactions.weights, seed)
    left_out = None
    if len(positions):
        interactions, left_out = leave_out(interactions, positions)
    unsupported = unsupported_items(interactions.weights, ages, settings)
    ids = interactions.item_ids.take(pa.array(unsupported)).to_pylist()
    document = {
        "ages": ages.source,
        "n_young": int((ages.days < settings.young_days).sum()),
        "n_left_out": len(positions),
        "unsupported_items": ids,
    }
    return interactions, Assessment(left_out, unsupported, document, _note(ages, settings))


def _note(ages: Ages, settings: TrustSettings) -> str:
    if not settings.bounded or ages.are_known:
        return ""
    return (
        "trust: the rules on age are off: the events have no `create_account`, and span less than "
        "30 days"
    )
