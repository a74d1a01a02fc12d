"""Tables of events: roles become views and ratings, whatever the types of the columns."""

import json

import numpy as np
import pyarrow as pa
import pytest

from batch.__main__ import main
from batch.columns.roles import choose_columns
from batch.errors import InputError, RejectedError
from batch.events.events import EventCollector
from batch.events.parsed import part_watched, watched_part
from batch.events.read import read_events
from batch.events.table import table_parser
from batch.interactions.build import build_interactions
from batch.settings import BatchSettings
from tests.batch.event_files import EventFolder, event_settings, ratings, views


def parsed(settings=None, first=None, **columns):
    """Return the events of some columns."""
    names = [*columns]
    choice = choose_columns("table", names)
    arrays = {role: pa.array(columns[names[column]]) for role, column in choice.columns.items()}
    first = first and {role: pa.array(first[names[n]]) for role, n in choice.columns.items()}
    return table_parser(choice, first or arrays, settings or BatchSettings())(arrays)


def test_ratings_have_times_and_rows_without_a_rating_are_views():
    """A 0 on a scale of 10 is an interaction without a rating."""
    found = parsed(user=["a", "b", "c"], item=["x", "y", "z"], rating=[7, 0, 10], ts=[1, 2, 3])
    assert [tuple(row.values()) for row in found.ratings.to_pylist()] == [
        ("a", "x", 7.0, 1), ("c", "z", 10.0, 3),
    ]  # fmt: skip
    assert [tuple(row.values()) for row in found.views.to_pylist()] == [("b", "y", None, 1, 2, 2)]


def test_first_and_last_times_are_those_of_the_view():
    """As day partitions have them; `last_at` alone is the last."""
    found = parsed(user=[1], item=[2], minutes=[3.9], first_at=[10], last_at=[20])
    assert found.views.to_pylist() == [
        {"user_id": "1", "item_id": "2", "minute": 3, "n_events": 1, "first_at": 10, "last_at": 20}
    ]


def test_rejected_rows_have_the_first_reason_and_leave_the_others():
    """By the order user, item, number, time."""
    found = parsed(
        first={"user": ["a"], "item": ["x"], "rating": ["4"], "time": ["1600000000"]},
        user=["a", "b c", "d"], item=["x", "", "z"], rating=["4", "x", "99"],
        time=["1600000000", "late", "1600000000"],
    )  # fmt: skip
    assert found.rejected.tolist() == [1, 2]
    assert found.reasons == ["malformed user id", "rating off the scale of 5"]
    assert (found.ratings.num_rows, found.largest_off_scale) == (1, 99.0)


def test_unreadable_times_are_said_and_the_events_are_read():
    """A column of which hardly a value is a time does not reject the file."""
    choice = choose_columns("table", ["user", "item", "reviewTime"])
    arrays = {"user": pa.array(["a"]), "item": pa.array(["x"]), "time": pa.array(["09 13, 2009"])}
    parser = table_parser(choice, arrays, BatchSettings())
    assert parser.notes == (
        """warning: no times: "reviewTime" cannot be read as times, such as '09 13, 2009'""",
    )
    assert parser(arrays).views.to_pylist()[0]["first_at"] is None


# --- shares of an item --------------------------------------------------------------------


def test_share_survives_as_a_minute():
    """To a millionth; all of an item is no minute at all."""
    shares = np.linspace(0, 0.999999, 1001)
    minute = part_watched(pa.array(shares))
    back = watched_part(minute.to_numpy().astype(np.float32))
    assert np.abs(back - shares).max() < 1e-6
    assert minute.to_numpy().max() < -1
    assert part_watched(pa.array([1.0])).to_pylist() == [None]


def test_fold_keeps_the_largest_share():
    """A real minute counts more, and so does all of the item."""
    collector = EventCollector()
    collector.add(parsed(user=["a"] * 3, item=["x", "x", "y"], plays=[5, 30, 10]))
    collector.add(parsed(user=["a"], item=["y"], minutes=[0]))
    folded = {row["item_id"]: row["minute"] for row in collector.events(()).views.to_pylist()}
    assert folded == {"x": part_watched(pa.array([0.75])).to_pylist()[0], "y": 0}


