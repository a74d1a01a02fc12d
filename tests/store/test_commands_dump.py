"""`dump` and `load`: the same lines and the same files after a round trip."""

import json
import tracemalloc

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
    """A store whose one snapshot has records in every table."""
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
    """List and spares; missing ones are left out."""
    assert dumped(command, "--users") == [
        {"user_id": "ann", "items": ["a", "b"], "spares": ["c", "d"]},
        {"user_id": "bob", "items": ["c"]},
    ]


def test_dump_of_items(rich, command):
    """Fields and neighbours."""
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


def test_dump_has_a_user_with_only_a_profile(rich, command):
    """The line has the profile alone."""
    assert {"user_id": "eve", "profile": "0-17 minor"} in dumped(command)


def test_dump_of_an_older_generation(two, command):
    """`--generation` names it."""
    lines = dumped(command, "--users", "--generation", "1", "--json")
    assert lines[0] == {"user_id": "ann", "items": ["a", "b"]}


@pytest.mark.parametrize("n_wanted", [1, 3, 10, 50])
def test_a_sample_has_the_given_number_of_lines(store, command, n_wanted):
    """Or all lines, if there are fewer; the same ones every time."""
    make_snapshot(store, {f"u{n:02}": ["a"] for n in range(10)}, ["a"])
    lines = dumped(command, "--users", "--sample", str(n_wanted))
    assert len(lines) == min(n_wanted, 10)
    assert lines == dumped(command, "--users", "--sample", str(n_wanted))


@pytest.mark.parametrize("n_wanted", ["0", "-1", "many"])
def test_a_sample_that_is_not_a_number_is_2(rich, command, n_wanted):
    """0 is wrong usage, not an empty dump."""
    assert command("dump", f"--sample={n_wanted}").returncode == 2


def test_a_sample_has_users_and_items(rich, command):
    """Without --users and --items it has both."""
    assert [next(iter(line)) for line in dumped(command, "--sample", "1")] == ["user_id", "item_id"]


@pytest.mark.parametrize("source", ["file", "pipe"])
def test_load_gives_the_same_files(rich, command, python, tmp_path, source):
    """Byte for byte, and the same lines when dumped again."""
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
def test_fields_of_another_spelling_are_restored(store, command, text):
    """Also a catalogue field with the name of a field of the dump."""
    items = {b"a": text}
    make_snapshot(store, {"ann": ["a"]}, ["a"], instead={"items": items, "rows": {}})
    (store.parent / "dump").write_text(ran(command("dump")))
    ran(command("load", store.parent / "dump"))
    one, two = ((snapshot_folder(store, n) / "recs.mdb").read_bytes() for n in (1, 2))
    assert one == two


def test_a_snapshot_without_rating_vectors_is_restored(store, command, tmp_path):
    """An older snapshot has fewer tables, and so has the loaded one."""
    make_snapshot(
        store, {"ann": ["a"]}, ["a"], factors={"rating_users": None, "rating_items": None}
    )
    (tmp_path / "dump").write_text(ran(command("dump")))
    ran(command("load", tmp_path / "dump"))
    one, two = ((snapshot_folder(store, n) / "factors.mdb").read_bytes() for n in (1, 2))
    assert one == two


def test_load_without_publish_is_not_served(rich, command, tmp_path):
    """It is complete, and not current."""
    (tmp_path / "dump").write_text(ran(command("dump")))
    done = command("load", tmp_path / "dump", "--json")
    assert json.loads(ran(done)) == {"generation": 2, "current": False}
    assert (current(rich), generations(rich)) == (1, [1, 2])
    ran(command("verify", "--generation", "2"))


def test_load_into_a_pinned_store_is_not_served(rich, command, tmp_path):
    """The generation is built."""
    (tmp_path / "dump").write_text(ran(command("dump")))
    pin(rich, "wait")
    done = command("load", tmp_path / "dump", "--publish")
    assert ran(done) == "generation 2 is built, not served\n"


