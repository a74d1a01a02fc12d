"""The configuration loader: one TOML file, one section a package, no silent typos.

    marquee.toml                     MARQUEE_SERVE_PORT=8082
        [serve]            <──────── overrides one key of one section
        port = 8080

Each package describes its section as a frozen dataclass whose fields have
defaults; `load_section` fills it. An unknown section or key is an error, for an
ignored setting is noticed only on the day it is needed. A key that was renamed
is refused with its new name.
"""

import dataclasses
import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import GenericAlias
from typing import Any, ClassVar, Final, Protocol, TypeVar, get_type_hints

from store.errors import ConfigError

DEFAULT_FILE: Final = Path("marquee.toml")
_SECTIONS: Final = (
    "batch", "gate", "rules", "trust", "report", "fetch", "tracking", "stream", "fresh", "online",
    "watch", "serve", "store", "replica", "cron", "notify",
)  # fmt: skip
_PREFIX: Final = "MARQUEE_"
_TABLE: Final = dict[str, str]
_TABLES: Final = dict[str, dict[str, Any]]
_FOR_TESTS: Final = "MARQUEE_SHARED_DATA"  # directory of real data for tests; not a setting
_NOT_RECORDED: Final = "MARQUEE_BATCH_DATABASE_PASSWORD"  # not a setting: those are recorded
_RENAMED: Final = {  # new name of a key by its section and old name
    ("gate", "min_judged"): "min_evaluated_users",
    ("gate", "most_judged"): "max_evaluated_users",
    ("serve", "connections_per_client"): "concurrent_requests_per_client",
}


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


Section = TypeVar("Section", bound=_Dataclass)


@dataclasses.dataclass(frozen=True, slots=True)
class StoreSettings:
    """The `[store]` section.

    Attributes:
        path: Directory of the store.
        keep: Number of newest snapshots that a refresh keeps, the current one included.
        keep_days: Age in days below which a snapshot is kept in any case.
        signing_key: File of the private key that signs a push; empty for unsigned pushes.
        trusted_keys: Public keys that a pull requires, as files or in base64; empty for none.
    """

    path: str = "var/store"
    keep: int = 5
    keep_days: float = 0.0
    signing_key: str = ""
    trusted_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"keep must be at least 1, not {self.keep}")
        if not 0 <= self.keep_days < math.inf:
            raise ValueError(f"keep_days must be 0 or more, and finite, not {self.keep_days}")
        if "" in self.trusted_keys:
            raise ValueError("trusted_keys must not hold an empty entry")


def load_section(
    name: str,
    kind: type[Section],
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    defaults: Mapping[str, Any] | None = None,
) -> Section:
    """Return section `name` as a `kind`: defaults, then the file, then the environment.

    Args:
        name: Section: batch, gate, rules, fetch, stream, serve, store or cron.
        kind: Frozen dataclass whose field types are str, int, float, bool,
            tuple[str, ...], dict[str, str], a table below the section, or
            dict[str, dict[str, Any]], tables for `filled` below that.
        file: TOML file; None means `marquee.toml` if there is one.
        environ: Environment that may hold `MARQUEE_<SECTION>_<KEY>`.
        defaults: Values that replace some defaults of `kind`, by key.

    Raises:
        ConfigError: The file is missing or not TOML, or a section or key is
            unknown, renamed, of the wrong type or out of range.
    """
    types = get_type_hints(kind)
    configured = _configured(name, types, file, environ)
    values = dict(defaults or {})
    for key, (where, value) in configured.items():
        if new := _RENAMED.get((name, key)):
            raise ConfigError(where, f"[{name}] {key}: renamed", f"use {new}")
        if key not in types:
            raise ConfigError(where, f"[{name}] has no key {key!r}; its keys: {', '.join(types)}")
        values[key] = _checked(where, f"[{name}] {key}", value, types[key])
    try:
        return kind(**values)
    except ValueError as error:
        sources = ", ".join(sorted({str(where) for where, _ in configured.values()}))
        raise ConfigError(sources or file or DEFAULT_FILE, f"[{name}] {error}") from error


def is_configured(
    section: str, file: Path | None = None, environ: Mapping[str, str] = os.environ
) -> bool:
    """Return whether a section has a key in the file, or in the environment.

    Raises:
        ConfigError: The file is missing or not TOML.
    """
    prefix = f"{_PREFIX}{section.upper()}_"
    return bool(_read(file).get(section)) or any(name.startswith(prefix) for name in environ)