def weights(folder, text):
    """Return the weight of each pair."""
    built = build_interactions(folder.read(text), None, 0.0)
    dense = built.weights.toarray()
    return {
        (user, item): round(float(dense[row, column]), 3)
        for row, user in enumerate(built.user_ids.to_pylist())
        for column, item in enumerate(built.item_ids.to_pylist())
        if dense[row, column]
    }


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("plays", (10, 30, 90), (0.5, 0.75, 0.9)),
        ("percent", (50, 75, 100), (0.5, 0.75, 1.0)),
        ("liked", (1, 0, 1), (1.0, 0.001, 1.0)),
        ("minutes", (9, 49, 200), (0.1, 0.5, 1.0)),
    ],
)
def test_weights_are_shares_of_the_item(tmp_path, name, values, expected):
    """A dislike has the least weight, and still counts as touching the item."""
    rows = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    numbers = (*values, values[0])
    text = f"user,item,{name}\n" + "".join(
        f"{user},{item},{number}\n" for (user, item), number in zip(rows, numbers, strict=True)
    )
    found = weights(EventFolder(tmp_path), text)
    assert [found[pair] for pair in rows[:3]] == list(expected)


# --- files that contradict their beginning ------------------------------------------------

_MANY = "".join(f"{n},{n + 1},4,16000000{n % 100:02}\n" for n in range(5000))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("7.5,8,4,1600000000", b"user id unlike the first ones, which are whole numbers"),
        ("7,8,9,1600000000", b"rating off the scale of 5"),
        ("7,8,4,1600000000000", b"malformed time"),
        ("7,8,4,2020-09-13", b"malformed time"),
        ("7,8,4", b"not 4 fields"),
    ],
)
def test_later_line_that_contradicts_is_rejected(tmp_path, line, reason):
    """Behind the first 64 KiB, by which the columns are told; never misread."""
    folder = EventFolder(tmp_path)
    events = folder.read(f"userId,movieId,rating,timestamp\n{_MANY}{line}\n")
    assert len(ratings(events)) == 5000
    assert [fields[0:3:2] for fields in folder.quarantined()] == [(reason, b"5002")]


def test_too_many_ratings_off_the_scale_stop_the_refresh(tmp_path):
    """The message has the scale, the largest value and the setting."""
    folder = EventFolder(tmp_path)
    rows = [f"{n},{n + 1},{4 if n < 9_000 else 9.5}\n" for n in range(10_000)]
    text = "userId,movieId,rating\n" + "".join(rows)
    message = r"off the scale of 5 \(1,000\), the largest is 9.5; .*max_rating"
    with pytest.raises(RejectedError, match=message):
        folder.read(text, max_rejected_share=0.05)
    assert len(ratings(folder.read(text, max_rejected_share=0.1))) == 9_000


def test_too_many_zeros_stop_the_refresh(tmp_path):
    """On a scale of 5 they may be unrated, as Goodreads has them: the message has the setting."""
    text = "userId,movieId,rating\n1,2,0\n3,4,5\n"
    with pytest.raises(RejectedError, match=r"the largest is 0; .*zero_rating = \"unrated\""):
        EventFolder(tmp_path).read(text, max_rejected_share=0.0)


# --- the commands -------------------------------------------------------------------------


