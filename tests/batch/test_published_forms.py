"""Forms in which people publish interactions: a few made-up lines of each are read."""

import gzip
import json

import pytest

from batch.errors import InputError
from tests.batch.event_files import EventFolder, ratings, views


@pytest.fixture
def read(tmp_path):
    return EventFolder(tmp_path).read


@pytest.fixture
def quarantined(tmp_path):
    return EventFolder(tmp_path).quarantined


AT = 1_600_000_000  # 2020-09-13 12:26:40 UTC
DAY = 1_599_955_200  # its midnight


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


AMAZON = {
    "reviewerID": "A2", "asin": "0000013714", "reviewerName": 'J. "Mc" Donald',
    "helpful": [2, 3], "reviewText": "Heavenly, {really}!", "overall": 5.0, "summary": "Good",
    "unixReviewTime": AT, "reviewTime": "09 13, 2020",
}  # fmt: skip
AMAZON_2023 = {
    "rating": 4.0, "title": "Fine", "text": "It is.", "images": [{"small": "a"}], "asin": "B07",
    "parent_asin": "B07", "user_id": "AG", "timestamp": AT * 1000, "verified_purchase": True,
}  # fmt: skip
YELP = {
    "review_id": "lW", "user_id": "ak", "business_id": "x-", "stars": 5.0, "useful": 1,
    "funny": 0, "cool": 1, "text": "Apparently,\nProfessional", "date": "2020-09-13 12:26:40",
}  # fmt: skip
GORSE = {
    "FeedbackType": "star", "UserId": "ann", "ItemId": "torch", "Timestamp": "2020-09-13T12:26:40Z",
    "Comment": "",
}  # fmt: skip
STEAM_REVIEW = (
    "{u'username': u'Chaos', u'product_id': u'725280', u'page_order': 0, u'date': u'2020-09-13', "
    "u'early_access': False}\n"
)

RATINGS = {
    "Amazon, JSON lines": (lines(AMAZON), ("A2", "0000013714", 5.0, AT)),
    "Amazon 2023, JSON lines": (lines(AMAZON_2023), ("AG", "B07", 4.0, AT)),
    "Amazon, no header": ("A2,0000013714,5.0,1600000000\n", ("A2", "0000013714", 5.0, AT)),
    "Amazon, item first": (
        "item,user,rating,timestamp\n0000013714,A2,5.0,1600000000\n", ("A2", "0000013714", 5.0, AT)
    ),
    "Yelp": (lines(YELP), ("ak", "x-", 5.0, AT)),
    "Netflix": ("13:\n1488844,3,2020-09-13\n", ("1488844", "13", 3.0, DAY)),
    "array": (json.dumps([YELP]), ("ak", "x-", 5.0, AT)),
    "indented array": (json.dumps([YELP], indent=2), ("ak", "x-", 5.0, AT)),
    "object": (json.dumps({"1": YELP}, indent=1), ("ak", "x-", 5.0, AT)),
    "object on one line": (json.dumps({"1": YELP}), ("ak", "x-", 5.0, AT)),
}  # fmt: skip


@pytest.mark.parametrize("case", RATINGS.values(), ids=RATINGS)
def test_ratings_are_read_with_their_times(read, case):
    """Whatever the order of the fields, and what else there is."""
    content, expected = case
    events = read(content)
    assert (ratings(events), views(events)) == ([expected], [])
    assert events.sources[0].n_rejected == 0
    assert ratings(read(gzip.compress(content.encode()))) == [expected]


VIEWS = {
    "LightGCN": ("1 20 30\n2\n3 20\n", [("1", "20"), ("1", "30"), ("3", "20")]),
    "Netflix, no ratings": ("13:\n7,2020-09-13\n8,2020-09-13\n", [("7", "13"), ("8", "13")]),
    "Netflix, users alone": ("13:\n7\n8\n", [("7", "13"), ("8", "13")]),
    "Gorse, JSON lines": (lines(GORSE), [("ann", "torch")]),
    "Gorse, its interface": (
        json.dumps({"Cursor": "", "Feedback": [GORSE]}), [("ann", "torch")],
    ),
    "Gorse, its interface, indented": (
        json.dumps({"Cursor": "", "Feedback": [GORSE]}, indent=1), [("ann", "torch")],
    ),
    "Gorse, CSV": (
        "feedback_type,user_id,item_id,time_stamp\nstar,ann,torch,2020-09-13T12:26:40Z\n",
        [("ann", "torch")],
    ),
    "Steam, reviews": (STEAM_REVIEW, [("Chaos", "725280")]),
    "Steam, playing times": (
        '7,"The Elder Scrolls, V",purchase,1.0,0\n7,"The Elder Scrolls, V",play,2.0,0\n',
        [("7", "The+Elder+Scrolls~2C+V")],
    ),
    "Steam, items of users": (
        "{'user_id': '76', 'items_count': 2, 'items': [{'item_id': '10', 'playtime_forever': 6}, "
        "{'item_id': '20', 'playtime_forever': 0}]}\n{'user_id': '77', 'items': []}\n",
        [("76", "10"), ("76", "20")],
    ),
    "items of users": (lines({"user_id": 1, "items": [5, 6]}), [("1", "5"), ("1", "6")]),
    "Last.fm": ("userID\tartistID\tweight\n2\t51\t13883\n", [("2", "51")]),
}  # fmt: skip


def test_first_line_may_be_longer_than_what_is_looked_at(read):
    """A user of 5,000 items, then one of a single item."""
    many = {"user_id": 1, "items": [{"item_id": str(item), "title": "x"} for item in range(5000)]}
    events = read(lines(many, {"user_id": 2, "items": [{"item_id": "7", "title": "x"}]}))
    assert (len(views(events)), events.sources[0].kind) == (5001, "JSON lines")


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ([{"id": 1, "genres": ["x"]}], "id, genres"),
        ({"1": {"id": 1}}, "1"),
        ({"user_id": {"0": 1}, "item_id": {"0": 1}}, "user_id is nested"),
        ([], "without records"),
    ],
)
def test_json_without_users_and_items_is_refused_with_its_keys(read, content, names):
    """Of a catalogue, of what pandas writes by default, or of nothing."""
    with pytest.raises(InputError, match=names):
        read(json.dumps(content))


@pytest.mark.parametrize("case", VIEWS.values(), ids=VIEWS)
def test_views_are_read(read, case):
    content, expected = case
    events = read(content)
    assert [view[:2] for view in views(events)] == expected
    assert (ratings(events), events.sources[0].n_rejected) == ([], 0)
