"""`dump` and `load`: the same lines and the same files, there and back."""

import json
import tracemalloc
from dataclasses import asdict

import pytest

from store.__main__ import main
from store.dump import dump, dump_users, load
from store.layout import generations, snapshot_folder
from store.pointer import current
from store.publish import pin, writing
from store.snapshot import open_snapshot
from tests.snapshots import make_snapshot


@pytest.fixture
def rich(store):
    """A store whose one snapshot has something in every table."""
    make_snapshot(
        store,
        {"ann": ["a", "b"], "bob": ["c"]},
        ["b", "c"],
        spares={"ann": ["c", "d"]},
        similar={"a": ["b"], "d": ["a", "c"]},
        segments={"25-34/F": ["d"]},
        profiles={"ann": "25-34/F", "eve": "0-17 minor"},
        index=bytes(range(256)) * 400,
    )
    return store


def ran(done, status=0):
    """Return the output of a command that ended with `status`, and did not crash."""
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == status, done.stderr
    return done.stdout


def dumped(command, *arguments):
    """Return the lines of a dump."""
    return [json.loads(line) for line in ran(command("dump", *arguments)).splitlines()]


def test_dump_of_users(rich, command):
    """List and spares; what a user does not have is left out."""
    assert dumped(command, "--users") == [
        {"user_id": "ann", "items": ["a", "b"], "spares": ["c", "d"]},
        {"user_id": "bob", "items": ["c"]},
    ]


def test_dump_of_items(rich, command):
    """The fields as they are, and the neighbours."""
    first, second, *_ = dumped(command, "--items")
    assert first == {"item_id": "a", "item_row": 0, "title": "A", "similar": ["b"]}
    assert second == {"item_id": "b", "item_row": 1, "title": "B"}


def test_dump_of_everything_begins_with_the_manifest(rich, command):
    """Then every kind of line, in order."""
    lines = dumped(command)
    assert lines[0]["manifest"]["generation"] == 1
    kinds = list(dict.fromkeys(next(iter(line)) for line in lines))
    records = ["user_id", "item_id", "segment", "row", "bias", "rating_user", "rating_item"]
    assert kinds == ["manifest", *records, "index"]


def test_dump_knows_a_user_with_a_profile_alone(rich, command):
    """Nobody is lost."""
    assert {"user_id": "eve", "profile": "0-17 minor"} in dumped(command)


def test_dump_of_an_older_generation(two, command):
    """Yesterday's lists."""
    lines = dumped(command, "--users", "--generation", "1", "--json")
    assert lines[0] == {"user_id": "ann", "items": ["a", "b"]}


@pytest.mark.parametrize("n_wanted", [1, 3, 10, 50])
def test_a_sample_has_as_many_as_asked_for(store, command, n_wanted):
    """Or all, if there are fewer; the same ones every time."""
    make_snapshot(store, {f"u{n:02}": ["a"] for n in range(10)}, ["a"])
    lines = dumped(command, "--users", "--sample", str(n_wanted))
    assert len(lines) == min(n_wanted, 10)
    assert lines == dumped(command, "--users", "--sample", str(n_wanted))


@pytest.mark.parametrize("n_wanted", ["0", "-1", "many"])
def test_a_sample_of_no_number_is_2(rich, command, n_wanted):
    """Nothing asked for is a slip, not an empty dump."""
    assert command("dump", f"--sample={n_wanted}").returncode == 2


def test_a_sample_alone_is_of_users_and_of_items(rich, command):
    """It is to look at, not to load."""
    assert [next(iter(line)) for line in dumped(command, "--sample", "1")] == ["user_id", "item_id"]


@pytest.mark.parametrize("source", ["file", "pipe"])
def test_load_gives_the_same_files(rich, command, python, tmp_path, source):
    """Byte by byte, and the same lines when dumped again."""
    (tmp_path / "dump").write_text(ran(command("dump")))
    other = ["-m", "store", "--store", tmp_path / "other"]
    with (tmp_path / "dump").open() as file:
        name = "dump" if source == "file" else "-"
        done = python(*other, "load", name, "--publish", stdin=file)
    assert ran(done) == "generation 1 is current\n"
    for name in ("recs.mdb", "factors.mdb", "items.ann", "MANIFEST.json"):
        loaded = snapshot_folder(tmp_path / "other", 1) / name
        assert loaded.read_bytes() == (snapshot_folder(rich, 1) / name).read_bytes()
    assert ran(python(*other, "dump")) == (tmp_path / "dump").read_text()


@pytest.mark.parametrize(
    "text",
    [b'{"title":"compact"}', b'{"z": 1, "a": 2}', b'{"similar": ["mine"]}', b'{"year": 1.50}'],
)
def test_fields_written_otherwise_come_back_as_they_were(store, command, text):
    """A catalogue field that cannot be told from ours, too."""
    items = {b"a": text}
    make_snapshot(store, {"ann": ["a"]}, ["a"], instead={"items": items, "rows": {}})
    (store.parent / "dump").write_text(ran(command("dump")))
    ran(command("load", store.parent / "dump"))
    one, two = ((snapshot_folder(store, n) / "recs.mdb").read_bytes() for n in (1, 2))
    assert one == two


