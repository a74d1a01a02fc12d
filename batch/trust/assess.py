"""The assessment: whose interactions models learn from tonight, and what is limited.

interactions, accounts ─► ages ─► influence ─► trusted interactions, left out
                            └────────────────► unsupported items ─► limits of lists
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Rows
from batch.interactions.build import Interactions
from batch.trust.ages import MIN_SPAN_DAYS, Ages, ages_of
from batch.trust.growth import unsupported_items
from batch.trust.influence import influence_of
from batch.trust.left_out import LeftOut, leave_out
from batch.trust.settings import TrustSettings
from batch.trust.suspects import Suspects, find_suspects
from batch.trust.trusted import SuspectId, TrustedIds

_MAX_NAMED: Final = 5  # items in a warning
_NOTHING: Final = TrustedIds()


@dataclass(frozen=True, slots=True)
class Assessment:
    """The result of the stage.

    Attributes:
        left_out: Interactions that are not learned from; None: all are.
        unsupported: Rows of the items whose growth is limited, ascending.
        document: Figures for the manifest.
        note: Sentence for the summary about ages and influence.
        warnings: Warnings for the summary, a sentence each.
        suspects: Items that somebody seems to push, and accounts that weigh nothing tonight.
        young_since: Time after which the accounts begin whose influence is bounded, seconds
            since 1970; None: no account's is.
        has_old: Whether there are accounts from before `young_since`.
    """

    left_out: LeftOut | None
    unsupported: Rows
    document: dict[str, Any]
    note: str
    warnings: tuple[str, ...] = ()
    suspects: tuple[SuspectId, ...] = ()
    young_since: int | None = None
    has_old: bool = True

    @property
    def why_sample_alone(self) -> str:
        """Reason why nobody beside the assessed accounts may be trained on; empty: none."""
        if self.suspects:
            return "somebody seems to push items, perhaps from accounts outside the sample, too"
        return "" if self.has_old else "all accounts of the sample are young"


def assess(
    interactions: Interactions,
    accounts: pa.Table,
    settings: TrustSettings,
    *,
    not_after: datetime,
    trusted: TrustedIds = _NOTHING,
    seed: int,
) -> tuple[Interactions, Assessment]:
    """Return the interactions to learn from, and the assessment.

    Args:
        interactions: All interactions.
        accounts: Creations of accounts, with the columns of `parsed.ACCOUNTS`.
        settings: Limits of the influence.
        not_after: Time after which an event has a wrong clock.
        trusted: Items and accounts without limits.
        seed: Random seed.
    """
    if not (settings.bounded or settings.detection):
        return interactions, Assessment(None, np.zeros(0, np.int64), {"ages": "off"}, "off")
    ages = ages_of(interactions, accounts, not_after)
    suspects = Suspects()
    if settings.detection:
        suspects = find_suspects(interactions, ages, settings, trusted, seed)
    user_rows = _rows_of(interactions.user_ids, trusted.users)
    item_rows = _rows_of(interactions.item_ids, trusted.items)
    influence = influence_of(
        interactions, ages, settings, suspects.user_rows, suspects.item_rows
    ).without_limits(user_rows, item_rows)
    positions = influence.left_out(interactions.weights, seed)
    left_out = None
    if len(positions):
        interactions, left_out = leave_out(interactions, positions)
    unsupported = unsupported_items(interactions, ages, settings)
    unsupported = np.setdiff1d(unsupported, item_rows)
    is_young = ages.days < settings.young_days
    pushed = suspects.document(interactions)
    document = {
        "ages": ages.source,
        "n_young": int(is_young.sum()),
        "n_left_out": len(positions),
        "unsupported_items": interactions.item_ids.take(pa.array(unsupported)).to_pylist(),
        "suspects": pushed,
        "n_suspect_accounts": len(suspects.user_rows),
    }
    warnings = tuple(_suspect_warnings(pushed, len(suspects.user_rows)))
    return interactions, Assessment(
        left_out,
        unsupported,
        document,
        _note(ages, document, suspects),
        warnings,
        tuple(suspects.ids(interactions)),
        _young_since(ages, settings),
        not is_young.all(),
    )


def _young_since(ages: Ages, settings: TrustSettings) -> int | None:
    is_bounded = settings.bounded and ages.are_known
    return ages.since(settings.young_days) if is_bounded else None


def _rows_of(ids: pa.StringArray, names: frozenset[str]) -> Rows:
    """Return the rows of the ids among these names, ascending."""
    found = pc.index_in(pa.array(sorted(names), pa.string()), value_set=ids).drop_null()
    return np.sort(found.to_numpy().astype(np.int64))


def _note(ages: Ages, document: dict[str, Any], suspects: Suspects) -> str:
    if not ages.are_known:
        why = f"no account is known to be new, and the events span less than {MIN_SPAN_DAYS} days"
        note = f"the rules on age are off: {why}"
    else:
        note = (
            f"ages from {ages.source}; {document['n_young']:,} young accounts, "
            f"{document['n_left_out']:,} interactions without influence"
        )
    return f"{note}; suspects not looked for: {suspects.note}" if suspects.note else note


def _suspect_warnings(document: list[dict[str, Any]], n_accounts: int) -> list[str]:
    if not document:
        return []
    names = ", ".join(item["item"] for item in document[:_MAX_NAMED])
    more = f" and {len(document) - _MAX_NAMED:,} more" if len(document) > _MAX_NAMED else ""
    n_half = sum(item["weight"] < 1 for item in document)
    return [
        f"trust: {len(document):,} item(s) seem to be pushed: {names}{more}; {n_half:,} weigh half "
        f"tonight, and {n_accounts:,} account(s) nothing; `python -m batch trust list` says why"
    ]
