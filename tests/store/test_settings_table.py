"""Tables and TOML generated from a settings dataclass, and the verb `config`."""

import dataclasses

import pytest

from store.errors import ConfigError
from store.settings_table import markdown_table, meanings, toml_document, update_tables


@dataclasses.dataclass(frozen=True)
class Example:
    r"""A section with a setting of each type.

    Attributes:
        pattern: Form of an id, `a|b`.
        n_users: Number of users,
            in one line or more.
        names: Names of items.
        is_on: Whether it is used.

    Not an attribute: this line.
    """

    pattern: str = r"\d+"
    n_users: int = 20_000
    names: tuple[str, ...] = ()
    is_on: bool = True


TABLE = r"""| key | default | meaning |
|---|---|---|
| `x.pattern` | `'\d+'` | Form of an id, `a\|b`. |
| `x.n_users` | `20000` | Number of users, in one line or more. |
| `x.names` | `[]` | Names of items. |
| `x.is_on` | `true` | Whether it is used. |
"""


def test_a_table_has_key_default_and_meaning():
    """A pipe in a cell is escaped."""
    assert markdown_table("x", Example) == TABLE


def test_toml_has_each_meaning_above_its_key():
    """Below a header that names the sections."""
    document = toml_document({"x": Example})
    assert document.startswith("# The settings of [x] with their defaults.\n")
    assert "\n[x]\n# Form of an id, `a|b`.\npattern = '\\d+'\n" in document
    assert "\n# Number of users, in one line or more.\nn_users = 20000\n" in document


def test_a_field_without_an_entry_is_an_error():
    """The docstring must describe every field."""

    @dataclasses.dataclass
    class Incomplete:
        """A section.

        Attributes:
            a: First.
        """

        a: int = 1
        b: int = 2

    with pytest.raises(ValueError, match=r"Incomplete: the docstring describes \['a'\], not"):
        meanings(Incomplete)


def test_tables_are_rewritten_between_their_markers(tmp_path):
    """The text around them is not changed."""
    file = tmp_path / "README.md"
    file.write_text("before\n<!-- settings: x -->\nold\n<!-- end of settings -->\nafter\n")
    update_tables(file, {"x": Example})
    assert file.read_text() == (
        f"before\n<!-- settings: x -->\n{TABLE}<!-- end of settings -->\nafter\n"
    )


def test_a_file_without_markers_is_an_error(tmp_path):
    """The message says which lines to add."""
    file = tmp_path / "README.md"
    file.write_text("no table\n")
    with pytest.raises(ConfigError, match=r"no markers for \[x\]; add the lines <!-- settings: x"):
        update_tables(file, {"x": Example})


@pytest.mark.parametrize("package", ["batch", "stream", "serve", "store", "cron"])
def test_every_package_prints_its_settings(python, package):
    """The verb `config` is in the help, and needs no configuration or store."""
    assert "config" in python("-m", package, "--help").stdout
    table = python("-m", package, "config", "--markdown")
    assert (table.returncode, table.stderr) == (0, "")
    assert table.stdout.startswith("| key | default | meaning |\n")
    document = python("-m", package, "config", "--toml")
    assert (document.returncode, document.stderr) == (0, "")
    assert document.stdout.startswith("# The settings of [")


@pytest.mark.parametrize("package", ["batch", "stream", "serve", "store", "cron"])
def test_config_without_a_form_is_2(python, package):
    """Wrong usage."""
    assert python("-m", package, "config").returncode == 2
