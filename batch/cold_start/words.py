"""Words of free text and of titles in a comparable form, and the common words among them.

"I loved Amélie & the Fly!"  ─►  i  loved  amelie  and  the  fly
"""

import re
import unicodedata
from typing import Final, NamedTuple

ARTICLES: Final = frozenset(("the", "a", "an"))

# Words of any sentence, and words of any sentence about films.
_COMMON: Final = (
    "a about above after again against ago all almost also always am among an and another any "
    "anything are around as at away back be because been before being below best better between "
    "big both but by can come could day did do does done down during each either else end "
    "enough even ever every everything few first for from fun funny get girl give go going gone "
    "good got great had has have he her here hers him his home how i if im in into is it its "
    "just know last let life like liked likes little long look lot lots love loved loves made "
    "make man many may me men mine more most much must my myself never new next nice night no "
    "none nor not nothing now of off often old on once one only or other our out over own "
    "people please really s same say scary see seen she should show so some someone something "
    "soon still story such t take than that the their them then there these they thing things "
    "think this those three through time to today together too tv two under until up us very "
    "want was watch watched way we well were what when where which while who whole why will "
    "with without woman women world would yes yet you young your action adventure bad classic "
    "comedy drama favorite favorites favourite favourites fiction film films genre genres hate "
    "hated horror kind kinds movie movies romance science stories thriller "
)
# A title of these alone ("It", "Now and Then", "Scary Movie") is found only where it is marked.
COMMON_WORDS: Final = frozenset(_COMMON.split())
_WORD: Final = re.compile(r"[^\W_]+")
_APOSTROPHE: Final = re.compile(r"(?<=\w)['’`](?=\w)")


class Word(NamedTuple):
    """One word of a text with its context.

    Attributes:
        text: The word in lower case, without accents.
        is_capital: Whether its first letter is a capital and the others are not all capitals.
        before: Characters between the previous word and this one.
    """

    text: str
    is_capital: bool
    before: str


def words_in(text: str) -> list[Word]:
    """Return the words of a text, "ocean's" as one of them, and `&` as "and".

    The last word is empty: it marks the end, with the characters before it.
    """
    plain = _APOSTROPHE.sub("", text).replace("&", " and ")
    if not plain.isascii():
        letters = unicodedata.normalize("NFKD", plain)
        plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    end, words = 0, []
    for found in _WORD.finditer(plain):
        word = found[0]
        is_capital = word[0].isupper() and (len(word) == 1 or not word[1:].isupper())
        words.append(Word(word.casefold(), is_capital, plain[end : found.start()]))
        end = found.end()
    return [*words, Word("", is_capital=False, before=plain[end:])]
