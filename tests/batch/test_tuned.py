"""The tuned file: writing, reading, refusal, and its precedence among the settings."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from batch.__main__ import main
from batch.errors import InputError
from batch.settings import MODELS, BatchSettings
from batch.tuning.space import SPACE_BY_MODEL, OneOf, tunable
from batch.tuning.tuned import load_settings, read_tuned, write_tuned
from tests.histories import write_history

FOUND = {"n_factors": 24, "regularization": 3.5, "alpha": 1e-05, "half_life_days": 30.0}


@pytest.fixture
def tuned(tmp_path, monkeypatch):
    """Write a tuned file, and a marquee.toml that names it, in a new directory."""
    monkeypatch.chdir(tmp_path)
    write_tuned(Path("best.toml"), "als", FOUND, {"trials": 3, "study": "als-1"})
    Path("marquee.toml").write_text('[batch]\nmodel = "als"\ntuned = "best.toml"\n')
    return Path("best.toml")


def test_written_parameters_are_read_exactly(tuned):
    assert read_tuned(tuned, "als") == FOUND


def test_tuned_file_overrides_the_defaults_alone(tuned):
    """marquee.toml overrides it, and the environment overrides both."""
    defaults = asdict(BatchSettings())
    expected = defaults | FOUND | {"model": "als", "tuned": "best.toml"}
    assert asdict(load_settings(None, {})) == expected
    with Path("marquee.toml").open("a") as config:
        config.write("n_factors = 12\nalpha = 7.0\n")
    settings = load_settings(None, {"MARQUEE_BATCH_ALPHA": "9.0"})
    assert (settings.n_factors, settings.alpha, settings.regularization) == (12, 9.0, 3.5)


def test_environment_can_name_the_tuned_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tuned(Path("x.toml"), "bpr", {"bpr_iterations": 7}, {})
    environ = {"MARQUEE_BATCH_TUNED": "x.toml", "MARQUEE_BATCH_MODEL": "bpr"}
    assert load_settings(None, environ).bpr_iterations == 7


def test_settings_without_a_tuned_file_are_the_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_settings(None, {}) == BatchSettings()


@pytest.mark.parametrize(
    ("config", "environ", "fold_in"),
    [
        ("[stream]\ntopic = 'movielog1'\n", {}, "on"),
        ("[fresh]\nn_threads = 2\n", {}, "on"),
        ("", {"MARQUEE_STREAM_TOPIC": "movielog1"}, "on"),
        ("[stream]\n", {}, "auto"),
        ("[fresh]\nn_threads = 2\n[batch]\nmodel = 'bpr'\n", {}, "auto"),
        ("[fresh]\nn_threads = 2\n[batch]\nsecond_stage = 'on'\n", {}, "auto"),
        ("[fresh]\nn_threads = 2\n[batch]\nfold_in = 'off'\n", {}, "off"),
    ],
)
def test_a_configured_stream_needs_models_that_fold_in(
    tmp_path, monkeypatch, config, environ, fold_in
):
    """`auto` is `on` then, unless another setting excludes it."""
    monkeypatch.chdir(tmp_path)
    Path("marquee.toml").write_text(config)
    assert load_settings(None, environ).fold_in == fold_in


def test_whole_number_is_accepted_for_a_float(tuned):
    """As in marquee.toml."""
    tuned.write_text('model = "als"\n[parameters]\nalpha = 3\n')
    assert read_tuned(tuned, "als") == {"alpha": 3.0}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('model = "bpr"\n[parameters]\nalpha = 3.0\n', "tuned for the model 'bpr', not for 'als'"),
        ("[parameters]\nalpha = 3.0\n", "tuned for the model None"),
        ('model = "als"\n[parameters]\nalhpa = 3.0\n', "not tunable parameters of als: alhpa"),
        ('model = "als"\n[parameters]\nseed = 3\n', "not tunable parameters of als: seed"),
        ('model = "als"\n[parameters]\nbpr_iterations = 3\n', "not tunable .*: bpr_iterations"),
        ('model = "als"\n[parameters]\nn_factors = 3.0\n', "n_factors must be of type int"),
        ('model = "als"\n[parameters]\nn_factors = true\n', "n_factors must be of type int"),
        ('model = "als"\n[parameters]\nalpha = -3.0\n', "alpha must be 0 or more"),
        ('model = "als"\n[parameters]\nalpha = inf\n', "alpha must be 0 or more, and finite"),
        ('model = "als"\nparameters = 3\n', "`parameters` is not a table"),
        ('model = "als"\nextra = 3\n[parameters]\n', "unknown key extra"),
        ("model = auto\n", "cannot be read as TOML"),
        ("\udcff", "cannot be read as TOML"),
    ],
    ids=["other-model", "no-model", "typo", "seed", "other-parameter", "type", "bool", "range",
         "infinite", "no-table", "extra", "no-toml", "no-text"],
)  # fmt: skip
def test_invalid_tuned_file_is_refused(tuned, text, what):
    """The error names the file, the problem and the remedy."""
    tuned.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=what) as refused:
        load_settings(None, {})
    assert "best.toml: " in str(refused.value)
    assert "`python -m batch tune`" in str(refused.value)


def test_missing_tuned_file_is_refused(tuned, capsys):
    """A refresh does not train with the defaults instead."""
    tuned.unlink()
    assert main(["refresh", "--events", "none.log"]) == 1
    assert "best.toml: no such file" in capsys.readouterr().err


def test_manifest_of_a_refresh_has_the_tuned_parameters(tuned, capsys):
    history = write_history(Path("history"))
    events = ["--events", str(history.events), "--json"]
    assert main(["refresh", *events]) == 0
    snapshot = Path(json.loads(capsys.readouterr().out)["snapshot"])
    parameters = json.loads((snapshot / "MANIFEST.json").read_text())["parameters"]
    assert {name: parameters[name] for name in FOUND} == FOUND
    assert parameters["tuned"] == "best.toml"


def test_tuning_starts_from_the_defaults_and_ignores_the_tuned_file(tuned, capsys):
    """Even one of another model."""
    tuned.write_text('model = "bpr"\n')
    history = write_history(Path("history"))
    arguments = ["--events", str(history.events), "--model", "item_knn", "--trials", "1"]
    assert main(["tune", *arguments, "--split", "leave-last-out", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"]["n_neighbours"] == BatchSettings().n_neighbours


@pytest.mark.parametrize("model", MODELS)
def test_defaults_lie_in_the_search_space(model):
    """They are the first trial."""
    defaults = BatchSettings()
    assert set(SPACE_BY_MODEL[model]) <= tunable(model)
    for name, choice in SPACE_BY_MODEL[model].items():
        value = getattr(defaults, name)
        if isinstance(choice, OneOf):
            assert value in choice.values
        else:
            assert choice.low <= value <= choice.high