def test_snapshot_from_before_the_rating_vectors_comes_back(store, command, tmp_path):
    """It has fewer tables, and so has what is loaded."""
    make_snapshot(
        store, {"ann": ["a"]}, ["a"], factors={"rating_users": None, "rating_items": None}
    )
    (tmp_path / "dump").write_text(ran(command("dump")))
    ran(command("load", tmp_path / "dump"))
    one, two = ((snapshot_folder(store, n) / "factors.mdb").read_bytes() for n in (1, 2))
    assert one == two


def test_load_serves_nothing_unless_told(rich, command, tmp_path):
    """It lies there, complete."""
    (tmp_path / "dump").write_text(ran(command("dump")))
    done = command("load", tmp_path / "dump", "--json")
    assert json.loads(ran(done)) == {"generation": 2, "current": False}
    assert (current(rich), generations(rich)) == (1, [1, 2])
    ran(command("verify", "--generation", "2"))


def test_load_into_a_pinned_store_is_built_and_not_served(rich, command, tmp_path):
    """The pin holds."""
    (tmp_path / "dump").write_text(ran(command("dump")))
    pin(rich, "wait")
    done = command("load", tmp_path / "dump", "--publish")
    assert ran(done) == "generation 2 is built, and not served\n"


def cut(lines):
    return lines[:-1]


def without_a_user(lines):
    return [lines[0], *lines[2:]]


def out_of_order(lines):
    return [lines[0], lines[2], lines[1], *lines[3:]]


def twice(lines):
    return [*lines[:2], *lines[1:]]


def half_a_line(lines):
    return [*lines[:1], lines[1][:10]]


def headless(lines):
    return lines[1:]


def empty(_):
    return []


def followed(text):
    def spoil(lines):
        return [*lines, text]

    spoil.__name__ = f"followed by {text}"
    return spoil


def other_manifest(lines):
    about = json.loads(lines[0])
    del about["manifest"]["gate"]
    return [json.dumps(about), *lines[1:]]


SPOILED = [cut, without_a_user, out_of_order, twice, half_a_line, headless, empty, other_manifest]
SPOILED += map(followed, ["{}", "[1]", "7", "null", "no", '{"user_id": "zoe", "likes": ["a"]}'])
SPOILED += map(followed, ['{"index": "?"}', '{"user_id": "", "items": ["a"]}', '{"x": 1}'])


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_a_spoiled_dump_is_1_and_leaves_nothing(rich, capsys, tmp_path, spoil):
    """One clear line, and the store has the one snapshot that it had."""
    command = ["--store", str(rich)]
    assert main([*command, "dump"]) == 0
    lines = capsys.readouterr().out.splitlines()
    path = tmp_path / "dump"
    path.write_text("".join(f"{line}\n" for line in spoil(lines)))
    assert main([*command, "load", str(path), "--publish"]) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("store: dump: ")
    assert [path.name for path in (rich / "snapshots").iterdir()] == ["000001"]


def test_load_of_a_file_that_is_not_there_is_1(command, store):
    """And makes no store."""
    done = command("load", "missing")
    assert ran(done, 1) == ""
    assert "No such file" in done.stderr
    assert not store.exists()


@pytest.mark.parametrize("arguments", [["dump"], ["dump", "--users"]])
def test_dump_of_what_is_not_there_is_1(two, command, python, tmp_path, arguments):
    """A missing generation, and an empty store."""
    done = command(*arguments, "--generation", "9")
    assert (ran(done, 1), "no such snapshot" in done.stderr) == ("", True)
    done = python("-m", "store", "--store", tmp_path / "none", *arguments)
    assert (ran(done, 1), "nothing has been published yet" in done.stderr) == ("", True)


def test_dump_of_what_is_no_text_is_1(store, command):
    """The checksums are right; a line cannot be written all the same."""
    make_snapshot(store, {"ann": ["a"]}, ["a"], instead={"users": {b"ann": b"\xff"}})
    done = command("dump")
    ran(done, 1)
    assert "holds no text" in done.stderr


def test_dump_and_load_hold_no_table_in_memory(store, tmp_path):
    """25 MB of lists go through the writer's two chunks of 10,000 records, whatever there is."""
    names = [f"{n:0>30}" for n in range(40)]
    lists = {f"u{n:05}": [names[n % 20], *names[20:]] for n in range(40_000)}
    make_snapshot(store, lists, names[:20])
    path = tmp_path / "dump"
    with open_snapshot(store, 1) as snapshot, path.open("w") as file:
        peak = peak_bytes(lambda: file.writelines(map(as_line, dump_users(snapshot))))
    assert (path.stat().st_size > 25e6, peak < 1e6) == (True, True)

    with open_snapshot(store, 1) as snapshot, path.open("w") as file:
        file.writelines(map(as_line, dump(snapshot, asdict(snapshot.manifest))))
    with writing(store), path.open("rb") as file:
        assert peak_bytes(lambda: load(store, file)) < 18e6


def as_line(value):
    return f"{json.dumps(value)}\n"


def peak_bytes(call):
    """Return the most memory that Python objects took while `call` ran."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
