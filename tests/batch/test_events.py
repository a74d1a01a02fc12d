"""Events from files of every kind, told apart by content; what is broken lies in quarantine."""

import gzip
import io
import itertools
import random
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.errors import InputError, RejectedError
from batch.events import events as events_module
from batch.events import lines as lines_module
from batch.events.kinds import kinds
from batch.events.quarantine import Quarantine
from batch.events.read import read_events
from batch.settings import BatchSettings
from store.ids import is_item_id

KNOWN = kinds(BatchSettings().user_pattern, BatchSettings().item_pattern)
AT = "2022-11-14T12:23:12"


def parquet(**columns):
    """Return the bytes of a Parquet file."""
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def watch(user, item, minute):
    """Return the line of a watched minute."""
    return f"{AT},{user},GET /data/m/{item}/{minute}.mpg\n"


@pytest.fixture
def read(tmp_path):
    """Write each content to a file of its own, without a telling name, and read them."""

    def read(*contents, name="file", max_rejected_share=1.0, on_lines=lambda _: None):
        paths = []
        for number, content in enumerate(contents):
            paths.append(tmp_path / f"{number}-{name}")
            paths[-1].write_bytes(content if isinstance(content, bytes) else content.encode())
        with Quarantine(tmp_path / "quarantine", "now", 30) as quarantine:
            return read_events(paths, KNOWN, quarantine, max_rejected_share, on_lines)

    return read


@pytest.fixture
def quarantined(tmp_path):
    """Return the fields of each quarantined line."""

    def quarantined(name="now"):
        path = tmp_path / "quarantine" / f"{name}.tsv"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [tuple(line.split(b"\t", 3)) for line in lines]

    return quarantined


def views(events):
    """Return (user, item, minute, events) in an order of their own."""
    return sorted(
        (tuple(view.values())[:4] for view in events.views.to_pylist()),
        key=lambda v: (v[0], v[1]),
    )


def ratings(events):
    """Return (user, item, rating, at) in an order of their own."""
    return sorted(tuple(rating.values()) for rating in events.ratings.to_pylist())


def outcome(events):
    """Return all that was read but its sources."""
    return views(events), ratings(events), events.n_accounts, events.n_answers


# --- kinds --------------------------------------------------------------------------------

VIEW, PAIR = ("1", "2", 16, 1), ("1", "2", None, 1)
RATING, RATING_ANYTIME = ("1", "2", 4.5, 964982703), ("1", "2", 4.5, 0)
ONE_OF_EACH_KIND = {
    "stream": (watch(1, 2, 16), "stream log", [VIEW], []),
    "ratings.dat": ("1::2::4.5::964982703\n", "MovieLens ratings.dat", [], [RATING]),
    "ratings.dat, no time": ("1::2::4.5\n", "MovieLens ratings.dat", [], [RATING_ANYTIME]),
    "u.data": ("1\t2\t4.5\t964982703\n", "MovieLens u.data", [], [RATING]),
    "u.data, no time": ("1\t2\t4.5\n", "MovieLens u.data", [], [RATING_ANYTIME]),
    "ratings.csv": ("1,2,4.5,964982703\n", "MovieLens ratings.csv", [], [RATING]),
    "ratings.csv, no time": ("1,2,4.5\n", "MovieLens ratings.csv", [], [RATING_ANYTIME]),
    "ratings.csv, header": (
        "userId,movieId,rating,timestamp\r\n1,2,4.5,964982703\r\n",
        "MovieLens ratings.csv", [], [RATING],
    ),
    "ratings.csv, mark and header": (
        "\ufeffuser_id,item_id,rating\n1,2,4.5\n", "MovieLens ratings.csv", [], [RATING_ANYTIME],
    ),
    "pairs": ("1\t2\n", "user/item pairs", [PAIR], []),
    "pairs, header": ("user_id\tmovie_id\n1\t2\n", "user/item pairs", [PAIR], []),
    "Parquet, text ids": (parquet(userID=["1"], movieID=["2"]), "Parquet", [PAIR], []),
    "Parquet, integers": (parquet(user_id=[1], item_id=[2]), "Parquet", [PAIR], []),
    "Parquet, ratings": (
        parquet(user=[1], movie=[2], rating=[4.5], timestamp=[964982703]),
        "Parquet", [], [RATING],
    ),
}  # fmt: skip
TEXT_KINDS = {
    name: case for name, case in ONE_OF_EACH_KIND.items() if not name.startswith("Parquet")
}
HEADERLESS = {name: case for name, case in TEXT_KINDS.items() if not name.endswith("header")}


