"""Everything that was read of all files: views, folded now and then, and ratings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from batch.events.fold import fold_views
from batch.events.parsed import RATINGS, VIEWS, Parsed

# Views are folded when so many rows have come together, and at least this multiple of what is
# folded already: soon where folding pays, for the memory; late where it does not, for the time.
_FOLD_ROWS: Final = 2_000_000
_SOON: Final = 0.5
_LATE: Final = 4.0
_PAYS: Final = 0.8  # of the rows are left, or fewer


@dataclass(frozen=True, slots=True)
class Source:
    """What was read from one file.

    Attributes:
        path: The file.
        kind: As what it was read.
        n_lines: Lines, or rows; a header is none.
        n_rejected: Of these, the rejected ones.
    """

    path: Path
    kind: str
    n_lines: int
    n_rejected: int


@dataclass(frozen=True, slots=True)
class Events:
    """Everything that was read.

    Attributes:
        views: `parsed.VIEWS`; where folding pays one row a (user, item), else here and there
            more.
        ratings: `parsed.RATINGS`, one row a rating.
        n_accounts: New accounts.
        n_answers: Answered or failed recommendation requests.
        sources: What came from where.
    """

    views: pa.Table
    ratings: pa.Table
    n_accounts: int
    n_answers: int
    sources: tuple[Source, ...]


class Taken:
    """Takes views and ratings of all files; the views are folded now and then."""

    def __init__(self) -> None:
        self._folded = VIEWS.empty_table()
        self._views: list[pa.Table] = []
        self._ratings = [RATINGS.empty_table()]
        self._n_accounts = self._n_answers = self._n_unfolded = 0
        self._patience = _SOON

    def take(self, parsed: Parsed) -> None:
        """Take the events of one piece of a file."""
        self._n_accounts += parsed.n_accounts
        self._n_answers += parsed.n_answers
        self._ratings.append(parsed.ratings)
        self._views.append(parsed.views)
        self._n_unfolded += parsed.views.num_rows
        if self._n_unfolded > max(_FOLD_ROWS, self._patience * self._folded.num_rows):
            self._fold()

    def events(self, sources: tuple[Source, ...]) -> Events:
        """Return all that was taken, which is forgotten here."""
        if self._patience == _SOON:
            self._fold()
        return Events(
            pa.concat_tables(self._all_views()),
            pa.concat_tables(self._ratings).unify_dictionaries(),
            self._n_accounts,
            self._n_answers,
            sources,
        )

    def _fold(self) -> None:
        n_rows = self._folded.num_rows + self._n_unfolded
        self._folded = fold_views(pa.concat_tables(self._all_views()))  # which alone holds them
        self._patience = _SOON if self._folded.num_rows <= _PAYS * n_rows else _LATE
        self._n_unfolded = 0

    def _all_views(self) -> list[pa.Table]:
        """Give away all views."""
        views, self._views = [self._folded, *self._views], []
        self._folded = VIEWS.empty_table()
        return views
