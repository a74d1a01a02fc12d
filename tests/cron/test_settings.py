from datetime import time
from zoneinfo import ZoneInfo

import pytest

from cron.settings import CronSettings
from store.config import load_section
from store.errors import ConfigError


def test_the_file_sets_the_hour(tmp_path):
    """Hour and zone come from `[cron]`."""
    file = tmp_path / "marquee.toml"
    file.write_text('[cron]\nat = "23:05"\ntimezone = "Europe/Berlin"\n')
    settings = load_section("cron", CronSettings, file, {})
    assert (settings.at_time, settings.zone) == (time(23, 5), ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    "line",
    [
        'at = "24:00"',
        'at = "3:30"',
        'at = "03:30:00"',
        'timezone = "Europe/Entenhausen"',
        'timezone = "Europe"',
        'timezone = "/etc/localtime"',
        "timeout_minutes = 0",
        "timeout_minutes = nan",
        "retry_minutes = -1",
        "retry_minutes = 1441",
        "nice = -1",
        "nice = 20",
    ],
)
def test_a_bad_setting_is_named(tmp_path, line):
    """A setting out of range is refused by its name and its value."""
    file = tmp_path / "marquee.toml"
    file.write_text(f"[cron]\n{line}\n")
    key, _, value = line.partition(" = ")
    with pytest.raises(ConfigError) as caught:
        load_section("cron", CronSettings, file, {})
    assert key in str(caught.value)
    assert value.strip('"') in str(caught.value)