def number_of(
    section: str,
    key: str,
    default: float,
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> float:
    """Return one number of a section of another package.

    Args:
        section: Section: batch, gate, rules, fetch, stream, fresh, serve, store or cron.
        key: Key of the number.
        default: Value of a key that is not set.
        file: TOML file; None means `marquee.toml` if there is one.
        environ: Environment that may hold `MARQUEE_<SECTION>_<KEY>`.

    Raises:
        ConfigError: The file is missing or not TOML, or the value is not a number.
    """
    return float(_value_of(section, key, float(default), file, environ))


def text_of(
    section: str,
    key: str,
    default: str,
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Return one text of a section of another package, as `number_of` does a number."""
    return str(_value_of(section, key, default, file, environ))


def _value_of(
    section: str, key: str, default: object, file: Path | None, environ: Mapping[str, str]
) -> Any:
    kind = type(default)
    configured = _configured(section, {key: kind}, file, environ)
    where, value = configured.get(key, (DEFAULT_FILE, default))
    return _checked(where, f"[{section}] {key}", value, kind)


def overridden(name: str, section: Section, values: Mapping[str, Any]) -> Section:
    """Return a section with some values replaced, checked as those of the file.

    Args:
        name: Section: batch, gate, rules, fetch, stream, serve, store or cron.
        section: Settings of the section.
        values: Values as TOML has them, by key.

    Raises:
        ConfigError: A key is unknown, or a value of the wrong type or out of range.
    """
    types = get_type_hints(type(section))
    checked = {}
    for key, value in values.items():
        if key not in types:
            raise ConfigError(f"{name}.{key}", f"[{name}] has no such key")
        checked[key] = _checked(Path(f"{name}.{key}"), f"[{name}] {key}", value, types[key])
    try:
        return dataclasses.replace(section, **checked)
    except ValueError as error:
        raise ConfigError(f"[{name}]", str(error)) from error


def filled(
    kind: type[Section],
    table: Mapping[str, Any],
    where: Path,
    what: str,
    defaults: Mapping[str, Any],
) -> Section:
    """Return a table as a `kind`.

    Args:
        kind: Frozen dataclass, with types as in `load_section`.
        table: Values by key.
        where: Source of the table, for messages.
        what: Name of the table, for messages.
        defaults: Values that replace some defaults of `kind`, by key.

    Raises:
        ConfigError: A key is unknown, of the wrong type or out of range.
    """
    types = get_type_hints(kind)
    values = dict(defaults)
    for key, value in table.items():
        if key not in types:
            raise ConfigError(where, f"{what} has no key {key!r}; its keys: {', '.join(types)}")
        values[key] = _checked(where, f"{what} {key}", value, types[key])
    try:
        return kind(**values)
    except ValueError as error:
        raise ConfigError(where, f"{what} {error}") from error


def keys_given(
    name: str,
    kind: type[Section],
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Return the keys of a section that are set, and the file or variable that sets each.

    Args:
        name: Section: batch, gate, rules, fetch, stream, serve, store or cron.
        kind: Frozen dataclass of the section.
        file: TOML file; None means `marquee.toml` if there is one.
        environ: Environment that may hold `MARQUEE_<SECTION>_<KEY>`.

    Raises:
        ConfigError: The file cannot be read.
    """
    configured = _configured(name, get_type_hints(kind), file, environ)
    return {key: str(where) for key, (where, _) in configured.items()}


def _configured(
    name: str, types: Mapping[str, Any], file: Path | None, environ: Mapping[str, str]
) -> dict[str, tuple[Path, Any]]:
    """Return the values from file and environment by key, each with its source."""
    source = file or DEFAULT_FILE
    configured = {key: (source, value) for key, value in _read(file).get(name, {}).items()}
    prefix = f"{_PREFIX}{name.upper()}_"
    for variable, text in environ.items():
        _check_variable(variable)
        if variable.startswith(prefix) and variable != _NOT_RECORDED:
            key = variable.removeprefix(prefix).lower()
            configured[key] = (Path(variable), _from_environment(variable, text, types.get(key)))
    return configured


def _read(file: Path | None) -> dict[str, dict[str, Any]]:
    path = file or DEFAULT_FILE
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if file is None:
            return {}
        raise ConfigError(path, "no such file", "name one that exists with --config") from None
    except (OSError, ValueError) as error:
        raise ConfigError(path, f"cannot be read as TOML: {error}") from error
    for name, section in document.items():
        if name not in _SECTIONS or not isinstance(section, dict):
            raise ConfigError(
                path, f"{name!r} is not a section; the sections: {', '.join(_SECTIONS)}"
            )
    return document


def _check_variable(variable: str) -> None:
    sections = tuple(f"{_PREFIX}{name.upper()}_" for name in _SECTIONS)
    if variable.startswith(_PREFIX) and not variable.startswith((*sections, _FOR_TESTS)):
        raise ConfigError(
            variable, f"does not name a section; the sections: {', '.join(_SECTIONS)}"
        )


def _from_environment(variable: str, text: str, kind: Any) -> Any:
    """Read `text` as a TOML value, or unchanged where the field is a string."""
    if kind is str or kind is None:
        return text
    if kind in (_TABLE, _TABLES):
        remedy = "set it in marquee.toml, or by the option of the command"
        raise ConfigError(variable, "is a table, which the environment does not override", remedy)
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(variable, f"{text!r} is not a TOML value") from error


def _checked(where: Path, what: str, value: Any, kind: Any) -> Any:
    if kind == _TABLE:
        return _checked_table(where, what, value)
    if kind == _TABLES:
        if isinstance(value, dict) and all(isinstance(entry, dict) for entry in value.values()):
            return value
        raise ConfigError(where, f"{what} must be a table of tables, not {value!r}")
    if isinstance(kind, GenericAlias):  # tuple[str, ...] is the only other one that settings use
        if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
            return tuple(value)
        raise ConfigError(where, f"{what} must be a list of strings, not {value!r}")
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ConfigError(where, f"{what} must be of type {kind.__name__}, not {value!r}")
    return value


def _checked_table(where: Path, what: str, value: Any) -> dict[str, str]:
    """Return a table of texts; numbers and truth values become text, as in TOML."""
    if not isinstance(value, dict):
        raise ConfigError(where, f"{what} must be a table, not {value!r}")
    for key, entry in value.items():
        if type(entry) not in (str, int, float, bool):
            raise ConfigError(where, f"{what}.{key} must be text or a number, not {entry!r}")
    return {key: _as_text(entry) for key, entry in value.items()}


def _as_text(entry: str | float) -> str:
    return str(entry).lower() if isinstance(entry, bool) else str(entry)