def test_files_that_were_read_alike_have_one_note(tmp_path, monkeypatch, capsys):
    """Three files with counts, one with ratings: two notes, in the log and in the summary."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events").mkdir()
    for day, most in enumerate((39, 37, 35)):
        rows = (f"{n % 7},{n % 5},{n}\n" for n in range(most + 1))
        (tmp_path / f"events/{day}.csv").write_text("user,item,count\n" + "".join(rows))
    ratings = (f"{n % 7},{n % 5},{n % 5 + 1}\n" for n in range(40))
    (tmp_path / "events/9.csv").write_text("user,item,rating\n" + "".join(ratings))
    assert main(["refresh", "--events", "events", "--override-gate", "test", "--json"]) == 0
    printed = capsys.readouterr()
    counts, rating = json.loads(printed.out)["notes"]
    assert counts == 'events/0.csv and 2 more files: "count" read as counts, 0 to 39 in the first'
    assert rating == 'events/9.csv: "rating" read as ratings on a scale of 5, 1 to 5'
    assert printed.err.count("read as counts") == 1


def test_option_and_notes_reach_the_summary(tmp_path, monkeypatch, capsys):
    """`--columns` settles columns of unknown names; JSON and text say what was read."""
    monkeypatch.chdir(tmp_path)
    rows = (f"{n % 7},{n % 5},{n}\n" for n in range(40))
    (tmp_path / "events.csv").write_text("wer,was,wie\n" + "".join(rows))
    command = ["refresh", "--events", "events.csv", "--override-gate", "test"]
    assert main(command) == 1
    assert "no column of users" in capsys.readouterr().err
    command += ["--columns", "user=wer,item=2,count=wie"]
    assert main([*command, "--json"]) == 0
    note = 'events.csv: "wie" read as counts, 0 to 39'
    printed = capsys.readouterr()
    assert note in printed.err
    assert json.loads(printed.out)["notes"] == [note]
    (tmp_path / "marquee.toml").write_text(
        '[batch.columns]\nuser = "wer"\nitem = 2\ncount = "wie"\n'
    )
    assert main(command[:-2]) == 0
    printed = capsys.readouterr()
    assert f"  read          {note}" in printed.out
    assert "no times" in printed.out
    assert "off the scale" not in printed.out


@pytest.mark.parametrize(
    ("configured", "environment", "message"),
    [
        ('[batch.columns]\nwho = "a"\n', {}, "'who' is not one of user, item"),
        ("[batch.columns]\nuser = [1]\n", {}, "columns.user must be text or a number"),
        ("[batch]\ncolumns = 1\n", {}, "columns must be a table"),
        ("", {"MARQUEE_BATCH_COLUMNS": "{}"}, "the environment does not override"),
    ],
)
def test_malformed_table_of_columns_is_refused(
    tmp_path, monkeypatch, capsys, configured, environment, message
):
    """In the file, and in the environment altogether."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "marquee.toml").write_text(configured)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["refresh", "--events", "none"]) == 1
    assert message in capsys.readouterr().err


# --- the files that people have -----------------------------------------------------------

_TEXT = (
    "comma-pairs.csv", "counts.csv", "flags.csv", "float-ids.csv", "item-first.csv",
    "milliseconds.csv", "minutes.csv", "pandas-index.csv", "percent.csv", "pipes.csv", "plain.csv",
    "plays.tsv", "quoted-iso.csv", "semicolon-latin1.csv", "time-first.csv", "unnamed-index.csv",
)  # fmt: skip
_TIMED = {"float-ids", "milliseconds", "plain", "quoted-iso", "time-first", "unnamed-index"}


def odd(shared_data, tmp_path, name):
    settings = event_settings(
        shared_data / "odd-inputs" / name, quarantine=tmp_path, max_rejected_share=0.0
    )
    return read_events(settings).events


@pytest.mark.parametrize("name", _TEXT)
def test_odd_delimited_file_is_read_whole(shared_data, tmp_path, name):
    """216 interactions of users 1 to 40 and items 100 to 129; times where there are any."""
    events = odd(shared_data, tmp_path, name)
    pairs = {(row[0], row[1]) for row in (*views(events), *ratings(events))}
    assert len(pairs) == 216
    assert {user for user, _ in pairs} == {str(n) for n in range(1, 41)}
    isbn = "semicolon" in name
    expected = {f"000000{n}X" if isbn else str(n) for n in range(100, 130)}
    assert {item for _, item in pairs} == expected
    times = {row[3] for row in ratings(events)} - {0}
    assert (min(times, default=0) == 1_600_000_000) == (name.split(".")[0] in _TIMED)
    assert len(times) == (216 if times else 0)


def test_odd_file_without_a_header_is_read_with_a_warning(shared_data, tmp_path):
    """Items first: the order is a guess, and looks exchanged."""
    (source,) = odd(shared_data, tmp_path, "no-header-item-first.csv").sources
    assert "a guess that --columns overrides" in source.notes[0]
    assert source.notes[1].startswith("warning: users and items look exchanged")


@pytest.mark.parametrize("name", ["links-by-mistake.csv", "tags-by-mistake.csv"])
def test_odd_file_without_users_is_refused(shared_data, tmp_path, name):
    """A file of another kind, given by mistake."""
    with pytest.raises(InputError, match=r"no column of users.*movieId"):
        odd(shared_data, tmp_path, name)
