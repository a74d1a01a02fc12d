"""The form of user ids and item ids in every package.

Visible ASCII without blank and without `, / ? # % " = |`: such an id is a path
segment, a CSV field, an LMDB key and a part of an answer without escaping. The
event stream's own patterns are stricter.
"""

import re
from collections.abc import Collection
from typing import Final

from store.errors import StoreError

_CHARACTER: Final = r"[!$&-+\-.0-<>@-{}~]"  # the same in `re` and in RE2

USER_ID_PATTERN: Final = _CHARACTER + "{1,64}"
ITEM_ID_PATTERN: Final = _CHARACTER + "{1,200}"

_USER_ID: Final = re.compile(USER_ID_PATTERN)
_ITEM_ID: Final = re.compile(ITEM_ID_PATTERN)

USER_ID_RULE: Final = (
    'a user id is 1 to 64 visible ASCII characters without blank and without , / ? # % " = |'
)
ITEM_ID_RULE: Final = (
    'an item id is 1 to 200 visible ASCII characters without blank and without , / ? # % " = |'
)


def is_user_id(text: str) -> bool:
    """Return whether `text` is a valid user id."""
    return _USER_ID.fullmatch(text) is not None


def check_user_ids(user_ids: Collection[str]) -> None:
    """Check the form of user ids.

    Raises:
        StoreError: One is not valid.
    """
    for user_id in user_ids:
        if not is_user_id(user_id):
            raise StoreError(repr(user_id), "is not a valid user id", USER_ID_RULE)


def is_item_id(text: str) -> bool:
    """Return whether `text` is a valid item id."""
    return _ITEM_ID.fullmatch(text) is not None
