"""The lists of a snapshot, opened as plainly as LMDB can be."""

from collections.abc import Callable
from typing import cast

import lmdb


def open_users(recs: str) -> Callable[[bytes], bytes | None]:
    """Return the lookup in table `users` of a `recs.mdb`: one read transaction for ever."""
    environment = lmdb.open(
        recs, subdir=False, readonly=True, lock=False, max_dbs=8, readahead=False
    )
    transaction = environment.begin(db=environment.open_db(b"users", create=False))
    return cast(Callable[[bytes], bytes | None], transaction.get)
