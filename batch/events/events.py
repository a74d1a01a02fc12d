"""All events of a refresh: views, folded from time to time, and ratings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from batch.events.fold import fold_views
from batch.events.parsed import ACCOUNTS, RATINGS, VIEWS, Parsed
from batch.memory import release_free_memory
from batch.sql.source import DatabaseInput

FOLD_ROWS: Final = 2_000_000
# Views are folded when the unfolded rows exceed `fold_rows` and this multiple of the folded
# ones: often where folding removes many rows, to save memory; else rarely, to save time.
_RATIO_IF_EFFECTIVE: Final = 0.5
_RATIO_IF_NOT: Final = 4.0
_MAX_EFFECTIVE_SHARE: Final = 0.8  # folding is effective if at most this share of the rows is left


@dataclass(frozen=True, slots=True)
class EventFile:
    """A file of events that was read.

    Attributes:
        path: Path of the file, or the table or query.
        kind: Name of its kind.
        n_lines: Number of lines, or of rows, without a header.
        n_rejected: Number of rejected lines among them.
        notes: Sentences about what the file was read as: guesses, meanings, warnings.
        member: Name in the archive that it is in; empty for a file of its own.
        columns: Name of the column of each role that is read; empty if there are no columns.
    """

    path: Path | DatabaseInput
    kind: str
    n_lines: int
    n_rejected: int
    notes: tuple[str, ...] = ()
    member: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Events:
    """Events of all files.

    Attributes:
        views: Table with the columns of `parsed.VIEWS`; one row a (user, item) where folding
            is effective, else some pairs have several.
        ratings: Table with the columns of `parsed.RATINGS`, one row a rating.
        n_accounts: Number of new accounts.
        n_answers: Number of answered or failed recommendation requests.
        sources: Files, in the order in which they were read.
        not_read: Reason why each other member of an archive was not read, by its name.
        accounts: Table with the columns of `parsed.ACCOUNTS`, one row a new account.
    """

    views: pa.Table
    ratings: pa.Table
    n_accounts: int
    n_answers: int
    sources: tuple[EventFile, ...]
    not_read: dict[str, str] = field(default_factory=dict)
    accounts: pa.Table = field(default_factory=ACCOUNTS.empty_table)

    def pop_tables(self) -> tuple[pa.Table, pa.Table]:
        """Return views and ratings, which are empty here afterwards.

        They take gigabytes: who turns them into something else frees them column by column.
        """
        tables = self.views, self.ratings
        self.views, self.ratings = VIEWS.empty_table(), RATINGS.empty_table()
        return tables


class EventCollector:
    """Collects views and ratings of all files, and folds the views from time to time.

    Args:
        fold_rows: Least number of unfolded views that are folded.
    """

    def __init__(self, fold_rows: int = FOLD_ROWS) -> None:
        self._fold_rows = fold_rows
        self._folded = VIEWS.empty_table()
        self._views: list[pa.Table] = []
        self._ratings = [RATINGS.empty_table()]
        self._accounts = [ACCOUNTS.empty_table()]
        self._n_accounts = self._n_answers = self._n_unfolded = 0
        self._is_effective = True

    def add(self, parsed: Parsed) -> None:
        """Add the events of one piece of a file."""
        self._n_accounts += parsed.n_accounts
        self._n_answers += parsed.n_answers
        self._ratings.append(parsed.ratings)
        self._accounts.append(parsed.accounts)
        self._views.append(parsed.views)
        self._n_unfolded += parsed.views.num_rows
        ratio = _RATIO_IF_EFFECTIVE if self._is_effective else _RATIO_IF_NOT
        if self._n_unfolded > max(self._fold_rows, ratio * self._folded.num_rows):
            self._fold()

    def events(
        self, sources: tuple[EventFile, ...], not_read: dict[str, str] | None = None
    ) -> Events:
        """Return all events; the collector is empty afterwards."""
        if self._is_effective:
            self._fold()
        return Events(
            pa.concat_tables(self._pop_views()),
            pa.concat_tables(self._ratings).unify_dictionaries(),
            self._n_accounts,
            self._n_answers,
            sources,
            not_read or {},
            pa.concat_tables(self._accounts).unify_dictionaries(),
        )

    def _fold(self) -> None:
        n_rows = self._folded.num_rows + self._n_unfolded
        release_free_memory()  # of parsing, before as much is needed again
        self._folded = fold_views(pa.concat_tables(self._pop_views()))  # holds the only reference
        self._is_effective = self._folded.num_rows <= _MAX_EFFECTIVE_SHARE * n_rows
        self._n_unfolded = 0
        release_free_memory()

    def _pop_views(self) -> list[pa.Table]:
        """Return all views and drop the collector's references to them."""
        views, self._views = [self._folded, *self._views], []
        self._folded = VIEWS.empty_table()
        return views
