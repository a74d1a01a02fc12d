"""The file of what tuning found, and the settings with it.

# python -m batch tune …
model = "auto"

[parameters]                defaults < this < marquee.toml < environment < command line
n_factors = 32
alpha = 3.1

[about]                     where it came from, for people
trials = 50
"""

import dataclasses
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from batch.errors import InputError
from batch.settings import BatchSettings
from batch.tuning.space import tunable
from store.config import load_section
from store.durable import replace_durable

_KEYS: Final = ("model", "parameters", "about")
_TUNE_AGAIN: Final = "tune again with `python -m batch tune`, or take it out of [batch] tuned"


def load_settings(config: Path | None, environ: Mapping[str, str] = os.environ) -> BatchSettings:
    """Return the `[batch]` settings, in place of defaults what `[batch] tuned` has found.

    Args:
        config: The TOML file; None means `marquee.toml` if there is one.
        environ: As `load_section` has it.

    Raises:
        ConfigError: The settings are wrong.
        InputError: The tuned file cannot be read, is of another model or knows
            parameters that tuning never sets.
    """
    settings = load_section("batch", BatchSettings, config, environ)
    if not settings.tuned:
        return settings
    found = read_tuned(Path(settings.tuned), settings.model)
    return load_section("batch", BatchSettings, config, environ, defaults=found)


def read_tuned(path: Path, model: str) -> dict[str, Any]:
    """Return the parameters in a tuned file.

    Raises:
        InputError: It cannot be read, is of another model or knows parameters that
            tuning never sets, or their values are none that the settings take.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(path, "no such file", _TUNE_AGAIN) from None
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read as TOML: {error}", _TUNE_AGAIN) from error
    parameters = document.get("parameters", {})
    unknown = [key for key in document if key not in _KEYS]
    if unknown or not isinstance(parameters, dict):
        what = f"has no place for {', '.join(unknown) or 'such parameters'}"
        raise InputError(path, what, _TUNE_AGAIN)
    if document.get("model") != model:
        raise InputError(
            path,
            f"is tuned for the model {document.get('model')!r}, not for {model!r}",
            f"set [batch] model to that one, {_TUNE_AGAIN}",
        )
    if strange := sorted(parameters.keys() - tunable(model)):
        raise InputError(path, f"sets {', '.join(strange)}, which tuning never does", _TUNE_AGAIN)
    return _checked(path, parameters)


def write_tuned(
    path: Path, model: str, parameters: Mapping[str, Any], about: Mapping[str, Any]
) -> None:
    """Write a tuned file in one step, whole or not at all."""
    lines = [f"model = {_value(model)}", "", "[parameters]"]
    lines += [f"{name} = {_value(value)}" for name, value in parameters.items()]
    lines += ["", "[about]", *(f"{name} = {_value(value)}" for name, value in about.items())]
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_durable(path, "\n".join(lines) + "\n")


def _value(value: str | float) -> str:
    return json.dumps(value)  # of text and finite numbers, JSON and TOML say the same


def _checked(path: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    usual = BatchSettings()
    checked: dict[str, Any] = {}
    for name, value in parameters.items():
        kind = type(getattr(usual, name))
        checked[name] = float(value) if kind is float and type(value) is int else value
        if type(checked[name]) is not kind:
            what = f"{name} must be of type {kind.__name__}, not {value!r}"
            raise InputError(path, what, _TUNE_AGAIN)
    try:
        dataclasses.replace(usual, **checked)
    except ValueError as error:
        raise InputError(path, str(error), _TUNE_AGAIN) from error
    return checked
