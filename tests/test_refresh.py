"""The main job, end to end: files in, every user's list out, and nothing lost on the way."""

import gzip
import json
import os
import re
import resource
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from store.check import broken_records
from store.pointer import current, current_or_none
from store.publish import pin, unpin
from store.snapshot import Snapshot, open_snapshot
from store.takedown import take_down
from tests.histories import History, write_history

_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.chdir(tmp_path)  # the quarantine is made in `var`
    return write_history(tmp_path / "history")


def refresh(capsys, *arguments: object) -> dict:
    """Run a refresh that must succeed, and return its summary."""
    status = main(["refresh", "--json", *map(str, arguments)])
    output = capsys.readouterr()
    assert status == 0, output.err
    return json.loads(output.out)


def inputs(history: History) -> tuple[object, ...]:
    return ("--events", history.events, "--catalogue", history.catalogue)


def seen_items_served(snapshot: Snapshot, seen: dict[str, set[str]]) -> list[str]:
    """Return the users whose list holds an item that they have seen: all users are looked at."""
    return [
        user.decode()
        for user, body in snapshot.users
        if not seen[user.decode()].isdisjoint(body.decode().split(","))
    ]


# The main job


def test_every_user_gets_a_sound_list_of_unseen_items(history, tmp_path, capsys):
    """Of all users: 1 to 20 ids, none twice, none seen, none outside the catalogue."""
    summary = refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        assert {user.decode() for user, _ in snapshot.users} == set(history.seen)
        assert list(broken_records(snapshot)) == []
        assert seen_items_served(snapshot, history.seen) == []
    assert summary["n_users"] == len(history.seen)
    assert summary["rejected"] == summary["dropped"] == {}


def test_lists_follow_taste(history, tmp_path, capsys, monkeypatch):
    """Users of one taste are recommended mostly items of that taste.

    By ALS itself: for so few users `auto` rightly leans to what is popular.
    """
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", "als")
    refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    matches = []
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        for row, user in enumerate(history.seen):
            best = snapshot.users.get(user.encode()).decode().split(",")[:5]
            matches += [int(item.split("+")[1]) % 2 == row % 2 for item in best]
    assert sum(matches) / len(matches) > 0.7


def test_profiles_give_segments(history, tmp_path, capsys):
    """With profiles there is a list for each gender, and every profile names its segment."""
    refresh(capsys, *inputs(history), "--profiles", history.profiles, "--store", tmp_path / "s")
    with open_snapshot(tmp_path / "s", 1) as snapshot:
        assert {b"F", b"M", b"popular"} <= {key for key, _ in snapshot.fallback}
        assert {user.decode() for user, _ in snapshot.profiles} == set(history.seen)


def test_rejected_lines_are_counted_and_kept(history, tmp_path, capsys):
    """A broken line is counted under its reason and lies in the quarantine as it was."""
    broken = b"2026-03-0 1T10:00,100,GET /data/m/film+1+1951/1.mpg"
    with history.events.open("ab") as file:
        file.write(broken + b"\r\n")
    summary = refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    assert summary["rejected"] == {"malformed time": 1}
    n_lines = history.events.read_bytes().count(b"\n")
    kept = Path(summary["quarantine"]).read_bytes()
    assert kept == b"malformed time\t%b\t%d\t%b\n" % (bytes(history.events), n_lines, broken)


def test_items_outside_the_catalogue_are_dropped_and_counted(history, tmp_path, capsys):
    """An item that noise made up is in nobody's list, and a user who has only that gets none."""
    with history.events.open("a") as file:
        file.write("2026-03-01T10:00,5,GET /data/m/fil+m+1951/1.mpg\n" * 3)
    summary = refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    assert summary["dropped"] == {"item outside the catalogue": 3}
    assert summary["n_users_without"] == 1
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        assert snapshot.users.get(b"5") is None


