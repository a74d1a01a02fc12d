"""Deny list: items that nobody is ever recommended, by configuration.

    deny = ["some+film+1999"]      in marquee.toml
    deny_file = "deny.txt"         one id a line; blank lines and # remarks are passed over

A takedown works at once, this with the next refresh; it can lie in version control.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from batch.arrays import Flags
from batch.errors import InputError
from batch.rules.context import RuleContext

_SHOWN: Final = 5


def denied_ids(deny: Sequence[str], deny_file: str) -> frozenset[str]:
    """Return the ids of both places.

    Raises:
        InputError: The file cannot be read. Better the old lists than ones with
            items in them that were to be left out.
    """
    if not deny_file:
        return frozenset(deny)
    path = Path(deny_file)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        way_out = "put it right, or take it out of [rules] deny_file"
        raise InputError(path, f"the deny list cannot be read: {error}", way_out) from error
    named = (line.partition("#")[0].strip() for line in lines)
    return frozenset((*deny, *filter(None, named)))


def denied(item_ids: Collection[str], known: RuleContext) -> Flags:
    """Return (n_items,) whether each item is denied; warn of ids that no item has."""
    if unknown := sorted(set(item_ids).difference(known.existing)):
        shown = ", ".join(unknown[:_SHOWN]) + (", …" if len(unknown) > _SHOWN else "")
        known.warnings.append(f"deny: {len(unknown):,} of the ids are no items: {shown}")
    return np.array([name in item_ids for name in known.item_ids], np.bool_)
