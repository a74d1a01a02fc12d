"""Users with all of their items on one line, as LightGCN's published splits have them.

0 17 4 233          user 0 has the items 17, 4 and 233
1 4
2                   user 2 has no item in this file, which is not an error

Each pair is a view without minute and time.
"""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.events.kinds import EventKind, TextReader
from batch.events.parsed import Cause, Parsed, reasons_for, view_table
from store.ids import ITEM_ID_PATTERN, USER_ID_PATTERN

_KIND: Final = "users with their items"
BLANK: Final = "blank line"
_USER: Final = rf"^[ \t]*{USER_ID_PATTERN}"
_LINE: Final = rf"{_USER}(?:[ \t]+{ITEM_ID_PATTERN})*\s*$"
_CAUSES: Final = (
    Cause(BLANK, r"^\s*$", None),
    Cause("malformed user id", None, rf"{_USER}(?:\s|$)"),
    Cause("malformed item id", None, None),
)
# Prose has words without numbers; `user item rating time` has as many words on every line.
_NUMBERED: Final = re.compile(r"^\s*[A-Za-z_.:-]{0,8}\d+(?:[ \t]+[A-Za-z_.:-]{0,8}\d+)*\s*$")
_MIN_SHARE: Final = 0.9
_MAX_COLUMNS: Final = 4  # user, item, rating, time


def parse_item_lists(lines: pa.BinaryArray) -> Parsed:
    """Parse whole lines, line ends included; a line with a broken id is rejected whole."""
    is_sound = pc.match_substring_regex(lines, _LINE)
    sound = lines.filter(is_sound).cast(pa.string())
    words = pc.split_pattern_regex(pc.utf8_trim_whitespace(sound), r"[ \t]+")
    n_words = pc.list_value_length(words).to_numpy()
    word, begins = words.flatten(), np.cumsum(n_words) - n_words
    is_item = np.ones(len(word), dtype=bool)
    is_item[begins] = False
    user = word.take(pa.array(np.repeat(begins, n_words - 1)))
    broken = np.flatnonzero(~is_sound.to_numpy(zero_copy_only=False))
    reasons = reasons_for(lines.take(pa.array(broken)), _CAUSES)
    views = view_table(user, word.filter(pa.array(is_item)))
    return Parsed(views=views, rejected=broken, reasons=reasons)


def item_lists() -> EventKind:
    """Return the kind of lines of a user and their items."""
    reader = TextReader(_KIND, parse_item_lists, len("1\n"))
    return EventKind(_KIND, "0 17 4 233", n_item_lists, lambda *_: reader)


def n_item_lists(lines: Sequence[str]) -> int:
    """Return how many of a file's first lines are a user and their items; 0 for other files.

    They are if nearly all lines are words with a number, if no two begin with the same word,
    and if the numbers of words are not those of a table with `_MAX_COLUMNS` columns.
    """
    filled = [line for line in lines if line.strip()]
    matching = [line.split() for line in filled if _NUMBERED.match(line)]
    users = {words[0] for words in matching}
    n_words = {len(words) for words in matching}
    is_other = not len(users) == len(matching) > _MIN_SHARE * len(filled)
    if is_other or (len(n_words) == 1 and max(n_words) <= _MAX_COLUMNS):
        return 0
    return len(matching)