def test_who_has_seen_everything_gets_the_fallback(history, tmp_path, capsys):
    """A user without anything left has no empty list, but none."""
    with history.events.open("a") as file:
        for item in history.item_ids:
            file.write(f"2026-03-01T10:00,5,GET /data/m/{item}/1.mpg\n")
    summary = refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    assert summary["n_users_without"] == 1
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        assert snapshot.users.get(b"5") is None


def test_what_is_taken_down_is_in_no_list(history, tmp_path, capsys):
    """The next refresh leaves it out of every table of lists, and the lists stay as long."""
    gone = ["film+0+1950", "film+1+1951", "no+such+film"]
    take_down(tmp_path / "store", gone, "licence ended")
    refresh(capsys, *inputs(history), "--profiles", history.profiles, "--store", tmp_path / "store")
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        for name in ("users", "spares", "similar", "fallback"):
            shown = {
                item for _, body in getattr(snapshot, name) for item in body.decode().split(",")
            }
            assert shown.isdisjoint(gone), name
        assert {len(body.split(b",")) for _, body in snapshot.users} == {20}
        assert len(snapshot.fallback.get(b"popular").split(b",")) == 20
        assert list(broken_records(snapshot)) == []
        assert snapshot.manifest.parameters["taken_down"] == gone


def test_a_pinned_store_is_built_for_but_not_flipped(history, published, tmp_path, capsys):
    """The refresh says so, and the snapshot waits for the unpin."""
    pin(published, "the festival")
    summary = refresh(capsys, *inputs(history), "--store", published)
    assert (summary["generation"], summary["is_current"], current(published)) == (2, False, 1)
    assert unpin(published, "it is over") == 2


def test_same_input_same_bytes(history, tmp_path, capsys):
    """Line order, gzip and the number of threads change no byte of a data file."""
    refresh(capsys, *inputs(history), "--store", tmp_path / "a")
    lines = history.events.read_bytes().splitlines(keepends=True)
    shuffled = tmp_path / "again"
    shuffled.write_bytes(gzip.compress(b"".join(reversed(lines))))
    config = tmp_path / "one.toml"
    config.write_text("[batch]\nn_threads = 1\n")
    again = ("--events", shuffled, "--catalogue", history.catalogue, "--config", config)
    refresh(capsys, *again, "--store", tmp_path / "b")
    for name in ("recs.mdb", "factors.mdb", "items.ann"):
        a, b = (tmp_path / store / "snapshots" / "000001" / name for store in "ab")
        assert a.read_bytes() == b.read_bytes(), name


def test_the_next_refresh_has_a_parent_and_old_ones_are_swept(history, tmp_path, capsys):
    """Generations count up, name their parent, and `keep` of them stay."""
    config = tmp_path / "keep.toml"
    config.write_text(f'[store]\nkeep = 2\npath = "{tmp_path / "store"}"\n')
    for _ in range(3):
        refresh(capsys, *inputs(history), "--config", config)
    store = tmp_path / "store"
    assert current(store) == 3
    assert sorted(path.name for path in (store / "snapshots").iterdir()) == ["000002", "000003"]
    with open_snapshot(store, 3) as snapshot:
        assert snapshot.manifest.parent == 2


def test_the_manifest_says_what_it_was_made_of(history, tmp_path, capsys):
    """Inputs with their hashes, parameters, seed, counts and code stand in the manifest."""
    given = (*inputs(history), "--profiles", history.profiles)
    refresh(capsys, *given, "--store", tmp_path / "store")
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
    assert manifest.metrics["popularity_weight"] >= 0  # that `auto` chose on its holdout
    assert 0 < manifest.metrics["holdout_ndcg"] < 1
    assert 1 <= manifest.metrics["iterations"] <= manifest.parameters["iterations"]


def test_events_come_from_the_configuration(history, tmp_path, capsys):
    """Without arguments, as the clock runs it, the refresh reads `marquee.toml`."""
    Path("marquee.toml").write_text(
        f'[batch]\nevents = ["{history.events}"]\ncatalogue = ["{history.catalogue}"]\n'
    )
    assert refresh(capsys)["snapshot"] == "var/store/snapshots/000001"


