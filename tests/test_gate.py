"""The gate in the refresh: a worse snapshot is built and kept, but not served."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from batch.__main__ import main
from store.errors import RefusedSnapshotError
from store.journal import journal
from store.layout import snapshot_folder
from store.manifest import read_manifest, verify
from store.pointer import current
from store.publish import pin, rollback, unpin
from tests.histories import History, write_history

N_USERS = 400


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, History]:
    """The log as it was a day before its end, and the whole history."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARQUEE_GATE_MIN_EVALUATED_USERS", "30")
    history = write_history(tmp_path / "history", n_users=N_USERS, n_views=12)
    lines = history.events.read_text().splitlines(keepends=True)
    before = tmp_path / "before.log"
    before.write_text("".join(line for line in lines if line < "2026-03-07T12"))
    return before, history


def refresh(capsys, events: Path, history: History, *more: object) -> tuple[int, dict, str]:
    arguments = ["refresh", "--json", "--events", events, "--catalogue", history.catalogue]
    status = main([*map(str, arguments), "--store", "store", *map(str, more)])
    output = capsys.readouterr()
    return status, json.loads(output.out) if output.out else {}, output.err


def run_named_command(message: str) -> str:
    """Run the command that a refusal names to inspect the refused snapshot."""
    [named] = re.findall("`python -m store (show [^`]+)`", message)
    command = [sys.executable, "-m", "store", "--store", "store", *named.split()]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    return subprocess.check_output(command, env=environment, text=True)


def notes(summary: dict) -> dict[str, str]:
    return {check["rule"]: check["note"] for check in summary["gate"]["checks"]}


def half_of_the_users(history: History, tmp_path: Path) -> Path:
    users = set(list(history.seen)[: N_USERS // 2])
    path = tmp_path / "half.log"
    lines = history.events.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if line.split(",")[1] in users))
    return path


def test_a_refresh_starts_from_its_parent_and_is_compared_with_it(nights, capsys):
    """A warm start and a trial against the served lists, both in the manifest."""
    before, history = nights
    status, first, _ = refresh(capsys, before, history)
    assert (status, first["learned_from"]) == (0, "none: no snapshot is served yet")
    status, second, _ = refresh(capsys, history.events, history)
    assert (status, second["learned_from"]) == (0, "generation 1")
    assert "users on the last day" in notes(second)["loss to served"]
    manifest = read_manifest(snapshot_folder(Path("store"), 2))
    assert manifest.gate.as_json() == second["gate"]
    assert manifest.gate.result == "passed"
    assert manifest.metrics["data_until"].startswith("2026-03-07T23")
    assert {"last_day_users", "last_day_ndcg_new", "last_day_ndcg_served"} <= set(manifest.metrics)
    assert manifest.parameters["gate"]["max_loss_to_popular"] == 0.05


def test_the_same_data_again_is_trained_without_a_warm_start(nights, capsys):
    """The served vectors were trained on the last day, too."""
    _, history = nights
    refresh(capsys, history.events, history)
    status, again, _ = refresh(capsys, history.events, history)
    assert status == 0
    assert again["learned_from"] == "none: the served snapshot was trained on the last day, too"
    assert notes(again)["loss to served"] == (
        "not evaluated: the served snapshot was trained on the last day"
    )


def test_a_snapshot_without_half_of_the_users_is_refused(nights, tmp_path, capsys):
    """The error has check, figure, threshold and remedy; journal and manifest have them too."""
    _, history = nights
    refresh(capsys, history.events, history)
    status, _, error = refresh(capsys, half_of_the_users(history, tmp_path), history)
    assert status == 3
    last = error.splitlines()[-1]
    assert "users: 200 after 400, a share of 0.500, limit 0.9" in last
    assert '--override-gate "why"' in last
    assert re.search(r"result +refused", run_named_command(last))
    store = Path("store")
    assert current(store) == 1
    assert verify(snapshot_folder(store, 2)).gate.result == "refused"
    line = journal(store)[-1]
    assert (line.generation, line.what) == (2, "refused")
    assert "200 after 400" in line.why


