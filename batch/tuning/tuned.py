"""The file of tuned parameters, and the settings that result from it.

# python -m batch tune …
model = "auto"

[parameters]                defaults < this < marquee.toml < environment < command line
n_factors = 32
alpha = 3.1

[about]                     provenance, for people
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
from store.config import is_configured, load_section
from store.durable import replace_durable

_NEED_FOLD_IN: Final = ("stream", "fresh")  # sections of what makes fresh lists
_KEYS: Final = ("model", "parameters", "about")
_TUNE_AGAIN: Final = "tune again with `python -m batch tune`, or remove it from [batch] tuned"


def load_settings(config: Path | None, environ: Mapping[str, str] = os.environ) -> BatchSettings:
    """Return the `[batch]` settings, with the file in `[batch] tuned` in place of the defaults.

    Where a stream is configured, `fold_in = "auto"` is `"on"`: its users expect fresh lists.

    Args:
        config: TOML file; None means `marquee.toml` if there is one.
        environ: Environment variables that override the file.

    Raises:
        ConfigError: A setting is not valid.
        InputError: The tuned file cannot be read, is of another model, or has an unknown
            parameter or a value that is not valid.
    """
    settings = load_section("batch", BatchSettings, config, environ)
    if settings.tuned:
        parameters = read_tuned(Path(settings.tuned), settings.model)
        settings = load_section("batch", BatchSettings, config, environ, defaults=parameters)
    has_stream = any(is_configured(name, config, environ) for name in _NEED_FOLD_IN)
    return settings.with_fold_in() if has_stream else settings


def read_tuned(path: Path, model: str) -> dict[str, Any]:
    """Return the parameters in a tuned file.

    Raises:
        InputError: The file cannot be read, is of another model, or has an unknown
            parameter or a value that is not valid.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(path, "no such file", _TUNE_AGAIN) from None
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read as TOML: {error}", _TUNE_AGAIN) from error
    parameters = document.get("parameters", {})
    unknown = [key for key in document if key not in _KEYS]
    if unknown:
        raise InputError(path, f"unknown key {', '.join(unknown)}", _TUNE_AGAIN)
    if not isinstance(parameters, dict):
        raise InputError(path, "`parameters` is not a table", _TUNE_AGAIN)
    if document.get("model") != model:
        raise InputError(
            path,
            f"tuned for the model {document.get('model')!r}, not for {model!r}",
            f"set [batch] model to it, or {_TUNE_AGAIN}",
        )
    if not_tunable := sorted(parameters.keys() - tunable(model)):
        names = ", ".join(not_tunable)
        raise InputError(path, f"not tunable parameters of {model}: {names}", _TUNE_AGAIN)
    return _checked(path, parameters)


def write_tuned(
    path: Path, model: str, parameters: Mapping[str, Any], about: Mapping[str, Any]
) -> None:
    """Write a tuned file atomically."""
    lines = [f"model = {_value(model)}", "", "[parameters]"]
    lines += [f"{name} = {_value(value)}" for name, value in parameters.items()]
    lines += ["", "[about]", *(f"{name} = {_value(value)}" for name, value in about.items())]
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_durable(path, "\n".join(lines) + "\n")


def _value(value: str | float) -> str:
    return json.dumps(value)  # text and finite numbers are the same in JSON and TOML


def _checked(path: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    defaults = BatchSettings()
    checked: dict[str, Any] = {}
    for name, value in parameters.items():
        kind = type(getattr(defaults, name))
        checked[name] = float(value) if kind is float and type(value) is int else value
        if type(checked[name]) is not kind:
            problem = f"{name} must be of type {kind.__name__}, not {value!r}"
            raise InputError(path, problem, _TUNE_AGAIN)
    try:
        dataclasses.replace(defaults, **checked)
    except ValueError as error:
        raise InputError(path, str(error), _TUNE_AGAIN) from error
    return checked
