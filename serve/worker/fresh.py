"""Fresh lists in answers: those of the served generation, sound and recent enough.

fresh.mdb ─► value ─► damaged, of another generation, too old? ─► the snapshot's list
└─► body without items taken down ─► the answer, `X-Marquee-Source: fresh`
"""

from collections.abc import Set
from zlib import crc32

import lmdb

from serve.worker.headers import Headers
from store.fresh import HEADER_BYTES, SOUND, FreshList, FreshLists, decode, read_header
from store.takedown_filter import FilteredLists


class FreshAnswers:
    """Answers from fresh lists for one served snapshot.

    Attributes:
        lists: Open file.
        get: Lookup of a user's value; py-lmdb's own method until the next tick.
        filter: Bits by the hash of a user id; see `FreshLists`.
        headers: Response headers of such a body, by its length.
        min_made_at: Time in seconds since 1970; older lists are not used.
        n_damaged: Number of damaged lists that were left out.
    """

    __slots__ = (
        "_generation", "_hidden", "_takedowns", "filter", "get", "headers", "lists", "min_made_at",
        "n_damaged",
    )  # fmt: skip

    def __init__(
        self,
        lists: FreshLists,
        generation: int,
        hidden: Set[bytes],
        filtered: FilteredLists | None,
        headers: Headers,
    ) -> None:
        self.lists = lists
        self.get = lists.get
        self.filter = lists.filter
        self.min_made_at = 0.0
        self.n_damaged = 0
        self.headers = headers
        self._generation = generation
        self._hidden = hidden
        self._takedowns = filtered

    def renew(self, min_made_at: float) -> None:
        """Let the next lookups find what has been written since.

        Args:
            min_made_at: Time in seconds since 1970; older lists are not used.

        Raises:
            lmdb.Error: The file cannot be read any more.
        """
        self.min_made_at = min_made_at
        self.lists.renew()
        self.get = self.lists.get
        self.filter = self.lists.filter

    def body(self, user_id: bytes, user_crc: int, value: bytes) -> bytes | None:
        """Return the body in a value; None if it must not be used, or no item is left.

        Args:
            user_id: The user.
            user_crc: CRC-32 of the user id, which the hot path has for the filter.
            value: Value of the user.
        """
        if crc32(value, user_crc) != SOUND:
            self.n_damaged += 1
            return None
        generation, made_at, n_body = read_header(value)
        if generation != self._generation or made_at < self.min_made_at:
            return None
        if self._takedowns is None:
            return value[HEADER_BYTES : HEADER_BYTES + n_body]
        found = self._allowed(decode(user_id, value))
        return found.body if found else None

    def find(self, user_id: bytes) -> FreshList | None:
        """Return a user's fresh list without hidden items; None if none may be used."""
        try:
            value = self.get(user_id)
        except lmdb.Error:  # a damaged page, or closed by a tick: the snapshot's list serves
            return None
        return self._allowed(decode(user_id, value)) if value is not None else None

    def _allowed(self, made: FreshList | None) -> FreshList | None:
        if made is None or made.generation != self._generation or made.made_at < self.min_made_at:
            return None
        if self._takedowns is None or self._hidden.isdisjoint(made.body.split(b",")):
            return made
        body = self._takedowns.without_hidden(made.body, made.spares)
        return made._replace(body=body) if body else None