@pytest.mark.parametrize("name", ["file", "events.parquet", "ratings.csv", "log.gz"])
@pytest.mark.parametrize("case", ONE_OF_EACH_KIND.values(), ids=ONE_OF_EACH_KIND)
def test_kind_is_told_by_content(read, case, name):
    """Each kind reads as itself, whatever the file's name; a header is no line."""
    content, kind, expected_views, expected_ratings = case
    events = read(content, name=name)
    (source,) = events.sources
    assert (source.kind, source.n_lines, source.n_rejected) == (kind, 1, 0)
    assert (views(events), ratings(events)) == (expected_views, expected_ratings)


@pytest.mark.parametrize("case", TEXT_KINDS.values(), ids=TEXT_KINDS)
def test_gzip_reads_like_the_plain_file(read, case):
    """A packed file is what it holds, whatever its name."""
    content = case[0]
    packed = read(gzip.compress(content.encode()), name="events.log")
    assert outcome(packed) == outcome(read(content))


@pytest.mark.parametrize("n_noise", [1, 4])
@pytest.mark.parametrize("case", HEADERLESS.values(), ids=HEADERLESS)
def test_noise_at_the_beginning_hides_no_kind(read, case, n_noise):
    """Broken lines before the first sound one are rejected, and the kind is still told."""
    content, kind, expected_views, expected_ratings = case
    events = read("no such line\n" * n_noise + content)
    assert (events.sources[0].kind, events.sources[0].n_rejected) == (kind, n_noise)
    assert (views(events), ratings(events)) == (expected_views, expected_ratings)


def test_files_of_all_kinds_come_together(read):
    """One call reads them all; the views of a pair become one row, the ratings stay apart."""
    events = read(*(case[0] for case in ONE_OF_EACH_KIND.values()))
    assert [source.kind for source in events.sources] == [
        kind for _, kind, _, _ in ONE_OF_EACH_KIND.values()
    ]
    n_views = sum(len(case[2]) for case in ONE_OF_EACH_KIND.values())
    assert views(events) == [("1", "2", 16, n_views)]
    assert ratings(events) == sorted(r for case in ONE_OF_EACH_KIND.values() for r in case[3])


@pytest.mark.parametrize(
    "content",
    [
        "movieId,title,genres\n1,Toy Story (1995),Animation\n",
        '{"user_id": 1}\n',
        "\x89PNG\r\n",
        "two words\n",
        b"\xef\xbb\xbf",
        b"\x1c\n",
        b"\xc2\xa0\n",
    ],
)
def test_file_of_no_known_kind_is_refused(read, content):
    """What is no file of events is an error that names the kinds there are."""
    with pytest.raises(InputError, match=r"known kinds|is empty"):
        read(content)


@pytest.mark.parametrize("content", ["", "\n\n", " \r\n", gzip.compress(b"", mtime=0)])
def test_empty_file_is_refused(read, content):
    """A file without a line is an error, for something has gone wrong before us."""
    with pytest.raises(InputError, match="is empty"):
        read(content)


def test_missing_file_is_refused(tmp_path):
    """A path that leads nowhere is an error with the path in it."""
    quarantine = Quarantine(tmp_path, "now", 30)
    with pytest.raises(InputError, match="none: no such file"):
        read_events([tmp_path / "none"], KNOWN, quarantine, 1.0)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("user_id\titem_id\n", "user/item pairs"),
        ("userId,movieId,rating,timestamp\n", "MovieLens ratings.csv"),
    ],
)
def test_header_alone_is_a_file_without_events(read, header, kind):
    """A header without a row is of its kind, and has no line."""
    events = read(header)
    (source,) = events.sources
    assert (source.kind, source.n_lines, outcome(events)) == (kind, 0, ([], [], 0, 0))