def test_a_refused_snapshot_cannot_be_served(nights, tmp_path, capsys):
    """Neither by rollback nor by pin nor by unpin."""
    _, history = nights
    refresh(capsys, history.events, history)
    refresh(capsys, half_of_the_users(history, tmp_path), history)
    store = Path("store")
    for verb in (rollback, pin):
        with pytest.raises(RefusedSnapshotError):
            verb(store, "test", to=2)
    pin(store, "test")
    assert unpin(store, "test") == current(store) == 1


@pytest.mark.parametrize("why", ["", " \t"], ids=["empty", "blank"])
def test_an_override_requires_a_reason(why, capsys):
    """Without one it is wrong usage, before any work."""
    with pytest.raises(SystemExit) as ended:
        main(["refresh", "--events", "x", "--override-gate", why])
    assert ended.value.code == 2
    assert "--override-gate: a reason is required" in capsys.readouterr().err


def test_an_override_holds_for_one_refresh(nights, tmp_path, capsys):
    """The reason is in manifest and journal, and the next worse snapshot is refused again."""
    _, history = nights
    refresh(capsys, history.events, history)
    half = half_of_the_users(history, tmp_path)
    why = "half of the users moved to another service"
    status, summary, _ = refresh(capsys, half, history, "--override-gate", why)
    assert (status, summary["gate"]["result"], summary["is_current"]) == (0, "overridden", True)
    assert summary["gate"]["override"] == why
    line = journal(Path("store"))[-1]
    assert line.what == "publish"
    assert why in line.why
    assert "200 after 400" in line.why
    lines = half.read_text().splitlines(keepends=True)
    fewer = {line.split(",")[1] for line in lines[:60]}
    half.write_text("".join(line for line in lines if line.split(",")[1] in fewer))
    status, _, error = refresh(capsys, half, history)
    assert status == 3
    assert "refused by the gate" in error


def test_bad_parameters_are_refused(nights, capsys, monkeypatch):
    """A model with an extreme regularization has a significant loss to the served lists."""
    before, history = nights
    refresh(capsys, before, history)
    monkeypatch.setenv(
        "MARQUEE_GATE_MAX_LOSS_TO_SERVED", "0.05"
    )  # narrow, for the small number of users
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", "als")
    monkeypatch.setenv("MARQUEE_BATCH_REGULARIZATION", "1000000")
    status, _, error = refresh(capsys, history.events, history)
    assert status == 3
    assert "loss to served: NDCG@20 of" in error
    assert current(Path("store")) == 1


def test_a_damaged_parent_does_not_stop_the_refresh(nights, capsys):
    """It gives neither a warm start nor lists to compare with."""
    before, history = nights
    refresh(capsys, before, history)
    factors = snapshot_folder(Path("store"), 1) / "factors.mdb"
    with factors.open("r+b") as file:
        file.seek(9000)
        file.write(b"\xff" * 100)
    status, summary, _ = refresh(capsys, history.events, history)
    assert status == 0
    assert "the served snapshot is damaged" in summary["learned_from"]


def test_vectors_of_another_length_are_not_a_warm_start(nights, capsys, monkeypatch):
    """After a change of n_factors the summary has the reason."""
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", "als")
    before, history = nights
    refresh(capsys, before, history)
    monkeypatch.setenv("MARQUEE_BATCH_N_FACTORS", "16")
    status, summary, _ = refresh(capsys, history.events, history)
    assert status == 0
    assert summary["learned_from"] == "none: vectors of generation 1 have another length"


def test_a_warm_start_gives_the_same_bytes_on_one_and_on_two_threads(nights, tmp_path, capsys):
    """Same input, parameters, seed and parent: the same bytes, trial included."""
    before, history = nights
    for threads in ("1", "2"):
        config = tmp_path / f"{threads}.toml"
        config.write_text(f"[batch]\nn_threads = {threads}\n")
        for events in (before, history.events):
            more = ("--config", config, "--store", tmp_path / threads)
            assert refresh(capsys, events, history, *more)[0] == 0
    for name in ("recs.mdb", "factors.mdb", "items.ann"):
        one, two = (tmp_path / n / "snapshots" / "000002" / name for n in "12")
        assert one.read_bytes() == two.read_bytes(), name
