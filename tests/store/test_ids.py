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


def judged_by_re2(pattern, texts):
    """Judge as the batch does: anchored, and by RE2."""
    return pc.match_substring_regex(pa.array(texts, pa.string()), f"^{pattern}$").to_pylist()


@KINDS
def test_one_character_ids_are_the_allowed_ascii_and_nothing_else(is_id, pattern):
    """Of all of Unicode's characters, `re` and RE2 allow the same 86."""
    texts = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
    by_re = [text for text in texts if is_id(text)]
    is_match = judged_by_re2(pattern, texts)
    assert by_re == list(ALLOWED)
    assert by_re == [text for text, found in zip(texts, is_match, strict=True) if found]


@KINDS
@given(texts=st.lists(almost_ids | st.text()))
def test_re_and_re2_agree_on_any_text(is_id, pattern, texts):
    """What the batch lets in, the server finds; what it keeps out, the server refuses."""
    assert [is_id(text) for text in texts] == judged_by_re2(pattern, texts)


@given(text=almost_ids | st.text())
def test_no_id_holds_a_character_that_would_need_escaping(text):
    """An id is a path segment, a CSV field and a place in a list as it stands."""
    if is_user_id(text) or is_item_id(text):
        assert set(text) <= set(ALLOWED)


@pytest.mark.parametrize(("is_id", "longest"), [(is_user_id, 64), (is_item_id, 200)])
def test_an_id_has_at_least_one_character_and_at_most_its_limit(is_id, longest):
    """The lengths at both ends are in, their neighbours are out."""
    lengths = [n for n in range(300) if is_id("~" * n)]
    assert lengths == list(range(1, longest + 1))


@KINDS
def test_a_line_end_after_an_id_is_no_part_of_it(is_id, pattern):
    """`$` may stand before a last newline in `re`, but not here and not in RE2."""
    assert not is_id("ann\n")
    assert judged_by_re2(pattern, ["ann\n", "ann"]) == [False, True]
