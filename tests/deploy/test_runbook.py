"""The runbook: a page for every alert, and commands that exist."""

import re

import pytest

from tests.deploy.commands import check_command, commands_in
from tests.deploy.files import DEPLOY, alerts

_TEXT = (DEPLOY / "runbook.md").read_text()
_PAGES = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", _TEXT, re.MULTILINE | re.DOTALL))


def test_every_alert_has_its_page_and_every_page_its_alert():
    assert _PAGES.keys() == alerts().keys()


@pytest.mark.parametrize("name", alerts())
def test_the_page_says_all_that_is_needed(name):
    """What it means, how to look, what to do, how to know that it is over, in this order."""
    assert re.findall(r"^\*\*(\w+)\.\*\* \S", _PAGES[name], re.MULTILINE) == [
        "Meaning",
        "Look",
        "Do",
        "Over",
    ]
    assert alerts()[name]["annotations"]["runbook"] == f"runbook.md#{name.lower()}"


def test_links_lead_to_pages():
    anchors = {name.lower() for name in _PAGES}
    assert set(re.findall(r"\(#(\w+)\)", _TEXT)) <= anchors


_MANUAL = (DEPLOY / "README.md").read_text()


@pytest.mark.parametrize("command", commands_in(_TEXT + _MANUAL))
def test_commands_exist(command):
    check_command(command)