def test_header_in_the_middle_is_rejected(read, quarantined):
    """Only a first line may be a header: files that were glued together keep their noise."""
    header = "userId,movieId,rating,timestamp\n"
    events = read(f"{header}1,2,4.5,9\n{header}3,4,5.0,9\n")
    assert (events.sources[0].n_lines, events.sources[0].n_rejected) == (3, 1)
    assert [fields[2] for fields in quarantined()] == [b"3"]


# --- delimited ids ------------------------------------------------------------------------


@pytest.mark.parametrize(("separator", "end"), [(",", ",5,9"), ("\t", "\t5"), ("\t", "")])
def test_ids_are_those_of_the_store(read, quarantined, separator, end):
    """Of all single bytes exactly those are ids in a delimited file that are ids in the store."""
    bytes_of = [bytes([n]) for n in range(256) if bytes([n]) not in (b"\n", separator.encode())]
    sound = f"1{separator}2{end}\n".encode() * 500
    line = b"u%b" + separator.encode() + b"i%b" + end.encode() + b"\n"
    events = read(sound + b"".join(line % (byte, byte) for byte in bytes_of))
    read_ids = {v[1] for v in views(events)} | {r[1] for r in ratings(events)}
    expected = {f"i{byte.decode()}" for byte in bytes_of if is_item_id(byte.decode("latin-1"))}
    assert read_ids == {"2", *expected}
    assert {fields[0] for fields in quarantined()} == {b"malformed user id"}


DELIMITED_REASONS = {
    "1,2,4.0,9 \n": b"malformed time",
    "1,2,4.0,late\n": b"malformed time",
    "1,2,4.0,1234567890123\n": b"malformed time",
    "1,2,good,9\n": b"malformed rating",
    "1,2,-4,9\n": b"malformed rating",
    "1,2,,9\n": b"malformed rating",
    "1,2,NaN,9\n": b"malformed rating",
    "1,,4.0,9\n": b"malformed item id",
    "1,a b,4.0,9\n": b"malformed item id",
    f"1,{'i' * 201},4.0,9\n": b"malformed item id",
    ",2,4.0,9\n": b"malformed user id",
    "é,2,4.0,9\n": b"malformed user id",
    f"{'u' * 65},2,4.0,9\n": b"malformed user id",
    "\n": b"blank line",
    " \r\n": b"blank line",
}


@pytest.mark.parametrize(("line", "reason"), DELIMITED_REASONS.items())
def test_broken_rating_is_rejected_for_its_reason(read, quarantined, line, reason):
    """A broken line of a delimited file is rejected, and the reason names the field."""
    events = read(f"1,2,4.0,9\n{line}3,4,5,9\r\n")
    assert [fields[0] for fields in quarantined()] == [reason]
    assert ratings(events) == [("1", "2", 4.0, 9), ("3", "4", 5.0, 9)]


def test_longest_ids_are_sound(read):
    """A user id of 64 characters and an item id of 200 are ids."""
    user, item = "u" * 64, "i" * 200
    assert ratings(read(f"{user},{item},4,9\n")) == [(user, item, 4.0, 9)]


# --- Parquet ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
)
def test_parquet_ids_of_any_text_type(read, kind):
    """Text ids read alike, however the file stores text."""
    ids = pa.array(["ann", "bob"]).cast(kind)
    events = read(parquet(user_id=ids, item_id=ids))
    assert [view[:2] for view in views(events)] == [("ann", "ann"), ("bob", "bob")]


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint32(), pa.int64(), pa.float64()])
def test_parquet_ids_of_any_number_type(read, kind):
    """A whole number is the id in decimal, also where pandas made a float of it."""
    events = read(parquet(userId=pa.array([7, 42], kind), movieId=pa.array([1, 100], kind)))
    assert [view[:2] for view in views(events)] == [("42", "100"), ("7", "1")]


