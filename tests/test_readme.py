"""The README stays true."""

import dataclasses
import re
from pathlib import Path

import pytest

from batch.gate.settings import GateSettings
from batch.rules.settings import RuleSettings
from batch.settings import BatchSettings
from cron.settings import CronSettings
from serve.settings import ServeSettings
from store.config import StoreSettings

_README = (Path(__file__).resolve().parent.parent / "README.md").read_text()
_SECTIONS = {
    "store": StoreSettings,
    "batch": BatchSettings,
    "gate": GateSettings,
    "rules": RuleSettings,
    "serve": ServeSettings,
    "cron": CronSettings,
}


@pytest.mark.parametrize(("name", "settings"), _SECTIONS.items(), ids=_SECTIONS.keys())
def test_the_configuration_table_lists_every_key_with_its_default(name, settings):
    """No key is missing, none is left over, and each default is the one in force."""
    listed = dict(re.findall(rf"^\| `{name}\.(\w+)` \| `(.+?)` \|", _README, re.MULTILINE))
    shown = {}
    for field in dataclasses.fields(settings):
        default = field.default
        if isinstance(default, str):
            shown[field.name] = f'"{default}"'
        elif isinstance(default, bool):
            shown[field.name] = str(default).lower()
        else:
            shown[field.name] = "[]" if default == () else str(default)
    assert listed == shown
