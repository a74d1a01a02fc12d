"""What nobody is offered: the deny list, availability, and adult titles for minors."""

from dataclasses import replace
from datetime import timedelta

import pytest

from batch.errors import InputError
from batch.records.fields import UNREADABLE, moment
from batch.records.profiles import Profile
from batch.rules.availability import unavailable
from batch.rules.deny import denied, denied_ids
from batch.rules.minors import adult, minor_test, minors
from tests.batch.made_rules import AT, made_item, made_known

CHILD, GROWN, AGELESS = Profile(12, "F", None), Profile(40, "F", None), Profile(None, "F", None)

# The deny list


def test_denied_is_what_either_place_names(tmp_path):
    """Blank lines and remarks are passed over, whatever the line ends."""
    path = tmp_path / "deny.txt"
    path.write_bytes(b"# rights\ni1 # until May\r\n\n  i2  \n")
    known = made_known([made_item()] * 4)
    names = denied_ids(("i0",), str(path))
    assert names == {"i0", "i1", "i2"}
    assert denied(names, known).tolist() == [True, True, True, False]
    assert known.warnings == []


def test_an_id_that_is_no_item_is_warned_of():
    """One that the catalogue lists, though nobody has had it, is an item."""
    known = replace(made_known([made_item()]), existing={"i0", "unseen"})
    assert denied({"unseen", *(f"x{n}" for n in range(7))}, known).tolist() == [False]
    assert known.warnings == ["deny: 7 of the ids are no items: x0, x1, x2, x3, x4, …"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "binary"])
def test_a_deny_list_that_cannot_be_read_stops_everything(tmp_path, content):
    """The message names the file and the setting."""
    path = tmp_path / "deny.txt"
    if content:
        path.write_bytes(content)
    with pytest.raises(InputError, match="deny list cannot be read") as error:
        denied_ids((), str(path))
    assert str(path) in str(error.value)
    assert "[rules] deny_file" in str(error.value)


# Availability: it is noon of 21 November 2026, UTC

WINDOWS = {
    "open": (None, None, True),
    "since before": ("2026-11-21T11:59", None, True),
    "since now": ("2026-11-21T12:00:00Z", None, True),
    "since a moment later": ("2026-11-21T12:00:01", None, False),
    "since today": ("2026-11-21", None, True),
    "since tomorrow": ("2026-11-22", None, False),
    "since now in Berlin": ("2026-11-21T13:00:00+01:00", None, True),
    "since later in New York": ("2026-11-21T12:00:00-05:00", None, False),
    "until the end": (None, "2026-11-22T12:00", True),
    "until a moment before": (None, "2026-11-22T11:59:59", False),
    "until all of tomorrow": (None, "2026-11-22", True),
    "until all of today": (None, "2026-11-21", False),
    "in the past": ("2020-01-01", "2021-01-01", False),
    "around": ("2020-01-01", "2030-01-01", True),
    "no time": (None, "soon", False),
    "a number": (20261121.5, None, False),
}


@pytest.mark.parametrize(("since", "until", "is_there"), WINDOWS.values(), ids=WINDOWS)
def test_an_item_must_be_there_all_day(since, until, is_there):
    item = made_item(available_from=moment(since), available_until=moment(until, at_end=True))
    assert unavailable(made_known([item]), 24.0).tolist() == [not is_there]


def test_the_hours_count_from_the_time_that_is_given():
    """Whatever the clock says."""
    known = made_known([made_item(available_until=moment("2026-11-23T12:00"))])
    assert not unavailable(known, 48.0)[0]
    assert unavailable(known, 48.1)[0]
    assert unavailable(replace(known, at=AT + timedelta(hours=25)), 24.0)[0]


def test_a_time_that_cannot_be_read_is_warned_of():
    known = made_known([made_item(available_from=UNREADABLE), made_item()])
    assert unavailable(known, 24.0).tolist() == [True, False]
    assert known.warnings[0].startswith("availability: 1 items are not recommended")


def test_only_what_is_given_can_be_unreadable():
    """The ways in which the APIs say nothing are open ends."""
    assert [moment(value) for value in (None, "", "null", {}, " ")] == [None] * 5
    assert moment("2026-02-30") == moment([]) == moment(5) == UNREADABLE
    assert moment("9999-12-31", at_end=True) == UNREADABLE  # no calendar has the day after


# Minors


@pytest.mark.parametrize(
    ("is_on", "unknown_age_is_minor", "are_minors"),
    [
        (True, False, [True, False, False, False]),
        (True, True, [True, False, True, True]),
        (False, True, [False] * 4),
    ],
    ids=["usual", "unknown is minor", "off"],
)
def test_minors_are_who_is_known_to_be_or_as_configured(is_on, unknown_age_is_minor, are_minors):
    """The last of the four has no profile at all."""
    is_minor = minor_test(is_on=is_on, unknown_age_is_minor=unknown_age_is_minor)
    profiles = {"a": CHILD, "b": GROWN, "c": AGELESS}
    assert minors(["a", "b", "c", "d"], profiles, is_minor).tolist() == are_minors


def test_adult_is_what_the_catalogue_says_is():
    items = [made_item(adult=flag) for flag in (True, False, None)]
    assert adult(items).tolist() == [True, False, False]
