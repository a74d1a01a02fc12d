"""The refresh, end to end: files in, every user's list out."""

import gzip
import subprocess
from pathlib import Path

import pytest

from batch.__main__ import main
from store.check import broken_records
from store.pointer import current
from store.publish import pin, unpin
from store.snapshot import open_snapshot
from store.takedown import take_down
from tests.histories import History, write_history
from tests.refreshes import inputs, run_refresh, users_served_seen_items


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.chdir(tmp_path)  # the quarantine is made in `var`
    return write_history(tmp_path / "history")


@pytest.fixture
def published(history, tmp_path, capsys) -> Path:
    """A store with one valid snapshot, which must not be changed."""
    run_refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    return tmp_path / "store"


def test_every_user_gets_a_valid_list_of_unseen_items(history, tmp_path, capsys):
    """All lists have 1 to 20 ids, without repeats, seen items, or items not in the catalogue."""
    summary = run_refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        assert {user.decode() for user, _ in snapshot.users} == set(history.seen)
        assert list(broken_records(snapshot)) == []
        assert users_served_seen_items(snapshot, history.seen) == []
    assert summary["n_users"] == len(history.seen)
    assert summary["rejected"] == summary["dropped"] == {}


def test_lists_are_personal(history, tmp_path, capsys, monkeypatch):
    """Users are recommended mostly items of their own group.

    The model is ALS: for so few users `auto` chooses popularity.
    """
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", "als")
    run_refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    matches = []
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        for row, user in enumerate(history.seen):
            body = snapshot.users.get(user.encode())
            assert body is not None
            best = body.decode().split(",")[:5]
            matches += [int(item.split("+")[1]) % 2 == row % 2 for item in best]
    assert sum(matches) / len(matches) > 0.7


def test_profiles_give_segments(history, tmp_path, capsys):
    """With profiles there is a list for each gender, and every profile has its segment."""
    run_refresh(capsys, *inputs(history), "--profiles", history.profiles, "--store", tmp_path / "s")
    with open_snapshot(tmp_path / "s", 1) as snapshot:
        assert {b"F", b"M", b"popular"} <= {key for key, _ in snapshot.fallback}
        assert {user.decode() for user, _ in snapshot.profiles} == set(history.seen)


def test_rejected_lines_are_counted_and_kept(history, tmp_path, capsys):
    """A broken line is counted under its reason, and is unchanged in the quarantine."""
    broken = b"2026-03-0 1T10:00,100,GET /data/m/film+1+1951/1.mpg"
    with history.events.open("ab") as file:
        file.write(broken + b"\r\n")
    summary = run_refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    assert summary["rejected"] == {"malformed time": 1}
    n_lines = history.events.read_bytes().count(b"\n")
    kept = Path(summary["quarantine"]).read_bytes()
    assert kept == b"malformed time\t%b\t%d\t%b\n" % (bytes(history.events), n_lines, broken)


def test_items_outside_the_catalogue_are_dropped_and_counted(history, tmp_path, capsys):
    """An unknown item is in no list, and a user with no other item gets none."""
    with history.events.open("a") as file:
        file.write("2026-03-01T10:00,5,GET /data/m/fil+m+1951/1.mpg\n" * 3)
    summary = run_refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    assert summary["dropped"] == {"item outside the catalogue": 3}
    assert summary["n_users_without"] == 1
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        assert snapshot.users.get(b"5") is None


def test_a_user_who_has_seen_everything_gets_the_fallback(history, tmp_path, capsys):
    """An empty list would be served; a user without unseen items has no record."""
    with history.events.open("a") as file:
        for item in history.item_ids:
            file.write(f"2026-03-01T10:00,5,GET /data/m/{item}/1.mpg\n")
    summary = run_refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    assert summary["n_users_without"] == 1
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        assert snapshot.users.get(b"5") is None


def test_items_taken_down_are_in_no_list(history, tmp_path, capsys):
    """The next refresh leaves them out of every table of lists, and lists are still full."""
    gone = ["film+0+1950", "film+1+1951", "no+such+film"]
    take_down(tmp_path / "store", gone, "licence ended")
    run_refresh(
        capsys, *inputs(history), "--profiles", history.profiles, "--store", tmp_path / "store"
    )
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        for name in ("users", "spares", "similar", "fallback"):
            shown = {
                item for _, body in getattr(snapshot, name) for item in body.decode().split(",")
            }
            assert shown.isdisjoint(gone), name
        assert {len(body.split(b",")) for _, body in snapshot.users} == {20}
        popular = snapshot.fallback.get(b"popular")
        assert popular is not None
        assert len(popular.split(b",")) == 20
        assert list(broken_records(snapshot)) == []
        assert snapshot.manifest.parameters["taken_down"] == gone


def test_a_refresh_of_a_pinned_store_is_not_published(history, published, tmp_path, capsys):
    """The summary has it, and unpin publishes the snapshot."""
    pin(published, "test")
    summary = run_refresh(capsys, *inputs(history), "--store", published)
    assert (summary["generation"], summary["is_current"], current(published)) == (2, False, 1)
    assert unpin(published, "test") == 2