def test_parquet_broken_rows_are_rejected_for_their_reasons(read, quarantined):
    """A null, a NaN, an id that is none: rejected with its row, and the rest is kept."""
    broken = [
        (None, "i", 3.0, b"malformed user id"),
        ("a b", "i", 3.0, b"malformed user id"),
        ("", "i", 3.0, b"malformed user id"),
        ("é", "i", 3.0, b"malformed user id"),
        ("u" * 65, "i", 3.0, b"malformed user id"),
        ("u", None, 3.0, b"malformed item id"),
        ("u", "a,b", 3.0, b"malformed item id"),
        ("u", "i" * 201, 3.0, b"malformed item id"),
        ("u", "line\nfeed", 3.0, b"malformed item id"),
        ("u", "i\n", 3.0, b"malformed item id"),
        ("u", "i", None, b"malformed rating"),
        ("u", "i", float("nan"), b"malformed rating"),
        ("u", "i", float("inf"), b"malformed rating"),
        (None, None, None, b"malformed user id"),
    ]
    rows = [("u", "i", 4.0, b""), *broken, ("v", "j", 5.0, b"")]
    user, item, rating, _ = zip(*rows, strict=True)
    events = read(parquet(user_id=user, item_id=item, rating=rating))
    assert ratings(events) == [("u", "i", 4.0, 0), ("v", "j", 5.0, 0)]
    assert events.sources[0].n_lines == len(rows)
    assert events.sources[0].n_rejected == len(broken)
    in_order = [fields[0] for fields in quarantined() if len(fields) == 4]
    assert in_order == [reason for *_, reason in broken]


def test_parquet_rejected_row_stands_in_quarantine_as_text(read, quarantined):
    """A rejected row is written as user, tab, item, under its row number."""
    read(parquet(user_id=["ann", "b b", None], item_id=["1", "2", "3"]))
    assert [fields[2:] for fields in quarantined()] == [(b"2", b"b b\t2"), (b"3", b"\t3")]


def test_parquet_without_ratings_has_pairs_with_nulls_rejected(read, quarantined):
    """Pairs need both ids and nothing else."""
    events = read(parquet(user_id=[1, None, 3], item_id=[1, 2, None]))
    assert views(events) == [("1", "1", None, 1)]
    assert [fields[0] for fields in quarantined()] == [b"malformed user id", b"malformed item id"]


MOMENT = datetime(2020, 2, 29, 12, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "at",
    [
        pa.array([MOMENT, None], pa.timestamp("ns", "UTC")),
        pa.array([MOMENT, None], pa.timestamp("us", "America/New_York")),
        pa.array([MOMENT, None], pa.timestamp("ms")),
        pa.array([int(MOMENT.timestamp()), None], pa.int64()),
        pa.array([int(MOMENT.timestamp()), None], pa.int32()),
        pa.array([MOMENT.timestamp() + 0.9, None], pa.float64()),
        pa.array([MOMENT.timestamp(), float("nan")], pa.float64()),
    ],
    ids=["ns UTC", "us zone", "ms", "int64", "int32", "fraction", "NaN"],
)
def test_parquet_times_are_seconds_and_0_if_unknown(read, at):
    """A time of any type is seconds since 1970; one that is null or NaN is unknown, 0."""
    file = parquet(user_id=[1, 2], item_id=[1, 2], rating=[3, 4], timestamp=at)
    assert [rating[3] for rating in ratings(read(file))] == [int(MOMENT.timestamp()), 0]


def test_parquet_dates_are_midnight(read):
    """A date is its first second."""
    file = parquet(user_id=[1], item_id=[1], rating=[3], at=pa.array([MOMENT.date()]))
    midnight = MOMENT.replace(hour=0, minute=0, second=0)
    assert ratings(read(file))[0][3] == int(midnight.timestamp())


