"""`python -m batch inspect`: what it shows is what a refresh reads."""

import json
from pathlib import Path

import pyarrow.compute as pc
import pytest

from batch.__main__ import main
from batch.errors import InputError, RejectedError
from batch.events.read import read_events
from batch.inspection.look import look
from batch.records.catalogue import read_catalogues
from batch.records.profiles import read_profiles
from batch.settings import BatchSettings
from tests.batch.event_files import event_settings, parquet, watch
from tests.batch.packing import PACKINGS, zipped

RATINGS = (
    "userId,movieId,rating,timestamp\n"
    "1,10,4,1600000000\n1,11,3.5,1600000100\n2,11,5,1600000200\n2,10,1,never\n"
)
MOVIES = "movieId,title,genres\n10,Heat (1995),Crime|Drama\n11,Ran (1985),War\n"
PROFILES = "user_id,age,gender\n1,34,F\n2,51,M\n"
LOG = watch(1, "a", 3) + watch(2, "b", 40) + "2022-11-14T12:24:00,1,GET /rate/a=4\nbroken\n"
FILES = {
    "ratings.csv": RATINGS.encode(),
    "pairs.tsv": b"1\ta\n2\tb\n2\ta\n",
    "plays.csv": b"user,artist,plays\n1,x,3\n2,x,299\n2,y,1\n",
    "stream.log": LOG.encode(),
    "events.parquet": parquet(user_id=["7", "8"], item_id=["x", "y"], minutes=[3, 90]),
}


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def inspected(capsys):
    """Run the command; return its exit status, its output and its errors."""

    def inspected(*arguments):
        status = main(["inspect", *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return inspected


def counts_of_a_refresh(path, folder):
    """Return the counts of a file as the refresh's reader has them; None if it is refused."""
    settings = event_settings(path, quarantine=folder / "quarantine")
    try:
        events, rejected, _ = read_events(settings)
    except (InputError, RejectedError):
        return None
    ids = [
        set(events.views[name].to_pylist()) | set(events.ratings[name].to_pylist())
        for name in ("user_id", "item_id")
    ]
    counts = {
        "lines": sum(source.n_lines for source in events.sources),
        "rejected": sum(source.n_rejected for source in events.sources),
        "users": len(ids[0]),
        "items": len(ids[1]),
        "views": pc.sum(events.views["n_events"]).as_py() or 0,
        "ratings": events.ratings.num_rows,
    }
    return {name: n for name, n in counts.items() if n}, dict(rejected)


def events_reading(path):
    """Return the one reading of a file as events; None if it is not read as events."""
    readings = [
        reading
        for view in look([path], BatchSettings())
        for reading in view.readings
        if reading.use == "events"
    ]
    return readings[0] if readings else None


@pytest.mark.parametrize("name", FILES)
def test_counts_are_those_of_a_refresh(write, tmp_path, name):
    """Lines, rejected ones by reason, users, items, views and ratings."""
    path = write(name, FILES[name])
    counts, rejected = counts_of_a_refresh(path, tmp_path)
    reading = events_reading(path)
    assert dict(reading.counts) == counts
    assert dict(reading.rejected) == rejected
    assert reading.rejected_share == pytest.approx(
        counts.get("rejected", 0) / counts["lines"], abs=1e-4
    )
    assert len(reading.rows) == min(counts["lines"] - counts.get("rejected", 0), 5)


def test_every_odd_input_has_the_counts_of_a_refresh(shared_data, tmp_path):
    """The forms that people have: what inspect shows is what a refresh reads, or both refuse."""
    for path in sorted((shared_data / "odd-inputs").iterdir()):
        expected = counts_of_a_refresh(path, tmp_path)
        reading = events_reading(path)
        if expected is None:
            assert reading is None, path
        else:
            assert (dict(reading.counts), dict(reading.rejected)) == expected, path


def test_every_odd_catalogue_has_the_items_of_a_refresh(shared_data):
    """Items or users, and the first of them as they are read."""
    settings, n_read = BatchSettings(), 0
    for path in sorted((shared_data / "odd-inputs").iterdir()):
        for view in look([path], settings):
            for reading in view.readings:
                if reading.use == "events":
                    continue
                is_catalogue = reading.use == "catalogue"
                ids = [*(read_catalogues([path]).items if is_catalogue else
                         read_profiles([path]).users)]  # fmt: skip
                assert len(ids) == reading.counts["items" if is_catalogue else "users"]
                assert [row["id"] for row in reading.rows] == ids[:5]
                n_read += 1
    assert n_read > 5


@pytest.mark.parametrize("packing", PACKINGS)
def test_packing_does_not_change_the_reading(write, packing):
    """Any container shows the reading of the plain file, and says what it is packed by."""
    plain = events_reading(write("plain", RATINGS))
    (view,) = look([write("packed", PACKINGS[packing](RATINGS.encode()))], BatchSettings())
    assert view.readings == [plain]
    assert view.form == ("" if packing not in ("gzip", "bz2", "xz", "zstd") else packing) or (
        view.form in packing
    )


def test_text_shows_columns_rows_ranges_and_rejected_lines(write, inspected):
    """All that is needed to judge how a file is read, on one screen."""
    status, out, _ = inspected(write("ratings.csv", RATINGS.encode("utf-16")))
    assert status == 0
    for part in (
        "ratings.csv (UTF-16)",
        "events        comma-separated table",
        "user = userId, item = movieId, rating = rating, time = timestamp",
        "4 lines, 1 rejected, 2 users, 2 items, 3 ratings",
        "rating 3.5 to 5.0; time 2020-09-13T12:26:40 to 2020-09-13T12:30:00",
        "25.0%: 1 malformed time",
        "1     10    4.0     2020-09-13T12:26:40",
        "a refresh stops: 25.0% of the lines are rejected",
    ):
        assert part in out
    assert "known forms" not in out


def test_json_has_a_view_of_each_file(write, inspected):
    """Several files in one call, each with its readings."""
    files = [write("m.csv", MOVIES), write("u.csv", PROFILES), write("l.log", LOG)]
    status, out, _ = inspected("--json", *files)
    views = json.loads(out)
    assert status == 0
    assert [view["file"] for view in views] == list(map(str, files))
    readings = [view["readings"][0] for view in views]
    assert [reading["use"] for reading in readings] == ["catalogue", "profiles", "events"]
    assert readings[0]["rows"][0] == {
        "id": "10", "title": "Heat", "year": 1995, "genres": ["Crime", "Drama"],
    }  # fmt: skip
    assert (readings[0]["counts"]["genres"], readings[0]["ranges"]) == (3, {"year": [1985, 1995]})
    assert readings[1]["columns"] == {"id": "user_id", "age": "age", "gender": "gender"}
    assert readings[2]["counts"]["views"] == 2
    assert readings[2]["ranges"]["minutes"] == [3, 40]


def test_members_of_an_archive_have_a_view_each(write, inspected):
    """Events and catalogue in one archive; the README is named."""
    members = {"r.csv": RATINGS.encode(), "m.csv": MOVIES.encode(), "README.md": b"Hello\n"}
    path = write("a.zip", zipped(members))
    status, out, _ = inspected(path)
    assert status == 0
    for name in members:
        assert f"{path}/{name}\n" in out
    assert "is documentation, by its name" in out
    views = look([path], BatchSettings())
    assert [[one.use for one in view.readings] for view in views] == [["events"], ["catalogue"], []]


def test_columns_settle_what_is_read(write, inspected):
    """The option is that of a refresh."""
    path = write("odd.csv", "reader,book,rating\n1,10,4\n2,11,5\n")
    _, out, _ = inspected("--columns", "user=reader,item=book", path)
    assert "user = reader, item = book, rating = rating" in out


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("It was a dark and stormy night.\n", "It was a dark"),
        (b"%PDF-1.7\n", "is a PDF, which is not read"),
        ("code,relevance,flag\na,b,c\nd,e,f\n", "code, relevance, flag"),
        ("", "is empty"),
    ],
)
def test_file_that_is_not_read_is_shown_with_the_known_forms(write, inspected, content, why):
    """Exit status 1, why it is not read, its first lines, and one line of each known form."""
    status, out, error = inspected(write("odd", content))
    assert status == 1
    assert why in out
    assert "known forms\n  events     stream log: 2022-11-14T" in out
    assert error.startswith("inspect failed: ")
    assert "Traceback" not in error


