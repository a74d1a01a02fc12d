"""Deny list: items that are never recommended, by configuration.

    deny = ["some+film+1999"]      in marquee.toml
    deny_file = "deny.txt"         one id a line; blank lines and # comments are ignored

A takedown takes effect at once, the deny list with the next refresh; it can be kept in
version control.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from batch.arrays import Flags
from batch.errors import InputError
from batch.rules.context import RuleContext

_N_SHOWN: Final = 5  # unknown ids named in a warning


def denied_ids(deny: Sequence[str], deny_file: str) -> frozenset[str]:
    """Return the ids of the setting and of the file.

    Raises:
        InputError: The file cannot be read. The refresh stops, because the new lists
            could contain denied items.
    """
    if not deny_file:
        return frozenset(deny)
    path = Path(deny_file)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        remedy = "correct it, or remove it from [rules] deny_file"
        raise InputError(path, f"the deny list cannot be read: {error}", remedy) from error
    named = (line.partition("#")[0].strip() for line in lines)
    return frozenset((*deny, *filter(None, named)))


def denied(item_ids: Collection[str], context: RuleContext) -> Flags:
    """Return (n_items,) whether each item is denied; unknown ids give a warning."""
    if unknown := sorted(set(item_ids).difference(context.existing)):
        shown = ", ".join(unknown[:_N_SHOWN]) + (", …" if len(unknown) > _N_SHOWN else "")
        context.warnings.append(f"deny: {len(unknown):,} of the ids are not items: {shown}")
    return np.array([name in item_ids for name in context.item_ids], np.bool_)