def test_parquet_of_many_batches_keeps_row_numbers(read, quarantined, monkeypatch):
    """Row numbers run on from batch to batch."""
    monkeypatch.setattr("batch.events.parquet._ROWS", 3)
    users = [None if n % 5 == 0 else n for n in range(1, 21)]
    events = read(parquet(user_id=users, item_id=[1] * 20))
    assert [int(fields[2]) for fields in quarantined()] == [5, 10, 15, 20]
    assert (len(views(events)), events.sources[0].n_lines) == (16, 20)


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"item_id": [1]}, "no column named like userid.*it has item_id"),
        ({"user_id": [1], "title": ["x"]}, "no column named like movieid"),
        ({"user_id": [b"\xff"], "item_id": [1]}, "cannot be read as Parquet"),
    ],
)
def test_parquet_without_ids_is_refused(read, columns, what):
    """A Parquet file that names no users or no items is an error that says what it has."""
    with pytest.raises(InputError, match=what):
        read(parquet(**columns))


def test_torn_parquet_is_refused(read):
    """A Parquet file that was cut off is an error of the family."""
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read(parquet(user_id=[1], item_id=[2])[:-10])


def test_packed_parquet_is_refused(read):
    """Parquet packs itself; packed once more it is an error of the family, not a crash."""
    with pytest.raises(InputError):
        read(gzip.compress(parquet(user_id=[1], item_id=[2])))


# --- directories, order, duplicates -------------------------------------------------------


def test_directory_is_every_file_below_it(tmp_path):
    """A directory is read with all its files, of any kind and depth, in order of their names."""
    folder = tmp_path / "events"
    (folder / "date=2022-11-14").mkdir(parents=True)
    (folder / "b.log").write_text(watch(1, 2, 16))
    (folder / "a").write_bytes(gzip.compress(b"3\t4\n"))
    (folder / "date=2022-11-14" / "x.parquet").write_bytes(parquet(user_id=[5], item_id=[6]))
    with Quarantine(tmp_path / "quarantine", "now", 30) as quarantine:
        events = read_events([folder], KNOWN, quarantine, 0.0)
    assert views(events) == [("1", "2", 16, 1), ("3", "4", None, 1), ("5", "6", None, 1)]
    assert [source.path.name for source in events.sources] == ["a", "b.log", "x.parquet"]


def test_empty_directory_is_refused(tmp_path):
    """A directory without a file is an error, for something has gone wrong before us."""
    (tmp_path / "events" / "below").mkdir(parents=True)
    with pytest.raises(InputError, match="directory without events"):
        read_events([tmp_path / "events"], KNOWN, Quarantine(tmp_path, "now", 30), 1.0)


def noisy_lines(n, seed):
    """Return n lines of a stream of few users and items, so that much repeats."""
    rng = random.Random(seed)
    lines = []
    for _ in range(n):
        user, item = rng.randrange(8), f"m+{rng.randrange(5)}"
        at = f"2022-11-14T12:{rng.randrange(60):02}"
        lines.append(
            rng.choices(
                [
                    f"{at},{user},GET /data/m/{item}/{rng.randrange(120)}.mpg\n",
                    f"{at},{user},GET /rate/{item}={rng.randrange(1, 6)}\n",
                    f"{at},{user},GET /create_account\n",
                    f"{at},{user},recommendation request h:1, status 200, result: m, 9 ms\r\n",
                    f"{at},{user} ,GET /rate/{item}=1\n",
                ],
                [10, 3, 1, 1, 1],
            )[0]
        )
    return lines


@pytest.mark.parametrize("seed", range(5))
def test_order_of_lines_and_files_changes_nothing(read, seed):
    """The same lines in another order, cut into other files, give the same events."""
    lines = noisy_lines(400, seed)
    expected = outcome(read("".join(lines)))
    rng = random.Random(seed)
    rng.shuffle(lines)
    cuts = [0, *sorted(rng.sample(range(50, 350), 3)), len(lines)]
    files = ["".join(lines[a:b]) for a, b in itertools.pairwise(cuts)]
    assert outcome(read(*files)) == expected


