import os
import subprocess
from datetime import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cron.jobs import read_jobs
from cron.settings import CronSettings
from store.config import load_section
from store.errors import ConfigError

ROOT = Path(__file__).parents[2]


def test_the_file_sets_the_hour(tmp_path):
    """Hour and zone come from `[cron]`."""
    file = tmp_path / "marquee.toml"
    file.write_text('[cron]\nat = "23:05"\ntimezone = "Europe/Berlin"\n')
    settings = load_section("cron", CronSettings, file, {})
    assert (settings.at, settings.zone) == ("23:05", ZoneInfo("Europe/Berlin"))
    assert read_jobs(settings, file)["refresh"].at_time == time(23, 5)


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


def jobs_of(tmp_path, text):
    file = tmp_path / "marquee.toml"
    file.write_text(text)
    return read_jobs(load_section("cron", CronSettings, file, {}), file)


def test_a_table_changes_some_keys_of_a_built_in_job(tmp_path):
    """The other keys, the command among them, stay; jobs of the user's own have the defaults."""
    jobs = jobs_of(
        tmp_path,
        "[cron]\nretry_minutes = 5\n[cron.jobs.fetch]\nenabled = true\n"
        '[cron.jobs.backup]\ncommand = ["rsync", "a", "b"]\nafter = ["refresh"]\n',
    )
    assert (jobs["fetch"].enabled, jobs["fetch"].at) == (True, "02:30")
    assert jobs["fetch"].command[1:4] == ("-m", "batch", "fetch")
    assert jobs["refresh"].retry_minutes == 5
    assert jobs["backup"].when == "after refresh"
    assert not jobs["backup"].repeatable


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[cron.jobs.backup]\n", "[cron.jobs.backup] has no command; set command"),
        ("[cron.jobs.refresh]\nevry_minutes = 5\n", "has no key 'evry_minutes'"),
        ('[cron.jobs.refresh]\nname = "x"\n', "has no key 'name'"),
        ('[cron.jobs.refresh]\nretries = "3"\n', "retries must be of type int"),
        ("[cron.jobs.refresh]\nevery_minutes = 5\n", "exclude each other"),
        ('[cron.jobs.refresh]\nafter = ["gone"]\n', "'gone' is not a job"),
        ('[cron.jobs.fetch]\nafter = ["refresh"]\n', "would wait for itself"),
        ("[cron.jobs.refresh]\ndata_mib = 5\n", "data_mib needs a path in data"),
        ("[cron.jobs.refresh]\ndata_share = 0.1\n", "data_share needs data"),
        ('[cron.jobs.refresh]\ndata = ["x"]\ndata_rows = 5\n', "data_rows needs the URL"),
        ('[cron.jobs.refresh]\ndata = ["mysql://h/d"]\n', "needs data_rows or data_share"),
        ('[cron.jobs.refresh]\ndata = ["mysql://h/d"]\ndata_mib = 5\n', "needs a path in data"),
        ('[cron.jobs."Back up"]\ncommand = ["true"]\n', "a name is of"),
        ("[cron]\njobs = 5\n", "must be a table of tables"),
        ("[cron.jobs]\nbackup = 5\n", "must be a table of tables"),
    ],
)
def test_a_bad_job_is_named(tmp_path, text, message):
    """The message names file, table and what is wrong."""
    with pytest.raises(ConfigError) as caught:
        jobs_of(tmp_path, text)
    assert message in str(caught.value)
    assert str(tmp_path / "marquee.toml") in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql://reader:hunter2@db/shop", "mysql://reader@db/shop?passwd=hunter2&table=v"]
)
def test_a_password_in_the_url_of_data_is_refused_unrepeated(tmp_path, url):
    """It would be in the list of processes; a query may hold a colon, and an @ as %40."""
    keys = "[cron.jobs.refresh]\ndata_rows = 5\ndata = "
    with pytest.raises(ConfigError) as caught:
        jobs_of(tmp_path, f'{keys}["{url}"]\n')
    assert "data must not hold a password" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    sound = "postgresql://reader@db:5432/shop?query=SELECT day::text FROM v WHERE u <> 'a%40b'"
    job = jobs_of(tmp_path, f'{keys}["var/events", "{sound}"]\ndata_mib = 1\n')["refresh"]
    assert job.count_command[-3:] == ("--timeout", "300", sound)
    assert job.files == ["var/events"]
    assert "when 5 rows have come" in job.when


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("fetch", "fetch"),
        ("refresh", "batch"),
        ("online", "online"),
        ("watch", "watch"),
        ("verify", "store"),
        ("prune", "store"),
        ("track", "tracking"),
    ],
)
def test_the_command_of_a_built_in_job_reads_the_given_file(tmp_path, name, section):
    """The real command starts, and refuses that file for a key that its section does not have."""
    command = read_jobs(CronSettings(), Path("night.toml"))[name].command
    (tmp_path / "night.toml").write_text(f"[{section}]\nno_such_key = 1\n")
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"night.toml: [{section}] has no key 'no_such_key'" in done.stderr


def test_push_needs_its_url(tmp_path):
    """Without one there is no such job, and a table that only switches it on is an error."""
    assert "push" not in jobs_of(tmp_path, "")
    with pytest.raises(ConfigError, match="set push_url"):
        jobs_of(tmp_path, "[cron.jobs.push]\nenabled = true\n")
    jobs = jobs_of(tmp_path, '[cron]\npush_url = "sftp://me@backup:22/store"\n')
    assert jobs["push"].when == "after refresh"
    assert jobs["push"].command[-2:] == ("push", "sftp://me@backup:22/store")


def test_a_table_changes_the_hours_of_push_and_not_its_command_too(tmp_path):
    """Two backups of one name: neither wins silently."""
    url = '[cron]\npush_url = "/mnt/backup"\n[cron.jobs.push]\n'
    push = jobs_of(tmp_path, f'{url}after = []\nat = "05:00"\nnice = 3\n')["push"]
    assert (push.when, push.nice, push.repeatable) == ("daily at 05:00", 3, True)
    assert push.command[-2:] == ("push", "/mnt/backup")
    with pytest.raises(ConfigError, match="remove push_url or the command"):
        jobs_of(tmp_path, f'{url}command = ["rsync"]\n')
    own = jobs_of(tmp_path, '[cron.jobs.push]\ncommand = ["rsync"]\n')["push"]
    assert own.command == ("rsync",)


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:hidden@bucket/store",
        "s3://key:1/hidden@bucket",
        "memory::s3://key:hidden@bucket",
        "https://host/store?token=hidden",
    ],
)
def test_a_secret_in_the_push_url_is_refused_unseen(tmp_path, url):
    """The job's line is logged; the message about the URL does not repeat it either."""
    with pytest.raises(ConfigError, match="push_url must not hold a password") as caught:
        jobs_of(tmp_path, f'[cron]\npush_url = "{url}"\n')
    assert "hidden" not in str(caught.value)
