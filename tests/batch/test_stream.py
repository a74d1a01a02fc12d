"""The event stream: every form of a line is parsed, every broken line has a reason."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.events.fold import fold_views
from batch.events.lines import read_blocks, split_lines
from batch.events.stream import StreamParser
from batch.settings import BatchSettings

USER, ITEM = BatchSettings().user_pattern, BatchSettings().item_pattern
AT = "2022-11-14T12:23:12"
MAX_NUMBER = 10**6


def parse(data, user_pattern=USER, item_pattern=ITEM):
    """Parse text or bytes as one block."""
    data = data if isinstance(data, bytes) else data.encode()
    return StreamParser(user_pattern, item_pattern)(split_lines(data))


def facts(parsed):
    """Return events and rejected positions of a block, sorted."""
    views = {
        (view["user_id"], view["item_id"]): (view["minute"], view["n_events"])
        for view in fold_views(parsed.views).to_pylist()
    }
    ratings = sorted(tuple(rating.values()) for rating in parsed.ratings.to_pylist())
    return views, ratings, parsed.n_accounts, parsed.n_answers, sorted(parsed.rejected.tolist())


def seconds(text):
    """Return seconds since 1970 by the wall clock."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


# --- every form of a line -----------------------------------------------------------------

WATCHES = {
    "2019": ("2019-09-01T08:00:01,614,GET /data/m/heat+1995/20.mpg", ("614", "heat+1995", 20)),
    "no seconds": ("2020-06-25T13:44,7,GET /data/m/heat+1995/0.mpg", ("7", "heat+1995", 0)),
    "fraction": (f"{AT}.426,7,GET /data/m/heat+1995/73.mpg", ("7", "heat+1995", 73)),
    "nine digits": (f"{AT}.426000001,7,GET /data/m/m+1931/73.mpg", ("7", "m+1931", 73)),
    "begins with +": (f"{AT},7,GET /data/m/+nos+amours+1983/5.mpg", ("7", "+nos+amours+1983", 5)),
    "begins with .": (f"{AT},7,GET /data/m/.45+2006/5.mpg", ("7", ".45+2006", 5)),
    "pluses alone": (f"{AT},7,GET /data/m/++++++1959/5.mpg", ("7", "++++++1959", 5)),
    "no year": (f"{AT},7,GET /data/m/m_-*/148.mpg", ("7", "m_-*", 148)),
    "one character": (f"{AT},7,GET /data/m/m/148.mpg", ("7", "m", 148)),
    "109 characters": (f"{AT},7,GET /data/m/{'m' * 109}/1.mpg", ("7", "m" * 109, 1)),
    "late minute": (f"{AT},7,GET /data/m/m+1931/1196.mpg", ("7", "m+1931", 1196)),
}
RATINGS = {
    "scale of 5": (f"{AT},7,GET /rate/heat+1995=3", ("7", "heat+1995", 3.0, seconds(AT))),
    "scale of 10": (f"{AT},7,GET /rate/heat+1995=10", ("7", "heat+1995", 10.0, seconds(AT))),
    "no seconds": (
        "2025-10-17T01:39,7,GET /rate/you_+the+living+2007=4",
        ("7", "you_+the+living+2007", 4.0, seconds("2025-10-17T01:39")),
    ),
    "fraction": (f"{AT}.5,7,GET /rate/m=1", ("7", "m", 1.0, seconds(AT))),
    "before 1970": (
        "1969-12-31T23:59:59,7,GET /rate/m=1",
        ("7", "m", 1.0, -1),
    ),
    "leap day": (
        "2024-02-29T00:00:00,7,GET /rate/m=1",
        ("7", "m", 1.0, seconds("2024-02-29T00:00:00")),
    ),
}
ANSWERS = {
    "list of 3, ms apart": "status 200, result: heat+1995, m+1931, .45+2006, 65 ms",
    "list without blanks": "status 0, result: heat+1995,m+1931, 819 ms",
    "ms joined": "status 200, result: heat+1995,m+1931, 45ms",
    "comma before the ms": "status 200, result: heat+1995,65 ms",
    "refused": "status 0, result: Connection refused: host.example/10.0.0.1:8082, 1369 ms",
    "time-out": "status 0, result: java.util.concurrent.TimeoutException: after 800 ms, 815 ms",
    "empty result": "status 200, result: , 12 ms",
    "unknown film": 'status 400, result: movie ["winter+in+wartime+2008" not found, 12 ms',
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "", "\r"], ids=["LF", "CRLF", "none", "CR"])
@pytest.mark.parametrize(("line", "expected"), WATCHES.values(), ids=WATCHES)
def test_every_form_of_a_watched_minute_is_one_view(line, expected, end):
    """A watched minute is parsed in every form, with any line end."""
    user, item, minute = expected
    assert facts(parse(line + end)) == ({(user, item): (minute, 1)}, [], 0, 0, [])


