"""The tuned file: written, read, refused, and where it stands among the settings."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from batch.__main__ import main
from batch.errors import InputError
from batch.settings import MODELS, BatchSettings
from batch.tuning.space import _OF_MODEL, OneOf, tunable
from batch.tuning.tuned import load_settings, read_tuned, write_tuned
from tests.histories import write_history

FOUND = {"n_factors": 24, "regularization": 3.5, "alpha": 1e-05, "half_life_days": 30.0}


@pytest.fixture
def tuned(tmp_path, monkeypatch):
    """A tuned file that marquee.toml names, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    write_tuned(Path("best.toml"), "auto", FOUND, {"trials": 3, "study": "auto-1"})
    Path("marquee.toml").write_text('[batch]\ntuned = "best.toml"\n')
    return Path("best.toml")


def test_what_is_written_is_read(tuned):
    """To the last bit."""
    assert read_tuned(tuned, "auto") == FOUND


def test_it_stands_above_the_defaults_alone(tuned):
    """Then marquee.toml, then the environment."""
    usual = asdict(BatchSettings())
    assert asdict(load_settings(None, {})) == usual | FOUND | {"tuned": "best.toml"}
    Path("marquee.toml").write_text('[batch]\ntuned = "best.toml"\nn_factors = 12\nalpha = 7.0\n')
    settings = load_settings(None, {"MARQUEE_BATCH_ALPHA": "9.0"})
    assert (settings.n_factors, settings.alpha, settings.regularization) == (12, 9.0, 3.5)


def test_the_environment_can_name_it(tmp_path, monkeypatch):
    """As every setting."""
    monkeypatch.chdir(tmp_path)
    write_tuned(Path("x.toml"), "bpr", {"bpr_iterations": 7}, {})
    environ = {"MARQUEE_BATCH_TUNED": "x.toml", "MARQUEE_BATCH_MODEL": "bpr"}
    assert load_settings(None, environ).bpr_iterations == 7


def test_without_one_nothing_changes(tmp_path, monkeypatch):
    """The default."""
    monkeypatch.chdir(tmp_path)
    assert load_settings(None, {}) == BatchSettings()


def test_a_person_may_write_a_whole_number_for_a_factor(tuned):
    """As marquee.toml takes it."""
    tuned.write_text('model = "auto"\n[parameters]\nalpha = 3\n')
    assert read_tuned(tuned, "auto") == {"alpha": 3.0}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('model = "als"\n[parameters]\nalpha = 3.0\n', "tuned for the model 'als', not for 'auto'"),
        ("[parameters]\nalpha = 3.0\n", "tuned for the model None"),
        ('model = "auto"\n[parameters]\nalhpa = 3.0\n', "sets alhpa"),
        ('model = "auto"\n[parameters]\nseed = 3\n', "sets seed"),
        ('model = "auto"\n[parameters]\nbpr_iterations = 3\n', "sets bpr_iterations"),
        ('model = "auto"\n[parameters]\nn_factors = 3.0\n', "n_factors must be of type int"),
        ('model = "auto"\n[parameters]\nn_factors = true\n', "n_factors must be of type int"),
        ('model = "auto"\n[parameters]\nalpha = -3.0\n', "alpha must be 0 or more"),
        ('model = "auto"\n[parameters]\nalpha = inf\n', "alpha must be 0 or more, and finite"),
        ('model = "auto"\nparameters = 3\n', "no place for such parameters"),
        ('model = "auto"\nextra = 3\n[parameters]\n', "no place for extra"),
        ("model = auto\n", "cannot be read as TOML"),
        ("\udcff", "cannot be read as TOML"),
    ],
    ids=["other-model", "no-model", "typo", "seed", "other-parameter", "type", "bool", "range",
         "infinite", "no-table", "extra", "no-toml", "no-text"],
)  # fmt: skip
def test_what_tuning_never_writes_is_refused(tuned, text, what):
    """With the file, what is wrong with it, and the way out."""
    tuned.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=what) as refused:
        load_settings(None, {})
    assert "best.toml: " in str(refused.value)
    assert "`python -m batch tune`" in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tuned, capsys):
    """Rather than to train with other parameters than somebody believes."""
    tuned.unlink()
    assert main(["refresh", "--events", "none.log"]) == 1
    assert "best.toml: no such file" in capsys.readouterr().err


def test_the_refresh_takes_it_and_the_manifest_tells(tuned, capsys):
    """Provenance: what was tuned stands with all other parameters."""
    history = write_history(Path("history"))
    events = ["--events", str(history.events), "--json"]
    assert main(["refresh", *events]) == 0
    snapshot = Path(json.loads(capsys.readouterr().out)["snapshot"])
    parameters = json.loads((snapshot / "MANIFEST.json").read_text())["parameters"]
    assert {name: parameters[name] for name in FOUND} == FOUND
    assert parameters["tuned"] == "best.toml"


def test_tuning_goes_on_from_the_defaults_whatever_is_in_force(tuned, capsys):
    """A file of another model does not keep anybody from making a new one."""
    tuned.write_text('model = "bpr"\n')
    history = write_history(Path("history"))
    arguments = ["--events", str(history.events), "--model", "item_knn", "--trials", "1"]
    assert main(["tune", *arguments, "--split", "last-out", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"]["n_neighbours"] == BatchSettings().n_neighbours


@pytest.mark.parametrize("model", MODELS)
def test_defaults_lie_where_tuning_looks(model):
    """Or they could not be tried first."""
    usual = BatchSettings()
    assert set(_OF_MODEL[model]) <= tunable(model)
    for name, choice in _OF_MODEL[model].items():
        value = getattr(usual, name)
        if isinstance(choice, OneOf):
            assert value in choice.values
        else:
            assert choice.low <= value <= choice.high
