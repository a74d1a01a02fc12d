"""The catalogue: items and their fields, from files of every kind."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from batch.errors import InputError
from batch.records.catalogue import Item, read_catalogues
from batch.records.fields import UNREADABLE

NOTHING = Item(title=None, year=None, genres=(), runtime=None, adult=None)
U_ITEM = "1|Toy Story (1995)|01-Jan-1995||http://url|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
API = {
    "id": "toy+story+1995",
    "title": "Toy Story",
    "release_date": "1995-10-30",
    "genres": [{"id": 16, "name": "Animation"}, {"id": 35, "name": "Comedy"}],
    "runtime": 81,
    "adult": "False",
}
TOY_STORY = Item("Toy Story", 1995, ("Animation", "Comedy"), 81.0, False)
ONE_OF_EACH_KIND = {
    "api": json.dumps(API) + "\n",
    "api-doc": json.dumps({"_path": "x", "doc": API}) + "\n",
    "csv": "movieID,movieIndex\ntoy+story+1995,1\n",
    "movies.csv": "movieId,title,genres\r\n1,Toy Story (1995),Animation|Comedy\r\n",
    "u.item": U_ITEM,
    "movies.dat": "1::Toy Story (1995)::Animation|Comedy\n",
}


@pytest.fixture
def read(tmp_path):
    """Write each content to a file of its own, named after its number, and read them."""

    def read(*contents):
        paths: list[Path] = []
        for number, content in enumerate(contents):
            paths.append(tmp_path / f"file-{number}")
            paths[-1].write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_catalogues(paths)

    return read


def api(**fields):
    """Return one line of the movie API with only these fields."""
    return json.dumps({"id": "a", **fields}) + "\n"


@pytest.mark.parametrize("content", ONE_OF_EACH_KIND.values(), ids=ONE_OF_EACH_KIND)
def test_gzip_reads_like_the_plain_file(read, content):
    assert read(gzip.compress(content.encode())).items == read(content).items


@pytest.mark.parametrize("content", ONE_OF_EACH_KIND.values(), ids=ONE_OF_EACH_KIND)
def test_byte_order_mark_is_ignored(read, content):
    assert read("\ufeff" + content).items == read(content).items


@pytest.mark.parametrize("content", ONE_OF_EACH_KIND.values(), ids=ONE_OF_EACH_KIND)
def test_blank_lines_are_ignored(read, content):
    assert read("\n" + content + "\n\n").sources[0].n_rejected == 0


@pytest.mark.parametrize("form", ["api", "api-doc"])
def test_movie_api_gives_every_field(read, form):
    assert read(ONE_OF_EACH_KIND[form]).items == {"toy+story+1995": TOY_STORY}


def test_movie_api_gives_overview_and_language(read):
    item = read(api(overview=" A thief\nand a cop. ", original_language="EN")).items["a"]
    assert (item.overview, item.language) == ("A thief and a cop.", "en")


@pytest.mark.parametrize("overview", [None, {}, 7, True, [], "", "null", " "])
def test_overview_that_is_not_text_is_missing(read, overview):
    assert read(api(overview=overview)).items == {"a": NOTHING}


def test_overview_of_a_megabyte_is_cut(read):
    assert read(api(overview="x" * (1 << 20))).items["a"].overview == "x" * 4_000


@pytest.mark.parametrize("language", [None, {}, 7, "", "english", "e1", "n/a", "日本"])
def test_language_is_a_code_of_letters(read, language):
    assert read(api(original_language=language)).items == {"a": NOTHING}


@pytest.mark.parametrize("date", ["0000-01-01", "0", "31-12", {}, None, 0])
def test_year_0_is_missing(read, date):
    assert read(api(release_date=date)).items == {"a": NOTHING}


def test_later_file_fills_overview_and_language(read):
    items = read(api(overview="A thief."), api(overview="A cop.", original_language="en")).items
    assert (items["a"].overview, items["a"].language) == ("A thief.", "en")


def test_items_of_a_csv_of_only_ids_exist(read):
    assert read(ONE_OF_EACH_KIND["csv"]).items == {"toy+story+1995": NOTHING}


def test_csv_may_have_the_fields_of_the_api(read):
    content = "index,movie_id,title,release_date,runtime,adult\n0,a,Heat,1995-12-15,170,False\n"
    assert read(content).items == {"a": Item("Heat", 1995, (), 170.0, False)}


@pytest.mark.parametrize("form", ["movies.csv", "movies.dat"])
def test_movielens_gives_title_year_and_genres(read, form):
    expected = Item("Toy Story", 1995, ("Animation", "Comedy"), None, None)
    assert read(ONE_OF_EACH_KIND[form]).items == {"1": expected}


def test_u_item_flags_become_genres(read):
    genres = ("Animation", "Children's", "Comedy")
    assert read(U_ITEM).items == {"1": Item("Toy Story", 1995, genres, None, None)}


def test_u_item_without_a_year_in_the_title_has_the_year_of_release(read):
    assert read(U_ITEM.replace(" (1995)|", "|")).items["1"].year == 1995


def test_quoted_titles_keep_their_commas_and_quotes(read):
    content = 'movieId,title,genres\r\n11,"American ""X"", The (1995)",Drama\r\n'
    assert read(content).items["11"].title == 'American "X", The'


def test_unquoted_comma_in_a_title_loses_the_fields_but_not_the_item(read):
    content = "movieId,title,genres\n11,American President, The (1995),Drama\n"
    assert read(content).items == {"11": NOTHING}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Babylon 5", ("Babylon 5", None)),
        ("2001: A Space Odyssey (1968)", ("2001: A Space Odyssey", 1968)),
        ("Fawlty Towers (1975-1979)", ("Fawlty Towers", 1975)),
        ("Death Note (2006\u20132007)", ("Death Note", 2006)),
        ("Misérables, Les (1995) ", ("Misérables, Les", 1995)),
        ("Land Before Time III (1995) (V)", ("Land Before Time III", 1995)),
        ("Space Odyssey (9001)", ("Space Odyssey (9001)", None)),
    ],
)
def test_year_is_in_brackets_at_the_end_of_a_movielens_title(read, title, expected):
    item = read(f'movieId,title,genres\n1,"{title}",Drama\n').items["1"]
    assert (item.title, item.year) == expected


def test_api_titles_keep_their_brackets(read):
    assert read(api(title="Heat (1995)")).items["a"].title == "Heat (1995)"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
@pytest.mark.parametrize("content", [U_ITEM, ONE_OF_EACH_KIND["movies.dat"]])
def test_movielens_is_read_in_either_encoding(read, content, encoding):
    items = read(content.replace("Toy Story", "Misérables, Les").encode(encoding)).items
    assert items["1"].title == "Misérables, Les"


@pytest.mark.parametrize("genres", ["(no genres listed)", "", "|"])
def test_no_genres_listed_means_unknown(read, genres):
    assert read(f"movieId,title,genres\n1,Heat (1995),{genres}\n").items["1"].genres == ()


@pytest.mark.parametrize("broken", [None, {}, [], "null", "", "{}", 7, True, ["x"], {"x": 1}])
@pytest.mark.parametrize("field", ["title", "release_date", "genres"])
def test_field_of_the_wrong_type_is_missing_and_the_item_exists(read, field, broken):
    assert read(api(**{field: broken})).items == {"a": NOTHING}


@pytest.mark.parametrize(
    "runtime", [None, {}, "null", "long", True, 0, "0", -1, 1441, "nan", float("nan"), 10**400]
)
def test_impossible_runtime_is_missing(read, runtime):
    assert read(api(runtime=runtime)).items["a"].runtime is None


@pytest.mark.parametrize(
    ("runtime", "minutes"), [(81, 81.0), ("81", 81.0), (81.5, 81.5), (1440, 1440.0)]
)
def test_runtime_is_minutes_as_a_number_or_as_text(read, runtime, minutes):
    assert read(api(runtime=runtime)).items["a"].runtime == minutes


BROKEN_FLAGS: list[object] = [None, {}, "null", "no", 1, 0]


@pytest.mark.parametrize(
    ("adult", "expected"),
    [
        (True, True),
        (False, False),
        ("True", True),
        ("false", False),
        *((broken, None) for broken in BROKEN_FLAGS),
    ],
)
def test_adult_is_a_boolean_or_its_word(read, adult, expected):
    assert read(api(adult=adult)).items["a"].adult is expected


def test_broken_genres_are_dropped_and_the_others_kept(read):
    genres = [{"name": "Drama"}, None, {}, {"name": 7}, 5, {"name": "War"}, {"name": "Drama"}]
    assert read(api(genres=genres)).items["a"].genres == ("Drama", "War")


def test_every_title_can_be_written_as_utf_8(read):
    assert read('{"id": "a", "title": "He\\ud800at"}\n').items["a"].title == "Heat"


@pytest.mark.parametrize(
    "line",
    [
        "{torn",
        "[]",
        "7",
        "{}",
        '{"doc": {}}',
        '{"id": null}',
        '{"id": true}',
        '{"id": 1.5}',
        '{"id": ["a"]}',
        '{"id": ""}',
        '{"id": "two words"}',
        '{"id": "a,b"}',
        json.dumps({"id": "x" * 201}),
        "[" * 100_000,
    ],
)
def test_entry_without_a_usable_id_is_counted_and_dropped(read, line):
    catalogue = read(f"{api()}{line}\n")
    assert (list(catalogue.items), catalogue.sources[0].n_rejected) == (["a"], 1)


def test_id_may_be_a_whole_number(read):
    assert list(read(api(id=862)).items) == ["862"]


@pytest.mark.parametrize("line", [",x,y", '"a"b,x,y', "two words,x,y", "torn"])
def test_csv_row_without_a_usable_id_is_rejected_alone(read, line):
    catalogue = read(f"movieId,title,genres\n1,Heat,Drama\n{line}\n2,Ran,War\n")
    assert (list(catalogue.items), catalogue.sources[0].n_rejected) == (["1", "2"], 1)


@pytest.mark.parametrize("form", ["u.item", "movies.dat"])
def test_broken_first_line_does_not_hide_the_kind(read, form):
    catalogue = read(f"torn\n{ONE_OF_EACH_KIND[form]}")
    assert (list(catalogue.items), catalogue.sources[0].n_rejected) == (["1"], 1)


def test_item_exists_if_any_file_lists_it(read):
    assert set(read(api(), "movieID\nb\n").items) == {"a", "b"}


def test_later_file_fills_missing_fields(read):
    first, second = api(title="Heat", runtime=None), api(title="Cold", runtime=170, adult=True)
    assert read(first, second).items == {"a": Item("Heat", None, (), 170.0, True)}


def test_false_is_not_missing(read):
    assert read(api(adult=False), api(adult=True)).items["a"].adult is False


def test_item_listed_twice_in_one_file_is_one_item(read):
    catalogue = read(api(title="Heat") + api(title="Cold", runtime=170))
    assert catalogue.items == {"a": Item("Heat", None, (), 170.0, None)}
    assert catalogue.sources[0].n_ids == 1


def test_sources_list_the_files(read):
    sources = read(ONE_OF_EACH_KIND["api"], ONE_OF_EACH_KIND["u.item"] + "torn\n").sources
    assert [(s.path.name, s.kind, s.n_ids, s.n_rejected) for s in sources] == [
        ("file-0", "movie API, JSON lines", 1, 0),
        ("file-1", "MovieLens 100k u.item", 1, 1),
    ]


def test_without_files_the_catalogue_is_empty(read):
    assert (read().items, read().sources) == ({}, ())


@pytest.mark.parametrize(
    "content",
    ['{"user_id": 1}\n', '{"message": "not found"}\n', "movieID,x\n", "movieID,x\n,\n", "{torn"],
)
def test_file_without_a_usable_entry_is_refused_with_an_example(read, content):
    with pytest.raises(InputError, match=r"no entry with a usable id.*give lines like"):
        read(content)


@pytest.mark.parametrize(
    "content",
    [
        "2022-11-14T12:23:14,1,GET /data/m/heat+1995/1.mpg\n",
        "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n",
        "1::1193::5::978300760\n",
        "1::1193::5\n",
        "196\t242\t3\t881250949\n",
        "1|24|M|technician|85711\n",
        "userid,age,occupation,gender\n1,32,writer,M\n",
        '[{"id": "a"}]\n',
    ],
)
def test_file_of_another_kind_is_refused_with_the_known_kinds(read, content):
    with pytest.raises(InputError, match=r"begins with .*movie API.*u\.item.*movies\.dat"):
        read(content)


def test_refusal_shows_the_first_line_shortened(read):
    with pytest.raises(InputError, match=f"begins with '{'x' * 60}'…; "):
        read("x" * 1000)


def test_line_ends_of_cr_alone_are_read(read):
    catalogue = read("movieID,title\ra,Heat\rb,Ran\r")
    assert {name: item.title for name, item in catalogue.items.items()} == {"a": "Heat", "b": "Ran"}


@pytest.mark.parametrize("content", [b"", b"\n \n", gzip.compress(b"", mtime=0)])
def test_empty_file_is_refused(read, content):
    with pytest.raises(InputError, match="is empty"):
        read(content)


def test_truncated_gzip_is_refused(read):
    whole = gzip.compress("".join(api(id=f"a{n}") for n in range(20_000)).encode())
    with pytest.raises(InputError, match="not a whole gzip file"):
        read(whole[:-100])


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_catalogues([tmp_path / "nowhere"])


def test_unreadable_file_is_refused(tmp_path, as_anybody):
    path = tmp_path / "movies"
    path.write_text(api())
    path.chmod(0)
    with as_anybody(), pytest.raises(InputError, match="permission denied"):
        read_catalogues([path])


@pytest.fixture(scope="session")
def scenario(shared_data):
    names = ("movies-2025.jsonl.gz", "movie-catalogue-2022.csv")
    return read_catalogues([shared_data / "api" / name for name in names])


def test_scenario_has_25_967_items(scenario):
    assert [source.n_ids for source in scenario.sources] == [16_960, 25_533]
    assert len(scenario.items) == 25_967


def test_every_id_of_the_scenario_is_usable(scenario):
    assert [source.n_rejected for source in scenario.sources] == [0, 0]


def test_runtimes_of_the_scenario_are_known_if_above_0(scenario):
    assert sum(item.runtime is not None for item in scenario.items.values()) == 16_637


@pytest.mark.parametrize(
    ("name", "n_items", "n_without_year"),
    [
        ("ml-100k/u.item", 1_682, 1),
        ("ml-1m/movies.dat", 3_883, 0),
        ("ml-latest-small/movies.csv", 9_742, 12),
    ],
)
def test_real_movielens_is_read_whole(shared_data, name, n_items, n_without_year):
    catalogue = read_catalogues([shared_data / name])
    assert (len(catalogue.items), catalogue.sources[0].n_rejected) == (n_items, 0)
    assert sum(item.year is None for item in catalogue.items.values()) == n_without_year


def test_real_titles_are_decoded(shared_data):
    items = read_catalogues([shared_data / "ml-1m" / "movies.dat"]).items
    assert items["73"] == Item("Misérables, Les", 1995, ("Drama", "Musical"), None, None)


# Licences


LICENCE: Final[dict[str, Any]] = {
    "original_language": "fr", "cost": 2.5,
    "available_from": "2026-01-01", "available_until": "2026-12-31",
}  # fmt: skip
LICENSED = replace(
    NOTHING,
    language="fr",
    cost=2.5,
    available_from="2026-01-01T00:00:00+00:00",
    available_until="2027-01-01T00:00:00+00:00",
)


def test_cost_and_availability_are_read(read):
    """From the API and from CSV; the last day is included."""
    columns = "movieID," + ",".join(LICENCE)
    row = "a," + ",".join(map(str, LICENCE.values()))
    assert read(api(**LICENCE)).items == {"a": LICENSED}
    assert read(f"{columns}\n{row}\n").items == {"a": LICENSED}


def test_first_known_licence_field_counts(read):
    """Later files fill missing fields; a cost of 0 is not missing."""
    free = read(api(cost=0), api(**LICENCE)).items["a"]
    assert free == replace(LICENSED, cost=0.0)


@pytest.mark.parametrize("cost", [-1, "dear", None, {}, float("inf"), True])
def test_an_invalid_cost_is_missing(read, cost):
    assert read(api(cost=cost)).items["a"].cost is None


def test_an_invalid_end_is_marked_unreadable(read):
    """It differs from a missing end, which means no limit."""
    assert read(api(available_until="soon")).items["a"].available_until == UNREADABLE
