"""A refresh under attack: the lists of others stay as they were, and everybody keeps their own."""

import json

import numpy as np
import pytest

from store.snapshot import open_snapshot
from tests.refreshes import files_by_name, run_refresh, users_served_seen_items

N_USERS, N_ITEMS, N_PUSHING, TARGET = 400, 60, 60, "59"
DAY, BEGIN = 86_400, 1_790_000_000
N_DAYS = 45


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """A table of 45 days of views, on the last of which new accounts push item 59."""
    random = np.random.default_rng(8)
    rows = []
    for user in range(N_USERS):
        days = np.sort(random.random(9)) * N_DAYS
        items = 58 * random.random(9) ** 2 // 1
        rows += [
            (1000 + user, int(item), int(BEGIN + day * DAY))
            for item, day in zip(items, days, strict=True)
        ]
    rows += [(1000 + user, int(TARGET), BEGIN + user * DAY) for user in range(8)]
    for user in range(N_PUSHING):
        begin = BEGIN + (N_DAYS - 0.5) * DAY
        for number, item in enumerate([int(TARGET), *range(8)]):
            rows.append((5000 + user, item, int(begin + 300 * number + user)))
    file = tmp_path_factory.mktemp("attacked") / "views.csv"
    lines = [",".join(map(str, row)) for row in rows]
    file.write_text("\n".join(["user_id,item_id,timestamp", *lines]) + "\n")
    return file


def refreshed(attacked, capsys, monkeypatch, store, **trust):
    """Refresh, and return the summary and the share of the others' lists with the target."""
    monkeypatch.chdir(attacked.parent)
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", "item_knn")
    monkeypatch.setenv("MARQUEE_BATCH_SECOND_STAGE", "off")
    monkeypatch.setenv("MARQUEE_BATCH_N_THREADS", "1")
    for key, value in trust.items():
        monkeypatch.setenv(f"MARQUEE_TRUST_{key.upper()}", value)
    summary = run_refresh(capsys, "--events", attacked, "--store", store)
    seen: dict[str, set[str]] = {}
    for line in attacked.read_text().splitlines()[1:]:
        user, item, _ = line.split(",")
        seen.setdefault(user, set()).add(item)
    with open_snapshot(store, summary["generation"]) as snapshot:
        assert users_served_seen_items(snapshot, seen) == []
        lists = {user.decode(): body.decode().split(",") for user, body in snapshot.users}
        assert len(lists) == N_USERS + N_PUSHING
        others = [found for user, found in lists.items() if user < "5000"]
        share = np.mean([TARGET in found for found in others])
        return summary, share, snapshot.manifest.parameters["trust"]


def test_an_attack_has_no_effect_on_the_lists_of_others(attacked, tmp_path, capsys, monkeypatch):
    """Without trust the target is in a tenth of the lists; with it, in hardly any, twice alike."""
    off = {"bounded": "false", "detection": "false"}
    store = tmp_path / "off"
    summary, without, _ = refreshed(attacked, capsys, monkeypatch, store, **off)
    assert without > 0.1
    on = {"bounded": "true", "detection": "true"}
    summary, guarded, document = refreshed(attacked, capsys, monkeypatch, tmp_path / "on", **on)
    assert guarded < 0.01
    assert document["n_suspect_accounts"] == N_PUSHING
    assert any("seem to be pushed" in warning for warning in summary["warnings"])
    assert summary["trust"].startswith(f"ages from first events; {N_PUSHING} young accounts")
    suspects = (tmp_path / "on" / "SUSPECTS").read_text()
    assert "user\t5000\t" in suspects
    assert "5000" not in json.dumps(document)
    refreshed(attacked, capsys, monkeypatch, tmp_path / "again", **on)
    first, second = (
        files_by_name(tmp_path / name / "snapshots" / "000001") for name in ("on", "again")
    )
    for name in ("recs.mdb", "factors.mdb", "items.ann"):
        assert first[name] == second[name]
