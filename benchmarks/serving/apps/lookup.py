"""The lists of a snapshot, opened with plain LMDB."""

from collections.abc import Callable
from typing import cast

import lmdb


def open_users(recs: str) -> Callable[[bytes], bytes | None]:
    """Return the lookup in table `users` of a `recs.mdb`, in one permanent read transaction."""
    environment = lmdb.open(
        recs, subdir=False, readonly=True, lock=False, max_dbs=8, readahead=False
    )
    transaction = environment.begin(db=environment.open_db(b"users", create=False))
    return cast(Callable[[bytes], bytes | None], transaction.get)