# Bad input


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def published(history, tmp_path, capsys) -> Path:
    """A store that has one good snapshot, which bad input must leave alone."""
    refresh(capsys, *inputs(history), "--store", tmp_path / "store")
    return tmp_path / "store"


LINE = "2026-03-01T10:00,{user},GET /data/m/film+{item}+1951/1.mpg\n"

BAD_EVENTS = {
    "missing": (None, "no such file"),
    "empty": ("", "is empty"),
    "blank": ("\n\n", "is empty"),
    "prose": ("It was a dark and stormy night.\n", "is not a file of events"),
    "binary": ("\x7fELF\x01\x02\x03\x00\n\x00", "is not a file of events"),
    "parquet": ("PAR1 but not really\nPAR1", "cannot be read as Parquet"),
    "gzip": ("\x1f\x8b\x08\x00broken", "is not a whole gzip file"),
    "only broken lines": ("2026-03-01 10:00,1,GET /data/m/x/1.mpg\n" * 9, "lines are broken"),
    "single user": ("".join(LINE.format(user=1, item=i) for i in range(9)), "0 user(s)"),
    "single item": ("".join(LINE.format(user=u, item=1) for u in range(9)), "1 item(s)"),
}


@pytest.mark.parametrize(("text", "message"), BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
def test_bad_events_end_with_one_clear_message(published, tmp_path, capsys, text, message):
    """Each names the thing, what is wrong and the way out; the store stays as it was."""
    before = tree(published)
    path = tmp_path / "bad"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    assert main(["refresh", "--events", str(path), "--store", str(published)]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("refresh failed: ")
    assert message in last
    assert "; " in last, "what to do stands at the end"
    assert tree(published) == before


def test_a_catalogue_that_matches_nothing_is_refused(history, published, tmp_path, capsys):
    """Dropping every event is no refresh: the message counts what was dropped."""
    before = tree(published)
    other = tmp_path / "other.csv"
    other.write_text("movieID\nanother+film+2001\n")
    bad = ["--events", history.events, "--catalogue", other, "--store", published]
    assert main(["refresh", *map(str, bad)]) == 1
    assert "item outside the catalogue" in capsys.readouterr().err
    assert tree(published) == before


def test_no_events_at_all_is_an_error(history, published, capsys):
    """Neither arguments nor configuration name events: the message says how to."""
    assert main(["refresh", "--store", str(published)]) == 1
    assert "--events" in capsys.readouterr().err


def test_wrong_usage_exits_2(capsys):
    """An unknown option is wrong usage."""
    with pytest.raises(SystemExit) as end:
        main(["refresh", "--evnets", "x"])
    assert end.value.code == 2
    assert "--evnets" in capsys.readouterr().err


# Root may write anywhere, unless this one right is taken from it.
_AS_ANYBODY = ("setpriv", "--bounding-set", "-dac_override", "--") if os.getuid() == 0 else ()


def run(*arguments: object, prefix=(), **kwargs) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-m", "batch", "refresh", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=100, **kwargs
    )


def test_a_full_disk_leaves_the_store_as_it_was(history, published):
    """When a file cannot grow any more, the refresh says so, and nothing is left behind."""
    before = tree(published)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    end = run(*inputs(history), "--store", published, preexec_fn=limit)
    assert end.returncode == 1
    assert "File too large" in end.stderr.splitlines()[-1]
    assert "Traceback" not in end.stderr
    assert tree(published) == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small tmpfs")
def test_a_full_tmpfs_leaves_the_store_as_it_was(history, tmp_path, capsys):
    """The same on a file system that really is full."""
    mounted = tmp_path / "small"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(mounted)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let root mount")
    try:
        store = mounted / "store"
        refresh(capsys, *inputs(history), "--store", store)
        before = tree(store)
        (mounted / "ballast").write_bytes(b"x" * 50_000)
        while main(["refresh", *map(str, inputs(history)), "--store", str(store)]) == 0:
            before = tree(store)
        assert "the disk is full" in capsys.readouterr().err.splitlines()[-1]
        assert tree(store) == before
        with open_snapshot(store, current(store)) as snapshot:
            assert list(broken_records(snapshot)) == []
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


def test_a_store_without_rights_is_refused_before_any_work(history, tmp_path):
    """Someone who may not write there is told at once."""
    store = tmp_path / "locked"
    store.mkdir(mode=0o555)
    end = run(*inputs(history), "--store", store, prefix=_AS_ANYBODY)
    assert end.returncode == 1
    assert end.stderr.startswith(f"refresh failed: {store}: ")
    assert current_or_none(store) is None
    assert list(store.iterdir()) == []


# The real files


def seen_in(*paths: Path) -> dict[str, set[str]]:
    """Read who has had what, without any of the batch's own parsers."""
    seen = defaultdict(set)
    for path in paths:
        for user, item in _pairs(path):
            seen[user].add(item)
    return dict(seen)  # a user of the snapshot who is not in it is an error


def _pairs(path: Path):
    if path.suffix == ".parquet":
        yield from zip(*(column.to_pylist() for column in pq.read_table(path)), strict=True)
        return
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", errors="replace") as lines:
        for line in lines:
            if path.suffix != ".log":
                yield tuple(re.split("[\\t,]", line.strip())[:2])
            elif found := re.search(r",(\d+),GET /(?:data/m|rate)/([^/=]+)[/=]", line):
                yield found.groups()


API = ("api/movies-2025.jsonl.gz", "api/movie-catalogue-2022.csv")
REAL = {
    "noisy log": (
        ("stream/kafka-2022-11-noisy-50k.log",), API, ("api/users-2022.csv",),
        {"n_events": 50_000, "n_users": 29_719, "n_users_without": 62},
        {"item outside the catalogue": 107},
        51,
    ),
    "290k users": (
        ("stream/views-290k-users.tsv.gz",), API, (),
        {"n_events": 404_884, "n_users": 289_761, "n_users_without": 66, "n_interactions": 404_740},
        {"item outside the catalogue": 144},
        0,
    ),
    "ml-latest-small": (
        ("ml-latest-small/ratings.csv",), ("ml-latest-small/movies.csv",), (),
        {"n_users": 610}, {}, 1,  # line 522 of this copy carries an address after its time
    ),
    "ml-100k": (
        ("ml-100k/u.data",), ("ml-100k/u.item",), ("ml-100k/u.user",),
        {"n_users": 943, "n_items": 1_682, "n_interactions": 100_000}, {}, 0,
    ),
    "ml-1m": (
        ("ml-1m/pairs.parquet",), ("ml-1m/movies.dat",), ("ml-1m/users.dat",),
        {"n_users": 6_040, "n_items": 3_883, "n_interactions": 1_000_209}, {}, 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("events", "catalogue", "profiles", "figures", "dropped", "n_rejected"),
    REAL.values(),
    ids=REAL.keys(),
)
def test_real_files_run_through(
    shared_data, tmp_path, monkeypatch, capsys,
    events, catalogue, profiles, figures, dropped, n_rejected,
):  # fmt: skip
    """Every real input gives every user with an existing item a sound list of unseen items."""
    monkeypatch.chdir(tmp_path)
    named = [("--events", events), ("--catalogue", catalogue), ("--profiles", profiles)]
    arguments = [
        part
        for option, names in named
        if names
        for part in (option, *(shared_data / name for name in names))
    ]
    (tmp_path / "fast.toml").write_text("[batch]\niterations = 3\n")  # lists need not be good here
    summary = refresh(capsys, *arguments, "--store", "store", "--config", "fast.toml")
    assert {key: summary[key] for key in figures} == figures
    assert summary["dropped"] == dropped
    assert sum(summary["rejected"].values()) == n_rejected
    with open_snapshot(Path("store"), 1) as snapshot:
        assert list(broken_records(snapshot)) == []
        assert snapshot.manifest.counts["recs.mdb/users"] == figures["n_users"]
        assert seen_items_served(snapshot, seen_in(*(shared_data / name for name in events))) == []
