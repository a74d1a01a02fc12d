"""Hidden items: the deny list, availability, and adult titles for minors."""

from dataclasses import replace
from datetime import timedelta

import pytest

from batch.errors import InputError
from batch.records.fields import UNREADABLE, moment
from batch.records.profiles import Profile
from batch.rules.availability import unavailable
from batch.rules.deny import denied, denied_ids
from batch.rules.minors import adult, minor_test, minors
from tests.batch.made_rules import AT, made_context, made_item

CHILD, GROWN, AGELESS = Profile(12, "F", None), Profile(40, "F", None), Profile(None, "F", None)

# The deny list


def test_ids_of_the_setting_and_of_the_file_are_denied(tmp_path):
    """Blank lines and comments are ignored, with any line ends."""
    path = tmp_path / "deny.txt"
    path.write_bytes(b"# rights\ni1 # until May\r\n\n  i2  \n")
    context = made_context([made_item()] * 4)
    names = denied_ids(("i0",), str(path))
    assert names == {"i0", "i1", "i2"}
    assert denied(names, context).tolist() == [True, True, True, False]
    assert context.warnings == []


def test_an_unknown_id_gives_a_warning():
    """An item of the catalogue without interactions is known."""
    context = replace(made_context([made_item()]), existing={"i0", "unseen"})
    assert denied({"unseen", *(f"x{n}" for n in range(7))}, context).tolist() == [False]
    assert context.warnings == ["deny: 7 of the ids are not items: x0, x1, x2, x3, x4, …"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "binary"])
def test_an_unreadable_deny_list_is_an_error(tmp_path, content):
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
def test_an_item_must_be_available_all_day(since, until, is_there):
    item = made_item(available_from=moment(since), available_until=moment(until, at_end=True))
    assert unavailable(made_context([item]), 24.0).tolist() == [not is_there]


def test_hours_count_from_the_given_time():
    """The system clock does not count."""
    context = made_context([made_item(available_until=moment("2026-11-23T12:00"))])
    assert not unavailable(context, 48.0)[0]
    assert unavailable(context, 48.1)[0]
    assert unavailable(replace(context, at=AT + timedelta(hours=25)), 24.0)[0]


def test_an_unreadable_time_gives_a_warning():
    context = made_context([made_item(available_from=UNREADABLE), made_item()])
    assert unavailable(context, 24.0).tolist() == [True, False]
    assert context.warnings[0].startswith("availability: 1 items are not recommended")


def test_missing_times_are_open_ends():
    """All empty values of the APIs are; other values that are not times are unreadable."""
    missing: list[object] = [None, "", "null", {}, " "]
    assert [moment(value) for value in missing] == [None] * 5
    assert moment("2026-02-30") == moment([]) == moment(5) == UNREADABLE
    assert moment("9999-12-31", at_end=True) == UNREADABLE  # the next day is out of range


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
def test_minors_depend_on_age_and_settings(is_on, unknown_age_is_minor, are_minors):
    """The last of the four users has no profile."""
    is_minor = minor_test(is_on=is_on, unknown_age_is_minor=unknown_age_is_minor)
    profiles = {"a": CHILD, "b": GROWN, "c": AGELESS}
    assert minors(["a", "b", "c", "d"], profiles, is_minor).tolist() == are_minors


def test_adult_titles_are_those_of_the_catalogue():
    items = [made_item(adult=flag) for flag in (True, False, None)]
    assert adult(items).tolist() == [True, False, False]