@pytest.mark.parametrize("end", ["\n", "\r\n", ""], ids=["LF", "CRLF", "none"])
@pytest.mark.parametrize(("line", "expected"), RATINGS.values(), ids=RATINGS)
def test_every_form_of_a_rating_is_one_rating(line, expected, end):
    """A rating is parsed in every form, its time in seconds since 1970."""
    assert facts(parse(line + end)) == ({}, [expected], 0, 0, [])


@pytest.mark.parametrize("at", [AT, AT[:16], f"{AT}.099", f"{AT}.122692921"])
def test_new_account_is_counted(at):
    """An account line adds to the accounts, not to views or ratings."""
    assert facts(parse(f"{at},99999,GET /create_account\r\n")) == ({}, [], 1, 0, [])


@pytest.mark.parametrize("at", [AT, AT[:16], f"{AT}.149", f"{AT}.945123", f"{AT}.160449866"])
@pytest.mark.parametrize("rest", ANSWERS.values(), ids=ANSWERS)
def test_every_form_of_an_answer_is_counted(rest, at):
    """An answered or failed request adds to the answers, not to views or ratings."""
    line = f"{at},23,recommendation request team5.example.edu:8082, {rest}\n"
    assert facts(parse(line)) == ({}, [], 0, 1, [])


def test_minutes_of_one_film_are_one_view():
    """A user's minutes in one block become one view: the furthest minute and their number."""
    lines = [f"{AT},7,GET /data/m/heat+1995/{minute}.mpg\n" for minute in (3, 170, 12)]
    assert facts(parse("".join(lines)))[0] == {("7", "heat+1995"): (170, 3)}


@pytest.mark.parametrize("digits", ["1000000", "9" * 10, "9" * 400])
def test_huge_minutes_and_ratings_become_a_million(digits):
    """A number of more than six digits is cut to 10^6."""
    watch = f"{AT},7,GET /data/m/heat+1995/{digits}.mpg\n"
    rate = f"{AT},7,GET /rate/heat+1995={digits}\n"
    views, ratings, *_, rejected = facts(parse(watch + rate))
    assert views == {("7", "heat+1995"): (MAX_NUMBER, 1)}
    assert [rating[2] for rating in ratings] == [MAX_NUMBER]
    assert rejected == []


@pytest.mark.parametrize("digits", ["999999", "000012"])
def test_six_digits_are_kept_as_they_are(digits):
    """A number of six digits is not cut."""
    watch = f"{AT},7,GET /data/m/heat+1995/{digits}.mpg\n"
    assert facts(parse(watch))[0] == {("7", "heat+1995"): (int(digits), 1)}


@pytest.mark.parametrize("data", ["", "no event\n", "\n\n"])
def test_block_without_a_valid_line_gives_empty_tables(data):
    """An empty block, or one of only broken lines, is not an error."""
    parsed = parse(data)
    assert facts(parsed) == ({}, [], 0, 0, list(range(data.count("\n"))))


# --- reasons of rejected lines ------------------------------------------------------------

