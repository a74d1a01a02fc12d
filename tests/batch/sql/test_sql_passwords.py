"""Passwords: from the environment or a file, and in no message, manifest or argument."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batch.__main__ import main
from batch.errors import InputError
from batch.sql.passwords import VARIABLE, password_of
from batch.sql.url import parse_url
from tests.batch.sql.servers import PASSWORD, READER
from tests.histories import write_history

_URL = parse_url("postgresql://reader@db/shop?table=views")


@pytest.fixture
def password_file(tmp_path):
    """Write a file of passwords that others cannot read."""

    def password_file(*lines: str) -> str:
        path = tmp_path / "passwords"
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)
        return str(path)

    return password_file


def test_environment_comes_before_the_file_and_each_line_is_a_pattern(password_file):
    file = password_file(
        "# of two lines that fit the first one counts",
        "",
        "other:5432:shop:reader:wrong",
        "db:5433:shop:reader:wrong",
        r"db:*:shop:reader:pass\:w\\rd",
        "*:*:*:*:any",
    )
    assert password_of(_URL, file, {}) == r"pass:w\rd"
    assert password_of(parse_url("mysql://x@y/z"), file, {"MYSQL_PWD": "of MySQL"}) == "any"
    assert password_of(_URL, file, {VARIABLE: "given"}) == "given"
    assert password_of(_URL, "", {"MYSQL_PWD": "of MySQL"}) == ""
    assert password_of(parse_url("mysql://x@y/z"), "", {"MYSQL_PWD": "of MySQL"}) == "of MySQL"
    assert password_of(parse_url("sqlite:///x"), file, {VARIABLE: "given"}) == ""


def test_file_that_others_read_or_of_another_form_is_refused(password_file):
    file = password_file("*:*:*:*:any")
    Path(file).chmod(0o640)
    with pytest.raises(InputError, match="can be read by others; run `chmod 600"):
        password_of(_URL, file, {})
    with pytest.raises(InputError, match=r"line 1 is not of the form host:port") as caught:
        password_of(_URL, password_file("db:shop:secret"), {})
    assert "secret" not in str(caught.value)
    with pytest.raises(InputError, match="passwords cannot be read"):
        password_of(_URL, f"{file}.none", {})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://reader:secret@db/shop",
        "postgresql://reader:sec/ret@db/shop",
        "postgresql://reader:sec?ret@db/shop",
        "postgresql://reader:sec@ret@db/shop",
        "mysql://:secret@db/shop",
        "postgresql://db/shop?user=reader&password=secret",
        "postgresql://db/shop?PASSWORD=secret",
    ],
)
def test_password_in_a_url_is_refused_and_not_repeated(url, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "marquee.toml").write_text(f'[batch]\nevents = ["{url}"]\n')
    for arguments in (["refresh"], ["refresh", "--events", url], ["ingest", "--to", url]):
        (tmp_path / "log").write_text("")
        arguments += ["--events", "log"] if arguments[0] == "ingest" else []
        assert main(arguments) == 1
        error = capsys.readouterr().err
        assert "MARQUEE_BATCH_DATABASE_PASSWORD" in error or "is not a port" in error
        assert "sec" not in error
        assert "ret" not in error.replace("secret", "")


@pytest.mark.parametrize("way", ["environment", "file"])
def test_password_reaches_the_server_and_nothing_else(
    served_database, settings_file, tmp_path, password_file, way
):
    """Refresh and ingest by commands: no output, file or argument holds the password."""
    database = served_database
    database.server.make_reader(database.name)
    history = write_history(tmp_path / "history")
    url = database.server.url(database.name, READER)
    environ = dict(os.environ)
    if way == "environment":
        environ[VARIABLE] = PASSWORD
        settings_file()
    else:
        escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
        settings_file(database_password_file=password_file(f"localhost:*:*:{READER}:{escaped}"))
    outputs = []
    for arguments in (
        ("ingest", "--events", history.events, "--to", url),
        ("refresh", "--events", url),
    ):
        command = [sys.executable, "-m", "batch", *map(str, arguments)]
        environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[3])
        done = subprocess.run(command, env=environ, capture_output=True, check=False)
        outputs += [done.stdout, done.stderr]
        assert done.returncode == 0, done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "passwords"]
    assert any(path.name == "MANIFEST.json" for path in files)
    for content in (*outputs, *(path.read_bytes() for path in files)):
        assert PASSWORD.encode() not in content


def test_wrong_password_is_refused_by_the_server_without_repeating_it(
    served_database, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    served_database.server.make_reader(served_database.name)
    monkeypatch.setenv(VARIABLE, "not the one")
    url = served_database.server.url(served_database.name, READER)
    assert main(["refresh", "--events", f"{url}&table=views"]) == 1
    error = capsys.readouterr().err
    assert READER in error
    assert "not the one" not in error
