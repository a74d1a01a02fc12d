"""The generated settings: the tables in the packages' READMEs, and the TOML with all defaults."""

import importlib
import tomllib
from pathlib import Path

import pytest

from store.config import load_section
from store.settings_table import END_MARKER, markdown_table, start_marker, toml_document

_ROOT = Path(__file__).resolve().parent.parent
_SECTIONS = {
    package: importlib.import_module(f"{package}.__main__").SECTIONS
    for package in ("batch", "stream", "serve", "store", "cron")
}
SECTIONS = pytest.mark.parametrize(
    ("package", "section", "kind"),
    [(package, *entry) for package, kinds in _SECTIONS.items() for entry in kinds.items()],
)


@SECTIONS
def test_the_readme_has_the_generated_table(package, section, kind):
    """`.ci/update-settings-tables` writes it anew after a change."""
    text = (_ROOT / package / "README.md").read_text()
    _, marker, rest = text.partition(f"{start_marker(section)}\n")
    assert marker, f"{package}/README.md has no line {start_marker(section)}"
    assert rest.partition(END_MARKER)[0] == markdown_table(section, kind)


@SECTIONS
def test_the_generated_toml_holds_the_defaults(tmp_path, package, section, kind):
    """Every key is there, tables as comments, and loading it gives the defaults."""
    file = tmp_path / "marquee.toml"
    file.write_text(toml_document({section: kind}))
    if section.endswith(".NAME"):
        assert tomllib.loads(file.read_text()) == {}
        return
    tables = {key for key in kind.__dataclass_fields__ if getattr(kind(), key) == {}}
    found = tomllib.loads(file.read_text())[section].keys()
    assert found == kind.__dataclass_fields__.keys() - tables
    assert all(f"# [{section}.{key}]" in file.read_text() for key in tables)
    assert load_section(section, kind, file, {}) == kind()


def test_the_sections_of_all_packages_make_one_file(tmp_path):
    """The outputs of `config --toml` can be joined."""
    file = tmp_path / "marquee.toml"
    file.write_text("\n".join(toml_document(sections) for sections in _SECTIONS.values()))
    for sections in _SECTIONS.values():
        for section, kind in sections.items():
            if not section.endswith(".NAME"):
                assert load_section(section, kind, file, {}) == kind()
