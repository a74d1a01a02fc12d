import string
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.ids import ITEM_ID_PATTERN, USER_ID_PATTERN, is_item_id, is_user_id

FORBIDDEN = set(',/?#%"=|')
ALLOWED = "".join(sorted(set(string.printable) - set(string.whitespace) - FORBIDDEN))
KINDS = pytest.mark.parametrize(
    ("is_id", "pattern"), [(is_user_id, USER_ID_PATTERN), (is_item_id, ITEM_ID_PATTERN)]
)
almost_ids = st.text(alphabet=ALLOWED + ',/?#%"=| \t\n\x00\x7fé', max_size=210)


def matches_of_re2(pattern, texts):
    """Return whether each text matches in RE2, anchored as in the batch."""
    return pc.match_substring_regex(pa.array(texts, pa.string()), f"^{pattern}$").to_pylist()


@KINDS
def test_ids_of_one_character_are_the_allowed_ascii(is_id, pattern):
    """`re` and RE2 allow the same 86 characters of Unicode."""
    texts = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
    by_re = [text for text in texts if is_id(text)]
    is_match = matches_of_re2(pattern, texts)
    assert by_re == list(ALLOWED)
    assert by_re == [text for text, found in zip(texts, is_match, strict=True) if found]


@KINDS
@given(texts=st.lists(almost_ids | st.text()))
def test_re_and_re2_agree_on_any_text(is_id, pattern, texts):
    """Batch (RE2) and server (`re`) accept the same ids."""
    assert [is_id(text) for text in texts] == matches_of_re2(pattern, texts)


@given(text=almost_ids | st.text())
def test_no_id_holds_a_character_that_would_need_escaping(text):
    """An id is a path segment, a CSV field and a part of a list without escaping."""
    if is_user_id(text) or is_item_id(text):
        assert set(text) <= set(ALLOWED)


@pytest.mark.parametrize(("is_id", "max_length"), [(is_user_id, 64), (is_item_id, 200)])
def test_an_id_has_at_least_one_character_and_at_most_its_limit(is_id, max_length):
    """Both limits are valid, and the lengths beyond them are not."""
    lengths = [n for n in range(300) if is_id("~" * n)]
    assert lengths == list(range(1, max_length + 1))


@KINDS
def test_an_id_does_not_end_with_a_newline(is_id, pattern):
    """`$` matches before a final newline in `re`, but is not used that way here."""
    assert not is_id("ann\n")
    assert matches_of_re2(pattern, ["ann\n", "ann"]) == [False, True]
