"""Set-up: uv uses the index and the certificates that pip is configured to use."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent


def uv_settings(folder, config="", **environment):
    """Return the variables that are exported for uv.

    Args:
        folder: Folder for pip's configuration file.
        config: Content of that file.
        environment: Variables of the environment.
    """
    file = folder / "pip.conf"
    file.write_text(config)
    unset = ("PIP_", "UV_", "SSL_", "ALL_PROXY")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(unset)}
    done = subprocess.run(
        [sys.executable, _ROOT / ".ci" / "uv_settings.py"],
        env={**kept, "HOME": str(folder), "PIP_CONFIG_FILE": str(file), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    words = [shlex.split(line) for line in done.stdout.splitlines()]
    assert all(export == "export" for export, _ in words)
    return dict(setting.split("=", 1) for _, setting in words)


def test_index_of_the_configuration_file_is_passed_on(tmp_path):
    """A mirror in pip.conf is uv's default index."""
    found = uv_settings(
        tmp_path, "[global]\nindex-url = https://mirror.example/simple\ncert = /etc/mirror.pem\n"
    )
    assert found["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert found["SSL_CERT_FILE"] == "/etc/mirror.pem"


def test_environment_has_precedence_over_the_file(tmp_path):
    """PIP_INDEX_URL counts, as it does for pip."""
    found = uv_settings(
        tmp_path,
        "[global]\nindex-url = https://mirror.example/simple\n",
        PIP_INDEX_URL="https://other.example/simple",
    )
    assert found["UV_DEFAULT_INDEX"] == "https://other.example/simple"


def test_several_values_are_passed_on(tmp_path):
    """Further indexes are separated by blanks, links by commas, and the best version is taken."""
    found = uv_settings(
        tmp_path,
        "[global]\nextra-index-url =\n  https://a.example\n  https://b.example\n"
        "find-links = /a /b\n",
    )
    assert found["UV_INDEX"] == "https://a.example https://b.example"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert found["UV_FIND_LINKS"] == "/a,/b"


@pytest.mark.parametrize("text", ["1", "true"])
def test_no_index_keeps_uv_offline(tmp_path, text):
    """Without an index uv downloads nothing."""
    assert uv_settings(tmp_path, PIP_NO_INDEX=text)["UV_OFFLINE"] == "true"


def test_settings_of_uv_itself_stay(tmp_path):
    """A variable that is set already is not exported again."""
    found = uv_settings(
        tmp_path, PIP_INDEX_URL="https://a.example", UV_DEFAULT_INDEX="https://b.example"
    )
    assert "UV_DEFAULT_INDEX" not in found