REASONS = {
    "blank line": ["", " ", "\t", "\r", " \r"],
    "fewer than three fields": [
        "x", AT, f"{AT},7", f"{AT};7;GET /data/m/m/1.mpg", f"{AT},GET /data/m/m/1.mpg", "\x00", "é",
    ],
    "malformed time": [
        ",7,GET /data/m/m/1.mpg",
        "2022-11-1 4T12:23:14,7,GET /data/m/m/1.mpg",
        "22-11-14T12:23:14,7,GET /data/m/m/1.mpg",
        "2022-11-14 12:23:14,7,GET /data/m/m/1.mpg",
        "2022-11-14T12,7,GET /data/m/m/1.mpg",
        f"{AT}.,7,GET /data/m/m/1.mpg",
        f"{AT}.1234567890,7,GET /data/m/m/1.mpg",
        f"{AT}Z,7,GET /rate/m=3",
        f"{AT}+01:00,7,GET /create_account",
        f" {AT},7,GET /rate/m=3",
        f"\ufeff{AT},7,GET /rate/m=3",
        "٢٠٢٢-11-14T12:23:12,7,GET /rate/m=3",
    ],
    "malformed user id": [
        f"{AT},,GET /data/m/m/1.mpg",
        f"{AT},N671040,GET /data/m/m/1.mpg",
        f"{AT},-1,GET /rate/m=3",
        f"{AT}, 7,GET /rate/m=3",
        f"{AT},7 ,GET /create_account",
        f"{AT},\u0667,GET /rate/m=3",
        f"{AT},6.0,GET /rate/m=3",
    ],
    "malformed item id": [
        f"{AT},7,GET /data/m//1.mpg",
        f"{AT},7,GET /data/m/NzPliAB5Fa/1.mpg",
        f"{AT},7,GET /data/m/cube+1 997/1.mpg",
        f"{AT},7,GET /data/m/am\u00e9lie+2001/1.mpg",
        f"{AT},7,GET /data/m/{'m' * 110}/1.mpg",
        f"{AT},7,GET /data/m/a,b/1.mpg",
        f"{AT},7,GET /rate/=3",
        f"{AT},7,GET /rate/sOtar+trek+2009=3",
        f"{AT},7,GET /rate/star+wars+1977 =3",
        f"{AT},7,GET /rate/{'m' * 110}=3",
        f"{AT},7,GET /rate/m",
    ],
    "malformed minute": [
        f"{AT},7,GET /data/m/m/.mpg",
        f"{AT},7,GET /data/m/m/30.Hmpg",
        f"{AT},7,GET /data/m/m/3O.mpg",
        f"{AT},7,GET /data/m/m/-3.mpg",
        f"{AT},7,GET /data/m/m/30",
        f"{AT},7,GET /data/m/m/30.mpg4",
        f"{AT},7,GET /data/m/m/30.mpg\r\r",
        f"{AT},7,GET /data/m/m/3{AT},7,GET /data/m/m/3.mpg",
    ],
    "malformed rating": [
        f"{AT},7,GET /rate/m=",
        f"{AT},7,GET /rate/m=five",
        f"{AT},7,GET /rate/m=4.5",
        f"{AT},7,GET /rate/m=-1",
        f"{AT},7,GET /rate/m=3 ",
        f"{AT},7,GET /rate/m=3=3",
    ],
    "malformed answer": [
        f"{AT},7,recommendation request host:80, status 200, result: m+1931",
        f"{AT},7,recommendation request host:80, status 200, result: m+1931, 12 s",
        f"{AT},7,recommendation request host:80, status two, result: m+1931, 12 ms",
        f"{AT},7,recommendation request , status 200, result: m+1931, 12 ms",
        f"{AT},7,recommendation request host:80, result: m+1931, 12 ms",
    ],
    "unknown event": [
        f"{AT},7,",
        f"{AT},7,GZET /data/m/m/1.mpg",
        f"{AT},7,GET /data/n/m/1.mpg",
        f"{AT},7,POST /rate/m=3",
        f"{AT},7,GET /create_accounts",
        f"{AT},7,GET /create_account,1",
        f"{AT},7,recommendation response host:80, status 200, result: m+1931, 12 ms",
    ],
    "no such date or time": [
        "2023-02-29T12:00:00,7,GET /rate/m=3",
        "1900-02-29T12:00:00,7,GET /rate/m=3",
        "2022-13-01T12:00:00,7,GET /data/m/m/1.mpg",
        "2022-00-01T12:00:00,7,GET /data/m/m/1.mpg",
        "2022-04-31T12:00,7,GET /data/m/m/1.mpg",
        "2022-11-00T12:00:00,7,GET /create_account",
        "2022-11-14T24:00:00,7,GET /rate/m=3",
        "2022-11-14T23:60:00,7,GET /rate/m=3",
        "2022-11-14T23:59:60,7,GET /rate/m=3",
        "0000-01-01T00:00:00,7,GET /rate/m=3",
        "9999-99-99T99:99:99,7,recommendation request h:1, status 200, result: m, 1 ms",
    ],
}  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
def test_each_broken_line_is_rejected_for_its_reason(reason):
    """A broken line is rejected, and the reason names the broken field."""
    lines = REASONS[reason]
    parsed = parse("".join(f"{line}\n" for line in lines))
    assert dict(zip(lines, parsed.reasons, strict=True)) == dict.fromkeys(lines, reason)
    assert facts(parsed) == ({}, [], 0, 0, list(range(len(lines))))


