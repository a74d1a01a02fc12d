"""Delimited interactions: MovieLens ratings, and pairs of user and item.

196	242	3	881250949            ml-100k u.data       user, item, rating, time
1::1193::5::978300760             ml-1m ratings.dat
1,1,4.0,964982703                 ratings.csv
42	the+matrix+1999               pairs               a view without time or minute
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.events.parsed import RATINGS, Cause, Parsed, reasons_for, to_table, view_table

_FIELD: Final = r"[^\x00-\x20\x7f-\xff,/?#%\"=|]"  # of an id; see store.ids
_NUMBER: Final = r"\d{1,6}(?:\.\d{1,6})?"
_END: Final = r"\r?\n?$"


class DelimitedParser:
    """Parses blocks of lines `user SEPARATOR item [SEPARATOR rating [SEPARATOR time]]`.

    Args:
        separator: Separator of two fields (RE2).
        has_rating: Whether a rating must follow the item; the time is optional.
    """

    def __init__(self, separator: str, *, has_rating: bool) -> None:
        user = f"^(?P<user>{_FIELD}{{1,64}}?){separator}"
        item = f"{user}(?P<item>{_FIELD}{{1,200}}?)"
        rated = f"{item}{separator}(?P<rating>{_NUMBER})"
        after = f"(?:{separator}(?P<at>\\d{{1,12}}))?" if has_rating else ""
        self._has_rating = has_rating
        self._pattern = (rated if has_rating else item) + after + _END
        self._causes = (
            Cause("blank line", r"^\s*$", None),
            Cause("malformed user id", None, user),
            Cause("malformed item id", None, item + (separator if has_rating else _END)),
            Cause("malformed rating", None, rated if has_rating else ""),
            Cause("malformed time", None, None),
        )

    def __call__(self, lines: pa.BinaryArray) -> Parsed:
        """Parse whole lines, line ends included."""
        fields = pc.extract_regex(lines, pattern=self._pattern)
        broken = np.flatnonzero(~fields.is_valid().to_numpy(zero_copy_only=False))
        user, item, *rest = fields.filter(fields.is_valid()).flatten()
        reasons = reasons_for(lines.take(pa.array(broken)), self._causes)
        if not self._has_rating:
            return Parsed(views=view_table(user, item), rejected=broken, reasons=reasons)
        rating, at = rest
        at_or_0 = pc.if_else(pc.equal(at, b""), b"0", at)
        ratings = to_table((user, item, rating, at_or_0), RATINGS)
        return Parsed(ratings=ratings, rejected=broken, reasons=reasons)