def cut(lines):
    return lines[:-1]


def without_a_user(lines):
    return [lines[0], *lines[2:]]


def out_of_order(lines):
    return [lines[0], lines[2], lines[1], *lines[3:]]


def repeated(lines):
    return [*lines[:2], *lines[1:]]


def half_a_line(lines):
    return [*lines[:1], lines[1][:10]]


def headless(lines):
    return lines[1:]


def empty(_):
    return []


def followed(text):
    def damage(lines):
        return [*lines, text]

    damage.__name__ = f"followed by {text}"
    return damage


def other_manifest(lines):
    about = json.loads(lines[0])
    del about["manifest"]["gate"]
    return [json.dumps(about), *lines[1:]]


DAMAGED = [
    cut,
    without_a_user,
    out_of_order,
    repeated,
    half_a_line,
    headless,
    empty,
    other_manifest,
]
DAMAGED += map(followed, ["{}", "[1]", "7", "null", "no", '{"user_id": "zoe", "likes": ["a"]}'])
DAMAGED += map(followed, ['{"index": "?"}', '{"user_id": "", "items": ["a"]}', '{"x": 1}'])


@pytest.mark.parametrize("damage", DAMAGED, ids=lambda damage: damage.__name__)
def test_a_damaged_dump_is_1_and_leaves_nothing(rich, capsys, tmp_path, damage):
    """One line on standard error, and the store is unchanged."""
    command = ["--store", str(rich)]
    assert main([*command, "dump"]) == 0
    lines = capsys.readouterr().out.splitlines()
    path = tmp_path / "dump"
    path.write_text("".join(f"{line}\n" for line in damage(lines)))
    assert main([*command, "load", str(path), "--publish"]) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("store: dump: ")
    assert [path.name for path in (rich / "snapshots").iterdir()] == ["000001"]


def test_load_of_a_missing_file_is_1(command, store):
    """The store is not created."""
    done = command("load", "missing")
    assert ran(done, 1) == ""
    assert "No such file" in done.stderr
    assert not store.exists()


@pytest.mark.parametrize("arguments", [["dump"], ["dump", "--users"]])
def test_dump_of_a_missing_generation_is_1(two, command, python, tmp_path, arguments):
    """Also of an empty store."""
    done = command(*arguments, "--generation", "9")
    assert (ran(done, 1), "no such snapshot" in done.stderr) == ("", True)
    done = python("-m", "store", "--store", tmp_path / "none", *arguments)
    assert (ran(done, 1), "nothing has been published yet" in done.stderr) == ("", True)


def test_dump_of_a_value_that_is_not_text_is_1(store, command):
    """The checksums match, but the value cannot be written as JSON."""
    make_snapshot(store, {"ann": ["a"]}, ["a"], instead={"users": {b"ann": b"\xff"}})
    done = command("dump")
    ran(done, 1)
    assert "a value is not text" in done.stderr


def test_dump_and_load_hold_no_table_in_memory(store, tmp_path):
    """25 MB of lists need the memory of two chunks of 10,000 records."""
    names = [f"{n:0>30}" for n in range(40)]
    lists = {f"u{n:05}": [names[n % 20], *names[20:]] for n in range(40_000)}
    make_snapshot(store, lists, names[:20])
    path = tmp_path / "dump"
    with open_snapshot(store, 1) as snapshot, path.open("w") as file:
        peak = peak_bytes(lambda: file.writelines(map(as_line, dump_users(snapshot))))
    assert (path.stat().st_size > 25e6, peak < 1e6) == (True, True)

    with open_snapshot(store, 1) as snapshot, path.open("w") as file:
        file.writelines(map(as_line, dump(snapshot, snapshot.manifest.as_json())))
    with writing(store), path.open("rb") as file:
        assert peak_bytes(lambda: load(store, file)) < 18e6


def as_line(value):
    return f"{json.dumps(value)}\n"


def peak_bytes(call):
    """Return the peak memory of Python objects while `call` ran."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
