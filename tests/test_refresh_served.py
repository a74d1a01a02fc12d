"""A refresh leaves what the speed layer needs: histories folded in from it give its lists."""

import pytest

from batch.__main__ import main
from batch.served.files import open_served
from batch.unavailable import Unavailable
from store.check import broken_records
from store.layout import LIST_LENGTH, SEEN, is_model_file
from store.snapshot import open_snapshot
from tests.histories import write_history
from tests.refreshes import inputs, run_refresh


@pytest.fixture
def history(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the quarantine is made in `var`
    return write_history(tmp_path / "history")


@pytest.mark.parametrize("model", ["auto", "als", "last_items"])
def test_histories_of_the_snapshot_give_its_lists(history, tmp_path, capsys, monkeypatch, model):
    """Each user alone, from the files: list and spares are those stored, byte for byte."""
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", model)
    n_shards = 3 if model == "last_items" else 1
    monkeypatch.setenv("MARQUEE_BATCH_SHARDS", str(n_shards))
    run_refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        assert list(broken_records(snapshot)) == []
    with open_snapshot(tmp_path / "store", 1) as snapshot, open_served(snapshot) as served:
        assert not isinstance(served, Unavailable)
        assert snapshot.manifest.n_shards == n_shards
        n_kept = LIST_LENGTH + snapshot.manifest.parameters["n_spares"]
        for user, body in snapshot.users:
            histories = served.histories([user.decode()])
            seen = {served.item_ids[row] for row in histories.weights.indices.tolist()}
            assert seen == history.seen[user.decode()]
            rows = served.fold_in(histories).top_k(n_kept).item_rows[0].tolist()
            names = [served.item_ids[row].encode() for row in rows if row >= 0]
            assert b",".join(names[:LIST_LENGTH]) == body
            assert b",".join(names[LIST_LENGTH:]) == (snapshot.spares.get(user) or b"")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"FOLD_IN": "off"}, "fold_in is off"), ({"MODEL": "bpr"}, "bpr cannot fold in users")],
    ids=["off", "bpr"],
)
def test_a_snapshot_without_the_files_says_why(
    history, tmp_path, capsys, monkeypatch, settings, reason
):
    """It is of format version 1, as before; the summary warns, unless that is intended."""
    for name, value in settings.items():
        monkeypatch.setenv(f"MARQUEE_BATCH_{name}", value)
    summary = run_refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    warned = [one for one in summary["warnings"] if one.startswith("fresh lists:")]
    assert len(warned) == (settings.get("FOLD_IN") != "off")
    assert all(reason in one for one in warned)
    with open_snapshot(tmp_path / "store", 1) as snapshot, open_served(snapshot) as served:
        assert isinstance(served, Unavailable)
        assert reason in served.reason
        files = snapshot.manifest.files
        assert snapshot.manifest.format_version == 1
    assert SEEN not in files
    assert not any(map(is_model_file, files))


@pytest.mark.parametrize("other", [("MODEL", "bpr"), ("SECOND_STAGE", "on")])
def test_what_cannot_fold_in_is_refused_where_it_is_needed(
    history, tmp_path, capsys, monkeypatch, other
):
    """An error that names the settings; nothing is written."""
    monkeypatch.setenv("MARQUEE_BATCH_FOLD_IN", "on")
    monkeypatch.setenv(f"MARQUEE_BATCH_{other[0]}", other[1])
    assert main(["refresh", *map(str, inputs(history)), "--store", str(tmp_path / "store")]) != 0
    assert 'fold_in = "on" excludes' in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