def test_reasons_belong_to_their_lines():
    """Among valid lines, each rejected position has the reason of its line."""
    sound = f"{AT},7,GET /data/m/m/1.mpg\n"
    every = [(line, reason) for reason, lines in REASONS.items() for line in lines]
    parsed = parse("".join(f"{sound}{line}\n" for line, _ in every))
    reasons = dict(zip(parsed.rejected.tolist(), parsed.reasons, strict=True))
    assert reasons == {2 * n + 1: reason for n, (_, reason) in enumerate(every)}
    assert facts(parsed)[0] == {("7", "m"): (1, len(every))}


@pytest.mark.parametrize("noise", [b"\xff", b"\x80", b"\xc3", b"\x00", b"\xed\xa0\x80"])
def test_invalid_utf_8_is_rejected(noise):
    """Invalid UTF-8 is rejected like any other character, without an error."""
    watch, rate = b"%b,7,GET /data/m/he%bat/1.mpg\n", b"%b,%b7,GET /rate/heat=1\n"
    parsed = parse(watch % (AT.encode(), noise) + rate % (AT.encode(), noise))
    assert parsed.reasons == ["malformed item id", "malformed user id"]


def test_an_answer_may_have_any_encoding():
    """The encoding of an answer's text is not checked."""
    line = b"%b,7,recommendation request h\xff:1, status 0, result: \xff\xfe, 9 ms\n"
    assert facts(parse(line % AT.encode())) == ({}, [], 0, 1, [])


@pytest.mark.parametrize("begin", [f"{AT},", f"{AT}.123456789,", f"{AT[:16]},7,"])
def test_no_byte_after_the_last_line_is_read(begin):
    """A last line that ends like a minute but lacks fields is rejected."""
    lines = [f"{begin}{'x' * n}{rest}" for n in range(30) for rest in ("/1.mpg", "/m/1.mpg")]
    assert [facts(parse(line)) for line in lines] == [({}, [], 0, 0, [0])] * len(lines)


# --- other catalogues ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user_pattern", "item_pattern", "user", "item"),
    [
        (r"u-[0-9a-f]{8}", ITEM, "u-0123abcd", "heat+1995"),
        (USER, r"tt\d{7,8}", "7", "tt0113277"),
        (r"[A-Za-z]+|\d+", r"[A-Z]\w*|\d+", "Ann", "Heat"),
        (r"(?i)[a-z]+", r"(?:film|show)-\d+", "AnN", "show-1"),
    ],
)
def test_other_ids_are_parsed_by_their_patterns(user_pattern, item_pattern, user, item):
    """Ids that match the patterns of the settings are parsed, other ids are rejected."""
    watch = f"{AT},{user},GET /data/m/{item}/5.mpg\n"
    rate = f"{AT},{user},GET /rate/{item}=3\n"
    broken = f"{AT},{user}~,GET /rate/{item}=3\n{AT},{user},GET /rate/{item}~=3\n"
    views, ratings, *_, rejected = facts(parse(watch + rate + broken, user_pattern, item_pattern))
    assert views == {(user, item): (5, 1)}
    assert ratings == [(user, item, 3.0, seconds(AT))]
    assert rejected == [2, 3]


def test_pattern_with_alternatives_gives_the_right_reasons():
    """A pattern with alternatives gives the same reasons as any other."""
    lines = [f"{AT},Ann,GET /data/m/a/1.mpg\n", f"{AT},ann,GET /data/m/A/1.mpg\n"]
    parsed = parse("".join(lines), r"[a-z]+|\d+", r"[a-z]+|\d+")
    assert parsed.reasons == ["malformed user id", "malformed item id"]


@pytest.mark.parametrize("n_digits", [65, 512, 5000])
def test_user_id_too_long_for_the_store_is_rejected(n_digits):
    """A user id of more than 64 digits is rejected, so that noise cannot stop a snapshot."""
    parsed = parse(f"{AT},{'1' * n_digits},GET /data/m/heat+1995/1.mpg\n")
    assert parsed.reasons == ["malformed user id"]