@pytest.mark.parametrize(("block_bytes", "fold_rows"), [(1 << 24, 0), (200, 3), (64, 10)])
def test_sizes_of_blocks_and_folds_change_nothing(read, monkeypatch, block_bytes, fold_rows):
    """How much is read and folded at a time is no matter."""
    text = "".join(noisy_lines(400, 1))
    expected = outcome(read(text))
    monkeypatch.setattr(lines_module, "_BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(events_module, "_FOLD_ROWS", fold_rows)
    assert outcome(read(text)) == expected


def test_duplicate_minutes_change_only_the_number_of_events(read):
    """A minute that comes twice, in one file or two, counts as an event and no more."""
    once = watch(1, "m", 3) + watch(1, "m", 9)
    assert views(read(once)) == [("1", "m", 9, 2)]
    assert views(read(once * 3, once)) == [("1", "m", 9, 8)]


def test_minute_beats_no_minute(read):
    """A pair without a minute takes nothing from what is known to have been watched."""
    assert views(read(watch(1, "m", 9), "1\tm\n")) == [("1", "m", 9, 2)]


def test_accounts_and_answers_are_counted_over_all_files(read):
    """Accounts and answers make no row, and add up."""
    lines = f"{AT},1,GET /create_account\n" * 2
    lines += f"{AT},1,recommendation request h:1, status 0, result: x, 1 ms\n" * 3
    assert outcome(read(lines, lines)) == ([], [], 4, 6)


def test_progress_counts_every_line(read, monkeypatch):
    """The progress function hears of each line once, whatever the blocks."""
    monkeypatch.setattr(lines_module, "_BLOCK_BYTES", 100)
    heard = []
    read("".join(noisy_lines(50, 1)), on_lines=heard.append)
    assert (sum(heard), len(heard) > 1) == (50, True)


# --- quarantine ---------------------------------------------------------------------------


def test_quarantine_holds_reason_source_number_and_the_very_bytes(read, quarantined, tmp_path):
    """Each rejected line stands there as it was, tabs and foreign bytes too, but for its end."""
    broken = b"2022-11-1 4T12:23:14,7,GET\t/data/m/\xff/1.mpg"
    good = watch(1, "m", 1).encode()
    read(good + broken + b"\r\n" + good + b"\n" + good + b"x")
    source = str(tmp_path / "0-file").encode()
    assert quarantined() == [
        (b"malformed time", source, b"2", broken),
        (b"blank line", source, b"4", b""),
        (b"fewer than three fields", source, b"6", b"x"),
    ]


def test_quarantine_counts_by_reason(tmp_path):
    """What it took is counted by reason, over all sources."""
    with Quarantine(tmp_path, "now", 30) as quarantine:
        quarantine.add("a", [("blank line", 1, b"\n"), ("malformed time", 2, b"x\n")])
        quarantine.add("b", [("blank line", 1, b"\n")])
    assert quarantine.counts == {"blank line": 2, "malformed time": 1}


def test_line_numbers_run_on_over_blocks_and_header(read, quarantined, monkeypatch):
    """The number is that of the line in the file, header counted, whatever the blocks."""
    monkeypatch.setattr(lines_module, "_BLOCK_BYTES", 64)
    lines = ["userId,movieId,rating,timestamp\n"]
    lines += ["broken\n" if n % 7 == 0 else f"{n},1,3.5,9\n" for n in range(2, 100)]
    read("".join(lines))
    assert [int(fields[2]) for fields in quarantined()] == list(range(7, 100, 7))


def test_clean_refresh_leaves_no_quarantine_file(read, tmp_path):
    """Where nothing is rejected, nothing is written."""
    read(watch(1, "m", 1))
    assert not (tmp_path / "quarantine").exists()


@pytest.mark.parametrize("keep", [1, 2, 3, 10])
def test_quarantine_keeps_the_newest_files(tmp_path, keep):
    """Of the files of many refreshes the newest stay, this one among them."""
    names = [f"2026-11-{day:02}" for day in range(1, 7)]
    for name in names:
        with Quarantine(tmp_path, name, keep) as quarantine:
            quarantine.add("log", [("blank line", 1, b"\n")])
    assert sorted(path.stem for path in tmp_path.iterdir()) == names[-keep:]


def test_clean_refresh_removes_no_quarantine_file(tmp_path):
    """A refresh that rejects nothing leaves the older files alone."""
    for name in ("1", "2", "3"):
        (tmp_path / f"{name}.tsv").touch()
    with Quarantine(tmp_path, "4", 1) as quarantine:
        quarantine.add("log", [])
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["1", "2", "3"]


# --- too much is broken -------------------------------------------------------------------


def test_as_many_as_allowed_may_be_rejected(read):
    """A share of exactly the limit is allowed."""
    events = read(watch(1, "m", 1) * 19 + "x\n", max_rejected_share=0.05)
    assert (events.sources[0].n_lines, events.sources[0].n_rejected) == (20, 1)


def test_too_many_rejected_lines_stop_the_refresh(read, quarantined):
    """One more is an error that says how many and why; the lines lie in quarantine."""
    text = watch(1, "m", 1) * 18 + "x\n" * 2
    with pytest.raises(RejectedError, match=r"2 of 20 lines.*fewer than three fields \(2\)"):
        read(text, max_rejected_share=0.05)
    assert len(quarantined()) == 2


def test_share_is_of_each_file(read):
    """A file that is broken throughout is not hidden by a large sound one."""
    with pytest.raises(RejectedError, match="1-file"):
        read(watch(1, "m", 1) * 1000, watch(1, "m", 1) + "x\n", max_rejected_share=0.05)


def test_error_names_the_reason_of_that_file(read):
    """What was rejected in other files is not blamed on the one that is broken."""
    mostly_sound = watch(1, "m", 1) * 200 + "\n" * 9
    with pytest.raises(RejectedError, match=r"malformed user id \(1\)"):
        read(mostly_sound, watch(1, "m", 1) + watch("N7", "m", 1), max_rejected_share=0.05)


def test_nothing_rejected_is_allowed_at_share_0(read):
    """A limit of 0 lets a clean file pass, and no broken line."""
    assert views(read(watch(1, "m", 1), max_rejected_share=0.0))
    with pytest.raises(RejectedError):
        read(watch(1, "m", 1) * 1000 + "x\n", max_rejected_share=0.0)


# --- the real thing -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "n_rows", "n_rejected"),
    [
        # One row of ratings.csv is torn: its time runs into the address it was fetched from.
        ("ml-latest-small/ratings.csv", "MovieLens ratings.csv", 100_836, 1),
        ("ml-100k/u.data", "MovieLens u.data", 100_000, 0),
        ("ml-1m/pairs.parquet", "Parquet", 1_000_209, 0),
        ("stream/kafka-2022-11-noisy-50k.log", "stream log", 50_000, 51),
        ("stream/views-290k-users.tsv.gz", "user/item pairs", 404_884, 0),
    ],
)
def test_real_files_are_told_apart_and_read_whole(
    shared_data, tmp_path, name, kind, n_rows, n_rejected
):
    """Each real file is of its kind, and all of its rows are there or in quarantine."""
    with Quarantine(tmp_path, "now", 30) as quarantine:
        events = read_events([shared_data / name], KNOWN, quarantine, 0.002)
    (source,) = events.sources
    n_events = sum(events.views["n_events"].to_pylist()) + events.ratings.num_rows
    n_events += events.n_accounts + events.n_answers
    assert (source.kind, source.n_lines, source.n_rejected) == (kind, n_rows, n_rejected)
    assert n_events == n_rows - n_rejected == n_rows - quarantine.counts.total()


def test_a_directory_may_hold_quiet_days_and_marks(tmp_path):
    """Empty files and names with `.` or `_` before them are no events and no error."""
    (tmp_path / "day.log").write_bytes(b"2026-03-01T10:00,1,GET /data/m/film+1+1951/1.mpg\n")
    for name in ("quiet.log", "_SUCCESS", ".day.log.tmp"):
        (tmp_path / name).write_bytes(b"" if name == "quiet.log" else b"anything")
    events = read_events([tmp_path], KNOWN, Quarantine(tmp_path / "q", "now", 30), 0.0)
    assert [source.path.name for source in events.sources] == ["day.log"]