def test_missing_file_is_an_error(tmp_path, inspected):
    status, out, _ = inspected(tmp_path / "none.csv")
    assert (status, "no such file" in out) == (1, True)


def test_refresh_shows_the_view_of_a_file_that_it_cannot_read(write, tmp_path, capsys):
    """A catalogue among the events: what it is, and the known forms, before the message."""
    status = main(
        ["refresh", "--store", str(tmp_path / "store"), "--events", str(write("m.csv", MOVIES))]
    )
    *shown, last = capsys.readouterr().err.splitlines()
    assert status == 1
    assert last.startswith("refresh failed: ")
    assert "has no column of users" in last
    assert any("catalogue     comma-separated table" in line for line in shown)
    assert any("stream log: 2022-11-14T" in line for line in shown)


def test_look_writes_nothing(write, tmp_path, monkeypatch):
    """Rejected lines are counted, and no quarantine is made."""
    monkeypatch.chdir(tmp_path)
    look([write("ratings.csv", RATINGS), write("l.log", LOG)], BatchSettings())
    assert sorted(path.name for path in Path().iterdir()) == ["l.log", "ratings.csv"]


def test_file_with_a_damaged_end_is_not_shown_as_read(write, inspected):
    """The first lines of a truncated file could be read: it is refused, as by a refresh."""
    content = PACKINGS["gzip"](b"".join(b"%d,%d,3\n" % (n, n % 7) for n in range(20_000)))
    status, out, _ = inspected(write("r.csv.gz", content[:-2000]))
    assert status == 1
    assert "is not a whole gzip file" in out


def test_manual_shows_the_real_output(write, tmp_path, monkeypatch, inspected):
    """The example of batch/README.md, on the files that it is made of."""
    manual = Path(__file__).parents[2] / "batch" / "README.md"
    example = manual.read_text().partition("$ python -m batch inspect ")[2].partition("```")[0]
    command, _, expected = example.partition("\n")
    lines = (
        "User-ID;ISBN;Book-Rating", "1;0002005018;5", "1;0374157065;8", "2;0374157065;0",
        "3;0002005018;10", "3;0 60973129;7", "4;0440234743;9",
    )  # fmt: skip
    write("ratings.csv.gz", PACKINGS["gzip"]("\n".join(lines).encode()))
    write("movies.csv", MOVIES)
    monkeypatch.chdir(tmp_path)
    assert inspected(*command.split())[:2] == (0, expected)
