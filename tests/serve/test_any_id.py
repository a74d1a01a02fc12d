"""Arbitrary ids: a valid one is answered, any other is rejected, and the server survives."""

from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.ids import USER_ID_PATTERN, is_user_id
from tests.serve.conftest import LISTS, POPULAR
from tests.serve.server import ask

VALID = st.from_regex(USER_ID_PATTERN, fullmatch=True)
NEARLY_VALID = st.builds(
    lambda user_id, at, invalid: user_id[:at] + invalid + user_id[at:],
    VALID,
    st.integers(0, 64),
    st.sampled_from([*'\0\t\n\r ,/?#%"=|\x7f\x80\xff', "é", "\u2028", "\U0001f600", "%41"]),
)
ANYTHING = st.text(max_size=80)
# `connection` is shared on purpose: damage by one id would affect the next.
quick = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quick
@given(user_id=VALID | NEARLY_VALID | ANYTHING)
def test_a_text_is_answered_exactly_if_it_is_a_user_id(connection, user_id):
    """200 with a list if `is_user_id` is true, else 400, on one connection."""
    answer = ask(connection, f"/recommend/{quote(user_id, safe='')}")

    if is_user_id(user_id):
        assert (answer.status, answer.text) == (200, ",".join(LISTS.get(user_id, POPULAR)))
    else:
        assert answer.status == 400


@quick
@given(octets=st.binary(max_size=80))
def test_bytes_are_answered_exactly_if_they_are_a_user_id(connection, octets):
    """Bytes that cannot be decoded are rejected, not replaced."""
    answer = ask(connection, f"/recommend/{quote(octets, safe='')}")

    assert answer.status == (200 if is_user_id(octets.decode("latin-1")) else 400)
