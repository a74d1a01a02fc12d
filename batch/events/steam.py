"""Steam's purchases and playing times, as published on Kaggle (`steam-200k.csv`, no header).

    151603712,"The Elder Scrolls V Skyrim",purchase,1.0,0      bought: 0 hours
    151603712,"The Elder Scrolls V Skyrim",play,273.0,0        played for 273 hours

Both rows of a game become one interaction. The 1.0 of a purchase and the last column, always
0, say nothing. Games have no ids but names, of which ids are made, one for each name:

    The Elder Scrolls V Skyrim     The+Elder+Scrolls+V+Skyrim
    Warhammer 40,000 Dawn of War   Warhammer+40~2C000+Dawn+of+War
"""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.events.kinds import EventKind, TextReader
from batch.events.parsed import Cause, reasons_for
from batch.events.rows import EventRows, rows_parser
from batch.files.input_file import InputFile
from batch.settings import BatchSettings
from store.ids import USER_ID_PATTERN, is_item_id

_KIND: Final = "Steam purchases and playing times"
_NOTE: Final = "ids are made of the names of games, such as Team+Fortress+2"
_SHORTEST: Final = "1,1,play,1\n"
_USER: Final = rf"^(?P<user>{USER_ID_PATTERN}),"
_GAME: Final = rf'{_USER}(?:"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>[^",]+)),'
_BEHAVIOR: Final = rf"{_GAME}(?P<behavior>purchase|play),"
_LINE: Final = rf"{_BEHAVIOR}(?P<hours>\d{{1,6}}(?:\.\d{{1,6}})?)(?:,0)?\s*$"
_CAUSES: Final = (
    Cause("blank line", r"^\s*$", None),
    Cause("malformed user id", None, _USER),
    Cause("malformed item id", None, _GAME),
    Cause("neither purchase nor play", None, _BEHAVIOR),
    Cause("malformed hours", None, None),
)
_ANY_LINE: Final = re.compile(r"^[^,]+,.+,(?:purchase|play),\d+(?:\.\d+)?(?:,0)?\s*$")
_KEPT: Final = frozenset(map(ord, filter(is_item_id, map(chr, range(128))))) - frozenset(b"+~")


def read_steam(lines: pa.BinaryArray) -> EventRows:
    """Return a row of user, item and hours for each whole line."""
    fields = pc.extract_regex(lines, pattern=_LINE)
    is_row = fields.is_valid().to_numpy(zero_copy_only=False)
    user, quoted, plain, behavior, hours = fields.filter(pa.array(is_row)).flatten()
    name = pc.if_else(pc.equal(quoted, b""), plain, quoted).dictionary_encode()
    ids = pa.array([_item_id(game) for game in name.dictionary.to_pylist()], pa.string())
    played = pc.if_else(pc.equal(behavior, b"play"), hours, b"0").cast(pa.string())
    table = pa.table(
        {
            "user": user.cast(pa.string()),
            "item": pa.DictionaryArray.from_arrays(name.indices, ids),
            "hours": played.cast(pa.float64()),
        }
    )
    broken = np.flatnonzero(~is_row)
    reasons = reasons_for(lines.take(pa.array(broken)), _CAUSES)
    return EventRows(table, np.flatnonzero(is_row), broken, reasons)


def steam(settings: BatchSettings) -> EventKind:
    """Return the kind of Steam's purchases and playing times."""

    def n_matches(lines: Sequence[str]) -> int:
        return sum(bool(_ANY_LINE.match(line)) for line in lines)

    def open_lines(file: InputFile, lines: Sequence[str]) -> TextReader:
        parser = rows_parser(file, lambda: read_steam, lines, settings)
        return TextReader(_KIND, parser, len(_SHORTEST), notes=(_NOTE, *parser.notes))

    return EventKind(_KIND, '151603712,"Team Fortress 2",play,9.5,0', n_matches, open_lines)


def _item_id(name: bytes) -> str:
    """Return the id of a game: `+` for a blank, `~` and two digits for what no id may have."""
    characters = name.replace(b'""', b'"')
    return "".join(
        chr(byte) if byte in _KEPT else "+" if byte == ord(" ") else f"~{byte:02X}"
        for byte in characters
    )
