"""Profiles of users, from files of every kind, and the segments that follow from them."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from batch.errors import InputError
from batch.records.profiles import Profile, age_band, is_minor, read_profiles, segments
from store.items import backing_off

NOTHING = Profile(age=None, gender=None, occupation=None)
API = {"user_id": 42, "age": 28, "occupation": "writer", "gender": "F"}
ONE_OF_EACH_KIND = {
    "api": json.dumps(API) + "\n",
    "api-doc": json.dumps({"_path": "x", "doc": API}) + "\n",
    "userid": "userid,age,occupation,gender\n42,28,writer,F\n",
    "user_id": "index,user_id,gender,occupation,age\r\n0,42,F,writer,28\r\n",
    "userID": '"userID","age","occupation","gender"\n"42","28","writer","F"\n',
    "u.user": "42|28|F|writer|85711\n",
    "users.dat": "42::F::28::20::48067\n",
}


@pytest.fixture
def read(tmp_path):
    """Write each content to a file of its own, named after its number, and read them."""

    def read(*contents):
        paths: list[Path] = []
        for number, content in enumerate(contents):
            paths.append(tmp_path / f"file-{number}")
            paths[-1].write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_profiles(paths)

    return read


def api(**fields):
    """Return one line of the user API with only these fields."""
    return json.dumps({"user_id": 1, **fields}) + "\n"


@pytest.mark.parametrize("content", ONE_OF_EACH_KIND.values(), ids=ONE_OF_EACH_KIND)
def test_every_kind_gives_every_field(read, content):
    assert read(content).users == {"42": Profile(28, "F", "writer")}


@pytest.mark.parametrize("content", ONE_OF_EACH_KIND.values(), ids=ONE_OF_EACH_KIND)
def test_gzip_reads_like_the_plain_file(read, content):
    assert read(gzip.compress(content.encode())).users == read(content).users


def test_user_id_may_be_text(read):
    assert list(read(api(user_id="ann")).users) == ["ann"]


@pytest.mark.parametrize(("code", "name"), [(0, "other"), (10, "K-12 student"), (20, "writer")])
def test_occupation_codes_of_movielens_1m_become_names(read, code, name):
    assert read(f"1::M::25::{code}::0\n").users["1"].occupation == name


def test_unknown_occupation_code_is_missing(read):
    assert read("1::M::25::21::0\n").users["1"].occupation is None


def test_age_code_1_of_movielens_1m_is_a_minor(read):
    assert is_minor(read("1::F::1::10::48067\n").users["1"])


@pytest.mark.parametrize(
    "age", [None, {}, "null", "old", True, 0, 121, -5, "nan", float("inf"), 10**400]
)
def test_impossible_age_is_missing(read, age):
    assert read(api(age=age)).users == {"1": NOTHING}


@pytest.mark.parametrize(("age", "years"), [(1, 1), (120, 120), ("28", 28), (28.0, 28)])
def test_age_is_years_as_a_number_or_as_text(read, age, years):
    assert read(api(age=age)).users["1"].age == years


BROKEN_GENDERS: list[object] = ["", "null", None, {}, 1, "n/a", "two words", "M" * 21]


@pytest.mark.parametrize(
    ("gender", "expected"),
    [
        ("m", "M"),
        (" F ", "F"),
        ("female", "F"),
        ("Male", "M"),
        ("X", "X"),
        ("non-binary", "NON-BINARY"),
        *((broken, None) for broken in BROKEN_GENDERS),
    ],
)
def test_gender_is_one_upper_case_word(read, gender, expected):
    assert read(api(gender=gender)).users["1"].gender == expected


@pytest.mark.parametrize("occupation", [None, {}, [], "null", "", 7, True])
def test_occupation_of_the_wrong_type_is_missing(read, occupation):
    assert read(api(occupation=occupation)).users == {"1": NOTHING}


@pytest.mark.parametrize(
    "line",
    ["{torn", "[]", "{}", '{"user_id": null}', '{"user_id": 1.5}', '{"user_id": "two words"}'],
)
def test_entry_without_a_usable_id_is_counted_and_dropped(read, line):
    profiles = read(f"{api()}{line}\n")
    assert (list(profiles.users), profiles.sources[0].n_rejected) == (["1"], 1)


def test_user_id_is_at_most_64_characters(read):
    profiles = read(api(user_id="x" * 64) + api(user_id="x" * 65))
    assert (list(profiles.users), profiles.sources[0].n_rejected) == (["x" * 64], 1)


def test_later_file_fills_missing_fields(read):
    users = read(api(age=28), api(age=60, gender="F"), api(user_id=2)).users
    assert users == {"1": Profile(28, "F", None), "2": NOTHING}


def test_user_listed_twice_in_one_file_is_one_user(read):
    profiles = read(api(age=28) + api(gender="F"))
    assert (profiles.users, profiles.sources[0].n_ids) == ({"1": Profile(28, "F", None)}, 1)


def test_equal_profiles_are_one_object(read):
    """Users with equal profiles share one object, which saves memory."""
    users = read("userid,age\n1,28\n2,28\n").users
    assert users["1"] is users["2"]


def test_without_files_there_are_no_profiles(read):
    assert (read().users, read().sources) == ({}, ())


@pytest.mark.parametrize("content", ['{"id": "heat+1995"}\n', "userid,age\n", "userid,age\n,5\n"])
def test_file_without_a_usable_entry_is_refused_with_an_example(read, content):
    with pytest.raises(InputError, match=r"no entry with a usable id.*give lines like"):
        read(content)


@pytest.mark.parametrize(
    "content",
    [
        "2022-11-14T12:23:14,1,GET /data/m/heat+1995/1.mpg\n",
        "1::1193::5::978300760\n",
        "1::Toy Story (1995)::Animation|Comedy\n",
        "1|Toy Story (1995)|01-Jan-1995||http://url|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n",
        "movieID,movieIndex\na,1\n",
    ],
)
def test_file_of_another_kind_is_refused_with_the_known_kinds(read, content):
    with pytest.raises(InputError, match=r"begins with .*user_id.*JSON.*u\.user.*users\.dat"):
        read(content)


def test_damaged_parquet_is_refused(read):
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read(b"PAR1\x00\xff")


def test_interactions_are_refused_by_their_column(read):
    with pytest.raises(InputError, match="not a list of users: it has a column movieId; "):
        read("userId,movieId,rating,timestamp\n1,1,4.0,964982703\n")


def test_empty_file_is_refused(read):
    with pytest.raises(InputError, match="is empty"):
        read("")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_profiles([tmp_path / "nowhere"])


def test_unreadable_file_is_refused(tmp_path, as_anybody):
    path = tmp_path / "users"
    path.write_text(api())
    path.chmod(0)
    with as_anybody(), pytest.raises(InputError, match="permission denied"):
        read_profiles([path])


@pytest.mark.parametrize(
    ("band", "youngest", "oldest"),
    [
        ("0-17", 1, 17),
        ("18-24", 18, 24),
        ("25-34", 25, 34),
        ("35-44", 35, 44),
        ("45-49", 45, 49),
        ("50-55", 50, 55),
        ("56+", 56, 120),
    ],
)
def test_bands_hold_their_first_and_last_year(band, youngest, oldest):
    assert (age_band(youngest), age_band(oldest)) == (band, band)


def test_unknown_age_has_no_band():
    assert age_band(None) is None


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (
            Profile(28, "F", "writer"),
            ("25-34/F/writer", "25-34/F", "25-34", "F", "writer"),
        ),
        (Profile(28, "F", None), ("25-34/F", "25-34", "F")),
        (Profile(28, None, "writer"), ("25-34/writer", "25-34", "writer")),
        (Profile(None, "F", "writer"), ("F/writer", "F", "writer")),
        (Profile(None, None, "writer"), ("writer",)),
        (Profile(None, None, None), ()),
    ],
    ids=["all", "age-gender", "age-occupation", "gender-occupation", "occupation", "nothing"],
)
def test_segments_begin_with_the_most_specific_one(profile, expected):
    assert segments(profile) == expected


@pytest.mark.parametrize("profile", [Profile(28, "F", "writer"), Profile(28, None, "artist")])
def test_the_server_backs_off_through_the_same_segments(profile):
    names = segments(profile)
    assert backing_off(names[0].encode()) == [name.encode() for name in names]


@pytest.mark.parametrize(
    ("occupation", "key"),
    [
        ("executive/managerial", "executive-managerial"),
        ("K-12 student", "k-12-student"),
        ("  Écrivain_public ", "écrivain-public"),
        ("w" * 500, "w" * 40),
        *((no_key, None) for no_key in ("popular", "reserve", "25-34", "12", "///", "%")),
        ("作家", "作家"),
    ],
    ids=["slash", "blank", "accent", "long", "popular", "reserve", "band", "digits", "slashes",
         "percent", "no-case"],
)  # fmt: skip
def test_occupation_becomes_a_part_of_a_key(occupation, key):
    assert segments(Profile(None, None, occupation)) == ((key,) if key else ())


BROKEN_LIKES: list[object] = [None, {}, 7, True, "", "null", [], [None]]


@pytest.mark.parametrize(
    ("likes", "expected"),
    [
        (" Heat\nand  Alien ", "Heat and Alien"),
        (["Heat", 7, None, "Alien"], "Heat; Alien"),
        ("x" * (1 << 20), "x" * 2_000),
        *((broken, None) for broken in BROKEN_LIKES),
    ],
    ids=["text", "list", "long", "null", "object", "number", "flag", "empty", "word-null",
         "empty-list", "list-of-null"],
)  # fmt: skip
def test_likes_are_one_line_of_text(read, likes, expected):
    user = read(api(likes=likes, dislikes=likes)).users["1"]
    assert (user.likes, user.dislikes) == (expected, expected)


@pytest.mark.parametrize("field", ["age", "gender", "occupation"])
@pytest.mark.parametrize("value", [["28", "F", "writer"], {"28": "F"}], ids=["list", "object"])
def test_list_or_object_in_a_word_field_loses_only_that_field(read, field, value):
    """Only likes and dislikes may be lists."""
    user = read(api(**{"likes": ["Heat", "Alien"], field: value})).users["1"]
    assert user == Profile(None, None, None, "Heat; Alien")


def test_equal_values_of_other_types_are_distinguished(read):
    """1 is an age and True is not, although they are equal; 28 and 28.0 are the same age."""
    ages = [1, True, 1.0, "1", False, 28, 28.0, "28"]
    users = read("".join(api(user_id=n, age=age) for n, age in enumerate(ages))).users
    assert [user.age for user in users.values()] == [1, None, 1, 1, None, 28, 28, 28]


def test_half_a_character_in_likes_is_dropped(read):
    assert read('{"user_id": 1, "likes": "Heat \\ud83d"}\n').users["1"].likes == "Heat "


@pytest.mark.parametrize(("age", "expected"), [(17, True), (18, False), (None, False)])
def test_minor_is_a_user_known_to_be_under_18(age, expected):
    assert is_minor(Profile(age, None, None)) is expected


@pytest.mark.parametrize(
    ("name", "n_users"),
    [
        ("api/users-2019.jsonl", 8_456),
        ("api/users-2022.csv", 19_575),  # of 20,131 lines: some users occur twice
        ("ml-100k/u.user", 943),
        ("ml-1m/users.dat", 6_040),
    ],
)
def test_real_users_have_all_fields(shared_data, name, n_users):
    profiles = read_profiles([shared_data / name])
    assert (len(profiles.users), profiles.sources[0].n_rejected) == (n_users, 0)
    assert all(None not in (p.age, p.gender, p.occupation) for p in profiles.users.values())


def test_genders_of_real_users_are_m_and_f(shared_data):
    users = read_profiles([shared_data / "ml-100k" / "u.user"]).users
    assert Counter(p.gender for p in users.values()) == {"M": 670, "F": 273}
