import dataclasses
from pathlib import Path

import pytest

from store.config import StoreSettings, load_section, number_of, text_of
from store.errors import ConfigError


@dataclasses.dataclass(frozen=True, slots=True)
class EveryType:
    """A section with a setting of each type that settings may have."""

    name: str = "x"
    count: int = 1
    share: float = 0.5
    on: bool = False
    names: tuple[str, ...] = ()


@pytest.fixture
def written(tmp_path):
    def write(text):
        file = tmp_path / "given.toml"
        file.write_text(text)
        return file

    return write


def refusal(file=None, environ=None, name="store", kind=StoreSettings):
    """Load a configuration that must be refused, and return the message."""
    with pytest.raises(ConfigError) as caught:
        load_section(name, kind, file, environ or {})
    return str(caught.value)


def test_defaults_without_file_and_environment(tmp_path, monkeypatch):
    """Every field has its default."""
    monkeypatch.chdir(tmp_path)
    assert load_section("store", StoreSettings, environ={}) == StoreSettings()


def test_the_default_path_is_not_the_package():
    """`store/` is the package; the data lies in var/store."""
    assert StoreSettings() == StoreSettings(path="var/store", keep=5)


def test_the_file_overrides_the_defaults(written):
    """A key that is not in the file has its default."""
    file = written('[store]\npath = "elsewhere"\n')
    assert load_section("store", StoreSettings, file, {}) == StoreSettings("elsewhere", 5)


def test_the_environment_overrides_the_file(written):
    """MARQUEE_STORE_KEEP replaces that key alone."""
    file = written('[store]\npath = "elsewhere"\nkeep = 2\n')
    settings = load_section("store", StoreSettings, file, {"MARQUEE_STORE_KEEP": "3"})
    assert settings == StoreSettings("elsewhere", 3)


def test_marquee_toml_is_found_where_the_command_runs(tmp_path, monkeypatch):
    """Without --config the working directory's marquee.toml is read."""
    monkeypatch.chdir(tmp_path)
    Path("marquee.toml").write_text("[store]\nkeep = 9\n")
    assert load_section("store", StoreSettings, environ={}).keep == 9


def test_another_package_s_section_is_not_checked(written):
    """Only the requested section is parsed."""
    file = written("[serve]\nport = 1\n[batch]\n[cron]\n[store]\nkeep = 2\n")
    assert load_section("store", StoreSettings, file, {}).keep == 2


def test_every_type_is_read_from_the_file(written):
    """TOML types are kept; an integer is accepted for a float."""
    file = written('[batch]\nname = "y"\ncount = 2\nshare = 1\non = true\nnames = ["a", "b"]\n')
    settings = load_section("batch", EveryType, file, {})
    assert settings == EveryType("y", 2, 1.0, True, ("a", "b"))
    assert type(settings.share) is float


def test_every_type_is_read_from_the_environment():
    """A string needs no quotes; other types are written as in TOML."""
    environ = {
        "MARQUEE_BATCH_NAME": 'no "quotes" needed',
        "MARQUEE_BATCH_COUNT": "2",
        "MARQUEE_BATCH_SHARE": "0.25",
        "MARQUEE_BATCH_ON": "true",
        "MARQUEE_BATCH_NAMES": '["a"]',
    }
    settings = load_section("batch", EveryType, environ=environ)
    assert settings == EveryType('no "quotes" needed', 2, 0.25, True, ("a",))


def test_the_variable_of_the_tests_is_ignored():
    """MARQUEE_SHARED_DATA is not a setting."""
    environ = {"MARQUEE_SHARED_DATA": "/data"}
    assert load_section("store", StoreSettings, environ=environ) == StoreSettings()


@pytest.mark.parametrize("section", ["[stroe]\nkeep = 3", "keep = 3", "[[store]]\nkeep = 3"])
def test_an_unknown_section_is_refused(written, section):
    """A mistyped section, or a key outside of every section; the message lists the sections."""
    message = refusal(written(section))
    assert "is not a section" in message
    of_batch = "batch, gate, rules, trust, report, fetch, tracking"
    others = "stream, fresh, online, watch, serve, store, replica, cron, notify"
    assert f"the sections: {of_batch}, {others}" in message


def test_an_unknown_key_in_the_file_is_refused(written):
    """The message names the file, the key, the known keys and the command that lists them."""
    message = refusal(written("[store]\nkepe = 3\n"))
    assert "given.toml: [store] has no key 'kepe'; its keys: path, keep" in message
    assert "prints every key" in message