def test_user_id_of_64_digits_is_valid():
    """A user id of the greatest length is parsed."""
    assert parse(f"{AT},{'1' * 64},GET /data/m/heat+1995/1.mpg\n").reasons == []


@pytest.mark.parametrize("user", [b"", b"\xff", b"a b", "é".encode(), b"a|b"])
def test_loose_pattern_does_not_admit_invalid_user_ids(user):
    """An id that is invalid in the store is rejected, even if it matches the pattern."""
    line = b"%b,%b,GET /data/m/heat+1995/1.mpg\n" % (AT.encode(), user)
    assert parse(line, r"[^,]*", ITEM).reasons == ["malformed user id"]


@pytest.mark.parametrize("pattern", [r"(?!0)\d+", r"(?=1)\d+", r"(?<!x)\d+"])
def test_pattern_that_re2_does_not_support_is_refused_by_the_settings(pattern):
    """A pattern that would stop the parser is an error of the settings."""
    with pytest.raises(ValueError, match="user_pattern"):
        BatchSettings(user_pattern=pattern)


# --- compared with the four strict patterns of the scenario -------------------------------

_T = rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,9})?)?"
_U, _M = rb"(\d+)", rb"([a-z0-9+._*-]{1,109})"
_WATCH = re.compile(rb"%b,%b,GET /data/m/%b/(\d+)\.mpg" % (_T, _U, _M))
_RATE = re.compile(rb"%b,%b,GET /rate/%b=(\d+)" % (_T, _U, _M))
_ACCOUNT = re.compile(rb"%b,%b,GET /create_account" % (_T, _U))
_ANSWER = re.compile(
    rb"%b,%b,recommendation request [^,]+, status \d+, result: .*, ?\d+ ?ms" % (_T, _U)
)


def whole(digits):
    """Return a number, a million for more than six digits."""
    return int(digits) if len(digits) <= 6 else MAX_NUMBER


def moment(parts):
    """Return a date and time in UTC; None if there is no such one."""
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def by_the_scenario(data):
    """Read lines one by one with Python's own `re` and `datetime`."""
    views: dict[tuple[str, str], tuple[int, int]] = {}
    ratings, n_accounts, n_answers, rejected = [], 0, 0, []
    for position, line in enumerate(re.findall(rb"[^\n]*\n|[^\n]+", data)):
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        patterns = (_WATCH, _RATE, _ACCOUNT, _ANSWER)
        found = next((m for pattern in patterns if (m := pattern.fullmatch(text))), None)
        at = moment(found.groups()[:6]) if found else None
        if not found or not at:
            rejected.append(position)
            continue
        user, *rest = (part.decode() for part in found.groups()[6:])
        if found.re is _WATCH:
            minute, n = views.get((user, rest[0]), (0, 0))
            views[user, rest[0]] = (max(minute, whole(rest[1])), n + 1)
        elif found.re is _RATE:
            ratings.append((user, rest[0], whole(rest[1]), int(at.timestamp())))
        n_accounts += found.re is _ACCOUNT
        n_answers += found.re is _ANSWER
    return views, sorted(ratings), n_accounts, n_answers, rejected


def digits(n):
    return st.text("0123456789", min_size=1, max_size=n)


def clock(*bounds):
    return st.tuples(*(st.integers(0, highest) for highest in bounds))


real_times = st.datetimes().map(lambda at: at.isoformat(timespec="seconds"))
any_times = st.builds(
    lambda year, rest: "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(year, *rest),
    st.sampled_from([0, 1, 1600, 1900, 1970, 2000, 2023, 2024, 9999]),
    clock(13, 32, 24, 60, 60) | clock(99, 99, 99, 99, 99) | clock(2, 30, 23, 59, 59),
)
times = st.builds(
    lambda at, tail: at[:16] if tail is None else at + tail,
    real_times | any_times,
    st.none() | st.just("") | digits(10).map(lambda fraction: f".{fraction}"),
)
user_ids = digits(7) | digits(64)
item_ids = st.sampled_from(["heat+1995", "m"]) | st.text(
    "abcxyz0189+._*-", min_size=1, max_size=109
)
free_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=30)
hosts = free_text.map(lambda text: text.replace(",", "") or "host:8082")
answers = st.builds(
    "recommendation request {}, status {}, result: {}{}{}{}ms".format,
    hosts,
    digits(3),
    free_text,
    st.sampled_from([", ", ","]),
    digits(5),
    st.sampled_from(["", " "]),
)
numbers = digits(4) | digits(30)
events = (
    st.builds("GET /data/m/{}/{}.mpg".format, item_ids, numbers)
    | st.builds("GET /rate/{}={}".format, item_ids, numbers)
    | st.just("GET /create_account")
    | answers
)
sound_lines = st.builds("{},{},{}".format, times, user_ids, events).map(str.encode)
foreign = (
    st.characters(exclude_categories=["Cs"]).map(str.encode)
    | st.sampled_from([bytes([b]) for b in b" 0aA,/=.\r\n"])
    | st.binary(min_size=1, max_size=1)
)


