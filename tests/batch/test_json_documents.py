"""Objects of JSON documents, however the text is cut, and the errors of broken ones."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.errors import InputError
from batch.records.json_documents import KEY, document_objects

RECORDS = [{"id": 1, "title": 'Heat "x"', "genres": [{"name": "War"}]}, {"id": 2}, {"id": 3.5}]
FIELDS = frozenset(("id", "title", "genres"))


def objects(text, n_characters=1 << 20):
    pieces = (text[at : at + n_characters] for at in range(0, len(text), n_characters))
    return list(document_objects(Path("records.json"), pieces, FIELDS.__contains__))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("n_characters", [1, 7, 100_000])
def test_text_may_be_cut_anywhere(indent, n_characters):
    assert objects(json.dumps(RECORDS, indent=indent), n_characters) == RECORDS


@pytest.mark.parametrize("form", [[], {}, {"page": 1, "results": []}])
def test_empty_document_has_no_objects(form):
    assert objects(json.dumps(form)) == []


def test_array_may_stand_in_an_object():
    assert objects(json.dumps({"page": 12, "ok": True, "results": RECORDS, "n": 3})) == RECORDS


def test_objects_may_stand_under_their_ids():
    text = json.dumps({"a": {"title": "Heat"}, "b": {"title": "Ran"}})
    assert objects(text) == [{"title": "Heat", KEY: "a"}, {"title": "Ran", KEY: "b"}]


def test_object_without_a_field_is_not_a_record():
    """Such as one about the file."""
    text = json.dumps({"about": {"version": 3}, "b": {"title": "Ran"}})
    assert objects(text) == [{}, {"title": "Ran", KEY: "b"}]


def test_what_is_not_an_object_is_an_empty_one():
    assert objects('[{"id": 1}, 7, [], null]') == [{"id": 1}, {}, {}, {}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[", "broken or not whole at character 1"),
        ('[{"id": 1}', "ends too early at character 10"),
        ('[{"id": 1},]', "broken or not whole at character 11"),
        ('[{"id": tru}]', "broken or not whole at character 1"),
        ('[{"id": 1}] 7', "goes on behind its last bracket at character 12"),
        ('[{"id": 1} {"id": 2}]', "has '{' where it may not at character 11"),
        ("7", "begins with neither a bracket nor a brace at character 0"),
        ("[" * 100_000, "nested too deep"),
        ('{"id": {"0": 1}, "title": {"0": "Heat"}}', "values of 'id' together, and no records"),
        ('{"genres": [{"name": "War"}], "title": "x"}', "values of 'genres' together"),
    ],
)
def test_broken_document_is_refused_with_the_place(text, problem):
    with pytest.raises(InputError, match=f"^records.json: is not sound JSON: it .*{problem}"):
        objects(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.dictionaries(st.text(), values, max_size=4), max_size=5),
    st.integers(1, 40),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_any_records_are_read_back(records, n_characters, indent, is_ascii):
    text = json.dumps(records, indent=indent, ensure_ascii=is_ascii)
    assert objects(text, n_characters) == records