def test_an_unknown_key_in_the_environment_is_refused():
    """The message names the variable."""
    message = refusal(environ={"MARQUEE_STORE_KEPE": "3"})
    assert "MARQUEE_STORE_KEPE: [store] has no key 'kepe'" in message
    assert "prints every key" in message


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("name = 3", "type str"),
        ('count = "3"', "type int"),
        ("count = 3.0", "type int"),
        ("count = true", "type int"),
        ('share = "half"', "type float"),
        ("on = 1", "type bool"),
        ('names = "a"', "a list of strings"),
        ("names = [1]", "a list of strings"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(written, line, expected):
    """The value is not converted; the message names the key and the type."""
    message = refusal(written(f"[batch]\n{line}\n"), name="batch", kind=EveryType)
    assert f"[batch] {line.split()[0]} must be " in message
    assert expected in message
    assert "prints every key" in message


def test_a_variable_that_is_not_a_number_is_refused():
    """The message names the variable and its text."""
    message = refusal(environ={"MARQUEE_STORE_KEEP": "many"})
    assert "MARQUEE_STORE_KEEP: 'many'" in message


def test_a_value_out_of_range_is_refused(written):
    """The message names file, key and limit."""
    message = refusal(written("[store]\nkeep = 0\n"))
    assert "given.toml: [store] keep must be at least 1" in message
    assert "prints every key" in message


def test_a_value_out_of_range_in_the_environment_names_the_variable(written):
    """The file has a valid value."""
    message = refusal(written("[store]\nkeep = 3\n"), {"MARQUEE_STORE_KEEP": "0"})
    assert "MARQUEE_STORE_KEEP" in message


def test_a_missing_file_of_config_is_refused(tmp_path):
    """A mistyped --config does not fall back to the defaults."""
    message = refusal(tmp_path / "marqee.toml")
    assert "marqee.toml: no such file; name one that exists with --config" in message


@pytest.mark.parametrize("broken", [b"[store", b"[store]\npath = '\xff'\n"])
def test_a_file_that_is_not_toml_is_refused(tmp_path, broken):
    """Truncated or not UTF-8; the message names the file."""
    file = tmp_path / "given.toml"
    file.write_bytes(broken)
    assert "given.toml: cannot be read as TOML" in refusal(file)


def test_a_directory_in_place_of_the_file_is_refused(tmp_path):
    """Like any file that cannot be read."""
    assert "cannot be read as TOML" in refusal(tmp_path)


def test_a_variable_of_an_unknown_section_is_refused():
    """A mistyped section in the environment is an error too."""
    with pytest.raises(ConfigError, match="MARQUEE_SERV_PORT"):
        load_section("store", StoreSettings, environ={"MARQUEE_SERV_PORT": "1"})


RENAMED = pytest.mark.parametrize(
    ("section", "old", "new"),
    [
        ("gate", "min_judged", "min_evaluated_users"),
        ("gate", "most_judged", "max_evaluated_users"),
        ("serve", "connections_per_client", "concurrent_requests_per_client"),
    ],
)


@RENAMED
def test_a_renamed_key_in_the_file_is_refused(written, section, old, new):
    """The message names the file, the old key and the new one."""
    message = refusal(written(f"[{section}]\n{old} = 3\n"), name=section, kind=EveryType)
    assert message.endswith(f"given.toml: [{section}] {old}: renamed; use {new}")


@RENAMED
def test_a_renamed_key_in_the_environment_is_refused(section, old, new):
    """The message names the variable and the new key."""
    variable = f"MARQUEE_{section.upper()}_{old.upper()}"
    message = refusal(environ={variable: "3"}, name=section, kind=EveryType)
    assert message == f"{variable}: [{section}] {old}: renamed; use {new}"


def test_one_value_of_a_section_of_another_package(written):
    """The environment comes first, then the file, then the default; its type is checked."""
    file = written("[cron]\npath = 'x'\nnice = 3\n[serve]\nfresh_hours = 4\n")
    assert text_of("cron", "path", "var/cron", file, {}) == "x"
    assert text_of("cron", "path", "var/cron", file, {"MARQUEE_CRON_PATH": "y"}) == "y"
    assert text_of("online", "path", "var/online", file, {}) == "var/online"
    assert number_of("serve", "fresh_hours", 26.0, file, {}) == 4.0
    with pytest.raises(ConfigError, match=r"\[cron\] nice must be of type str, not 3"):
        text_of("cron", "nice", "x", file, {})
