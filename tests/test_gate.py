"""The gate in the refresh: night after night, what is worse is built, kept and not served."""

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
    """The whole log, and the same as it was a day before its end."""
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


def show_as_told(message: str) -> str:
    """Run the command that a refusal names to look at what was refused."""
    [named] = re.findall("`python -m store (show [^`]+)`", message)
    command = [sys.executable, "-m", "store", "--store", "store", *named.split()]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    return subprocess.check_output(command, env=environment, text=True)


def notes(summary: dict) -> dict[str, str]:
    return {check["rule"]: check["note"] for check in summary["gate"]["checks"]}


def few_users_of(history: History, tmp_path: Path) -> Path:
    users = set(list(history.seen)[: N_USERS // 2])
    path = tmp_path / "half.log"
    lines = history.events.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if line.split(",")[1] in users))
    return path


def test_a_night_begins_with_what_is_served_and_is_judged_beside_it(nights, capsys):
    """Warm vectors, a trial on the last day against the served lists, all in the manifest."""
    before, history = nights
    status, first, _ = refresh(capsys, before, history)
    assert (status, first["learned_from"]) == (0, "nothing: nothing is served yet")
    status, second, _ = refresh(capsys, history.events, history)
    assert (status, second["learned_from"]) == (0, "generation 1")
    assert "users on the last day" in notes(second)["loss to served"]
    manifest = read_manifest(snapshot_folder(Path("store"), 2))
    assert manifest.gate.as_json() == second["gate"]
    assert manifest.gate.result == "passed"
    assert manifest.metrics["data_until"].startswith("2026-03-07T23")
    assert {"last_day_users", "last_day_ndcg_new", "last_day_ndcg_served"} <= set(manifest.metrics)
    assert manifest.parameters["gate"]["max_loss_to_popular"] == 0.05


def test_the_same_data_again_is_learned_from_nothing(nights, capsys):
    """The served vectors have seen the day that the trial is judged by."""
    _, history = nights
    refresh(capsys, history.events, history)
    status, again, _ = refresh(capsys, history.events, history)
    assert status == 0
    assert "has seen the day" in again["learned_from"]
    assert notes(again)["loss to served"] == "not judged: it has seen the last day"


def test_half_of_the_users_gone_is_refused_and_the_old_one_served(nights, tmp_path, capsys):
    """The error names rule, figure, threshold and the way out; the journal and manifest too."""
    _, history = nights
    refresh(capsys, history.events, history)
    status, _, error = refresh(capsys, few_users_of(history, tmp_path), history)
    assert status == 3
    last = error.splitlines()[-1]
    assert "users: 200 after 400 are 0.500 of the served, at least 0.9 wanted" in last
    assert '--override-gate "why"' in last
    assert re.search(r"result +refused", show_as_told(last))
    store = Path("store")
    assert current(store) == 1
    assert verify(snapshot_folder(store, 2)).gate.result == "refused"
    line = journal(store)[-1]
    assert (line.generation, line.what) == (2, "refused")
    assert "200 after 400" in line.why


def test_a_refused_snapshot_is_not_served_by_any_other_way(nights, tmp_path, capsys):
    """Neither by rollback nor by pin nor by unpin."""
    _, history = nights
    refresh(capsys, history.events, history)
    refresh(capsys, few_users_of(history, tmp_path), history)
    store = Path("store")
    for way in (rollback, pin):
        with pytest.raises(RefusedSnapshotError):
            way(store, "let me", to=2)
    pin(store, "for now")
    assert unpin(store, "no more") == current(store) == 1


@pytest.mark.parametrize("why", ["", " \t"], ids=["empty", "blank"])
def test_an_override_wants_a_reason(why, capsys):
    """Who gives none would think the gate open, and find it shut after the night's work."""
    with pytest.raises(SystemExit) as ended:
        main(["refresh", "--events", "x", "--override-gate", why])
    assert ended.value.code == 2
    assert "--override-gate: say why" in capsys.readouterr().err


def test_an_override_publishes_this_one_and_not_the_next(nights, tmp_path, capsys):
    """The reason stands in manifest and journal, and the next worse one is refused again."""
    _, history = nights
    refresh(capsys, history.events, history)
    half = few_users_of(history, tmp_path)
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
    """A model that learned nothing loses to what is served, by the last day's users."""
    before, history = nights
    refresh(capsys, before, history)
    monkeypatch.setenv("MARQUEE_GATE_MAX_LOSS_TO_SERVED", "0.05")  # so few users tell no more
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", "als")
    monkeypatch.setenv("MARQUEE_BATCH_REGULARIZATION", "1000000")
    status, _, error = refresh(capsys, history.events, history)
    assert status == 3
    assert "loss to served: NDCG@20 of" in error
    assert current(Path("store")) == 1


def test_the_served_snapshot_need_not_be_whole(nights, capsys):
    """A damaged one lends no vectors and is not compared with, and the refresh goes on."""
    before, history = nights
    refresh(capsys, before, history)
    factors = snapshot_folder(Path("store"), 1) / "factors.mdb"
    with factors.open("r+b") as file:
        file.seek(9000)
        file.write(b"\xff" * 100)
    status, summary, _ = refresh(capsys, history.events, history)
    assert status == 0
    assert "the served snapshot is damaged" in summary["learned_from"]


def test_vectors_of_another_length_are_not_begun_with(nights, capsys, monkeypatch):
    """A change of n_factors begins from nothing, and says so."""
    before, history = nights
    refresh(capsys, before, history)
    monkeypatch.setenv("MARQUEE_BATCH_N_FACTORS", "16")
    status, summary, _ = refresh(capsys, history.events, history)
    assert status == 0
    assert summary["learned_from"] == "nothing: generation 1 has vectors of another length"


def test_a_second_night_is_the_same_on_one_and_on_two_threads(nights, tmp_path, capsys):
    """Same input, parameters, seed and parent: the same bytes, trial and warm start included."""
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