def test_the_same_input_gives_the_same_bytes(history, tmp_path, capsys):
    """Line order, gzip and the number of threads change no byte of a data file."""
    run_refresh(capsys, *inputs(history), "--store", tmp_path / "a")
    lines = history.events.read_bytes().splitlines(keepends=True)
    shuffled = tmp_path / "again"
    shuffled.write_bytes(gzip.compress(b"".join(reversed(lines))))
    config = tmp_path / "one.toml"
    config.write_text("[batch]\nn_threads = 1\n")
    again = ("--events", shuffled, "--catalogue", history.catalogue, "--config", config)
    run_refresh(capsys, *again, "--store", tmp_path / "b")
    for name in ("recs.mdb", "factors.mdb", "items.ann"):
        a, b = (tmp_path / store / "snapshots" / "000001" / name for store in "ab")
        assert a.read_bytes() == b.read_bytes(), name


def test_the_next_refresh_has_a_parent_and_old_ones_are_pruned(history, tmp_path, capsys):
    """Generations count up, name their parent, and `keep` of them are kept."""
    config = tmp_path / "keep.toml"
    config.write_text(f'[store]\nkeep = 2\npath = "{tmp_path / "store"}"\n')
    for _ in range(3):
        run_refresh(capsys, *inputs(history), "--config", config)
    store = tmp_path / "store"
    assert current(store) == 3
    assert sorted(path.name for path in (store / "snapshots").iterdir()) == ["000002", "000003"]
    with open_snapshot(store, 3) as snapshot:
        assert snapshot.manifest.parent == 2


def test_the_manifest_has_the_provenance(history, tmp_path, capsys):
    """It has inputs with their hashes, parameters, seed, counts and metrics."""
    arguments = (*inputs(history), "--profiles", history.profiles)
    run_refresh(capsys, *arguments, "--store", tmp_path / "store")
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        manifest = snapshot.manifest
    paths = [history.events, history.catalogue, history.profiles]
    hashes = subprocess.run(["sha256sum", *paths], capture_output=True, text=True).stdout
    assert [(one["name"], one["sha256"]) for one in manifest.inputs] == [
        (path.name, line.split()[0]) for path, line in zip(paths, hashes.splitlines(), strict=True)
    ]
    assert manifest.inputs[0]["kind"] == "stream log"
    assert manifest.parameters["seed"] == 42
    assert manifest.counts["recs.mdb/users"] == len(history.seen)
    assert manifest.metrics["index_recall_at_20"] > 0.9
    choice = manifest.parameters["choice"]  # of `auto`, with all that it tried
    assert choice["parts"]
    assert choice["tried"]
    [vectors] = [part for part in choice["parts"] if part["model"] == "ials"]
    assert manifest.parameters["n_factors"] == vectors["parameters"]["ials_factors"]


def test_events_come_from_the_configuration(history, tmp_path, capsys):
    """Without arguments, as run by the scheduler, the refresh reads `marquee.toml`."""
    Path("marquee.toml").write_text(
        f'[batch]\nevents = ["{history.events}"]\ncatalogue = ["{history.catalogue}"]\n'
    )
    assert run_refresh(capsys)["snapshot"] == "var/store/snapshots/000001"


def test_availability_counts_from_the_option_at(history, tmp_path, capsys):
    """The manifest has the time of `--at`, in UTC without a zone."""
    arguments = (*inputs(history), "--at", "2026-11-21T12:00", "--store", tmp_path / "store")
    run_refresh(capsys, *arguments)
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        assert snapshot.manifest.parameters["rules"]["at"] == "2026-11-21T12:00:00+00:00"


def test_the_summary_counts_what_the_catalogue_and_the_profiles_have(history, tmp_path, capsys):
    """A catalogue without titles, as one whose columns were misread, is seen at once."""
    profiles = tmp_path / "profiles.csv"
    profiles.write_text("user_id,age\n1,25-34\n2,\n")
    arguments = [*inputs(history), "--profiles", profiles, "--store", tmp_path / "store"]
    sound = run_refresh(capsys, *arguments)
    assert sound["catalogue"]["titles"] == sound["catalogue"]["items"] > 0
    assert (sound["profiles"]["users"], sound["profiles"]["ages"]) == (2, 1)
    assert sound["warnings"] == []
    items = [f"{item_id},x\n" for item_id in sorted({i for s in history.seen.values() for i in s})]
    bare = tmp_path / "bare.csv"
    bare.write_text("movieID,titel\n" + "".join(items))
    arguments = ["--events", history.events, "--catalogue", bare, "--store", tmp_path / "other"]
    assert main(["refresh", *map(str, arguments)]) == 0
    out = capsys.readouterr().out
    assert f"  catalogue     {len(items)} items: 0 titles, 0 runtimes, 0 genres" in out
    assert "no item has a title; the catalogue has the columns movieID, titel" in out


def test_the_summary_for_people_has_warm_start_and_gate(history, tmp_path, capsys):
    """The first snapshot has no parent to start from, or to compare with."""
    assert main(["refresh", *map(str, inputs(history)), "--store", str(tmp_path / "store")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("generation 1 published in ")
    assert "  warm start    none: no snapshot is served yet" in lines
    [gate] = [line for line in lines if line.startswith("  gate ")]
    assert gate.startswith("  gate          passed; ")