@st.composite
def broken_lines(draw):
    """Return a valid line with one character inserted, removed or replaced."""
    line = draw(sound_lines)
    position = draw(st.integers(0, len(line) - 1))
    inserted, n_removed = draw(
        st.tuples(foreign, st.just(0))
        | st.tuples(foreign, st.just(1))
        | st.tuples(st.just(b""), st.just(1))
    )
    return line[:position] + inserted + line[position + n_removed :]


ends = st.sampled_from([b"\n", b"\n", b"\r\n", b"\r\n", b"\r\r\n", b" \n", b"\n\n"])
logs = st.lists(
    st.tuples(sound_lines | broken_lines() | broken_lines(), ends).map(b"".join), max_size=12
)


@settings(max_examples=600, deadline=None)
@given(logs, st.booleans())
def test_parser_agrees_with_the_four_strict_patterns(log, ends_whole):
    """For valid and broken lines the parser agrees with the scenario's patterns."""
    data = b"".join(log)
    data = data if ends_whole else data.removesuffix(b"\n")
    assert facts(parse(data)) == by_the_scenario(data)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_random_bytes_are_rejected_one_by_one(log):
    """Any bytes are rejected with one reason a line, never an error."""
    data = b"\n".join(log)
    parsed = parse(data)
    assert facts(parsed) == by_the_scenario(data)
    assert len(parsed.reasons) == len(parsed.rejected)


# --- real lines ---------------------------------------------------------------------------


def test_real_lines_of_every_year_are_parsed(shared_data):
    """All 27 collected lines are events."""
    text = (shared_data / "stream" / "lines-by-year.txt").read_text()
    lines = [line for line in text.splitlines() if not re.match(r"#|\d{4} ", line)]
    views, ratings, n_accounts, n_answers, rejected = facts(parse("\n".join(lines)))
    n_watched = sum(n for _, n in views.values())
    assert n_watched + len(ratings) + n_accounts + n_answers == len(lines) == 27
    assert rejected == []


@pytest.fixture(scope="module")
def noisy_log(shared_data):
    return shared_data / "stream" / "kafka-2022-11-noisy-50k.log"


def test_real_noisy_log_gives_the_counts_of_the_strict_reading(noisy_log):
    """49,258 watched minutes, 266 ratings, 425 answers, exactly 51 rejected."""
    parsed = [StreamParser(USER, ITEM)(block.lines) for block in read_blocks(noisy_log)]
    assert {
        "watched": sum(sum(p.views["n_events"].to_pylist()) for p in parsed),
        "ratings": sum(p.ratings.num_rows for p in parsed),
        "answers": sum(p.n_answers for p in parsed),
        "rejected": sum(len(p.rejected) for p in parsed),
    } == {"watched": 49_258, "ratings": 266, "answers": 425, "rejected": 51}


def test_real_noisy_log_agrees_with_the_strict_patterns(noisy_log):
    """On all 50,000 real lines the parser agrees with the scenario's patterns."""
    data = noisy_log.read_bytes()
    assert facts(parse(data)) == by_the_scenario(data)


def test_real_lines_without_seconds_are_valid(noisy_log):
    """None of the 528 watches and ratings without seconds is rejected."""
    data = noisy_log.read_bytes()
    short = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d,\d+,GET /(data/m|rate)/")
    lines = data.splitlines(keepends=True)
    is_short = [position for position, line in enumerate(lines) if short.match(line)]
    *_, rejected = facts(parse(data))
    assert (len(is_short), set(is_short) & set(rejected)) == (528, set())
