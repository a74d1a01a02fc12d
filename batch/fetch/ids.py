"""The users and items that events name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from batch.events.parsed import Parsed
from batch.events.read import read_pieces
from batch.settings import BatchSettings

_TABLES: Final = ("views", "ratings", "accounts", "answers")


@dataclass(frozen=True, slots=True)
class NamedIds:
    """Distinct ids of events.

    Attributes:
        users: Users with a view or a rating, a new account, or a recommendation request.
        items: Items with a view or a rating.
    """

    users: set[str] = field(default_factory=set)
    items: set[str] = field(default_factory=set)

    def add(self, parsed: Parsed) -> None:
        """Add the ids of a piece of a file."""
        for name in _TABLES:
            table: pa.Table = getattr(parsed, name)
            self.users.update(table["user_id"].unique().to_pylist())
            if "item_id" in table.column_names:
                self.items.update(table["item_id"].unique().to_pylist())


def named_ids(settings: BatchSettings, on_lines: Callable[[int], object]) -> NamedIds:
    """Read the ids of all events that the settings name.

    Args:
        settings: Settings of the batch.
        on_lines: Function that is called with the number of lines of each block.

    Raises:
        BatchError: No events are named, or a file is missing, broken or empty.
    """
    found = NamedIds()
    read_pieces(settings, found.add, on_lines=on_lines)
    return found
