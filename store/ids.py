"""What a user id and an item id may look like, everywhere.

Visible ASCII without blank and without `, / ? # % " = |`: such an id is a
path segment, a CSV field, an LMDB key and a place in an answer line as it
stands, with nothing to escape. The event stream's own patterns are stricter.
"""

import re
from typing import Final

_CHARACTER: Final = r"[!$&-+\-.0-<>@-{}~]"  # understood alike by `re` and by RE2

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
    """Tell whether `text` may name a user."""
    return _USER_ID.fullmatch(text) is not None


def is_item_id(text: str) -> bool:
    """Tell whether `text` may name an item."""
    return _ITEM_ID.fullmatch(text) is not None
