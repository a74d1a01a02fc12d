"""`python -m batch describe`: its figures against a count in plain Python, and its page."""

import json
import random
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime

import pytest

from batch.__main__ import main
from tests.batch.event_files import watch
from tests.html_page import HtmlPage
from tests.reports import MARKUP

_SECTIONS = ["What to hope for", "What was read", "Users", "Items", "Times", "Views and ratings",
             "Groups"]  # fmt: skip


@pytest.fixture
def describe(tmp_path, capsys, monkeypatch):
    """Run the command; return the figures and the page."""

    def describe(*arguments):
        monkeypatch.chdir(tmp_path)
        assert main(["describe", "--json", *map(str, arguments)]) == 0
        printed = json.loads(capsys.readouterr().out)
        found = json.loads((tmp_path / "describe.json").read_text())
        assert printed == found | {"page": "describe.html"}
        return found, HtmlPage((tmp_path / "describe.html").read_text())

    return describe


@pytest.fixture
def log():
    """Users 1000 to 1149 with up to 15 ratings each, at distinct times, most of item 0."""
    rng = random.Random(5)
    rows = []
    for user in range(1000, 1150):
        items = {min(int(rng.paretovariate(0.5)) - 1, 59) for _ in range(rng.randint(1, 15))}
        rows += [(user, item, rng.randint(1, 5)) for item in items]
    at = rng.sample(range(1_700_000_000, 1_702_000_000), len(rows))
    return [(*row, when) for row, when in zip(rows, at, strict=True)]


def write_tables(folder, log):
    """Write ratings, a catalogue of more items with markup, and profiles."""
    lines = [",".join(map(str, row)) for row in log]
    (folder / "r.csv").write_text("\n".join(["user_id,item_id,rating,timestamp", *lines]))
    films = [json.dumps({"id": str(item), "title": f"{item} {MARKUP}"}) for item in range(70)]
    (folder / "m.jsonl").write_text("\n".join(films))
    users = [f"{user},{30 if user % 3 else 60},F" for user in range(1000, 1100)]
    (folder / "p.csv").write_text("\n".join(["user_id,age,gender", *users]))
    return ("--events", folder / "r.csv", "--catalogue", folder / "m.jsonl",
            "--profiles", folder / "p.csv")  # fmt: skip


def by_label(bins):
    return {one["label"]: one["n"] for one in bins}


def test_the_figures_are_those_of_a_plain_count(describe, log, tmp_path):
    found, _ = describe(*write_tables(tmp_path, log))
    of_user, of_item = (Counter(row[side] for row in log) for side in (0, 1))
    data, users, items, times = (found[name] for name in ("data", "users", "items", "times"))
    assert data["n_interactions"] == data["n_lines"] == len(log)
    assert (data["n_users"], data["n_items"]) == (len(of_user), len(of_item))
    assert data["density"] == pytest.approx(len(log) / len(of_user) / len(of_item))
    assert users["n_with_one"] == sum(n == 1 for n in of_user.values())
    assert by_label(users["bins"])["5–9"] == sum(5 <= n < 10 for n in of_user.values())
    assert sum(by_label(items["bins"]).values()) == len(of_item)
    assert items["n_never_watched"] == 70 - len(of_item)
    assert items["top"][0]["n_users"] == of_item[0] == max(of_item.values())
    n_half = round(len(of_item) / 2)
    top_half = sum(n for _, n in of_item.most_common(n_half))
    assert [n_half / len(of_item), pytest.approx(top_half / len(log))] in items["curve"]
    assert (items["curve"][0], items["curve"][-1]) == ([0, 0], [1, 1])
    began = [datetime.fromtimestamp(row[3], UTC) for row in log]
    assert times["hours"] == [sum(at.hour == hour for at in began) for hour in range(24)]
    assert times["weekdays"] == [sum(at.weekday() == day for at in began) for day in range(7)]
    assert sum(times["periods"]) == len(log)
    assert by_label(found["ratings"]["bins"]) == Counter(str(row[2]) for row in log)
    groups = {one["group"]: one["n_users"] for one in found["groups"]["shown"]}
    assert groups["gender F"] == 100
    assert groups["age 25-34"] == 67
    assert all(n >= 50 for n in groups.values())
    assert "age 56+" not in groups


def test_the_hit_rate_is_that_of_the_last_items_by_hand(describe, log, tmp_path):
    """The most popular items are counted without the last ones, and exclude a user's own."""
    found, _ = describe(*write_tables(tmp_path, log))
    seen = defaultdict(list)
    for user, item, _, _ in sorted(log, key=lambda row: row[3]):
        seen[user].append(item)
    last = {user: items.pop() for user, items in seen.items() if len(items) > 1}
    left = Counter(item for items in seen.values() for item in items)
    hits = near = 0
    for user, item in last.items():
        ahead = [one for one, n in left.items() if one not in seen[user] and n > left[item]]
        ties = [one for one, n in left.items() if one not in seen[user] and n == left[item]]
        hits += len(ahead) + len(ties) <= 20 and left[item] > 0
        near += len(ahead) < 20 and left[item] > 0
    outlook = found["outlook"]["hit_rate"]
    assert outlook["n_users"] == len(last)
    assert hits <= round(outlook["popularity"][0] * len(last)) <= near
    assert outlook["popularity"][1] <= outlook["popularity"][0] <= outlook["popularity"][2]
    assert outlook["upper_bound"] == pytest.approx(
        sum(left[item] > 0 for item in last.values()) / len(last)
    )


def test_the_page_is_whole_and_names_no_user(describe, log, tmp_path):
    found, page = describe(*write_tables(tmp_path, log))
    content = (tmp_path / "describe.html").read_text()
    assert [name for level, name in page.headings if level == 2] == _SECTIONS
    assert len(page.named("svg")) >= 8
    assert page.named("script", "b", "img") == []
    assert f"0 {MARKUP}" in page.texts
    assert not re.search(r"https?:|//[a-z]|@import|url\(", content)
    assert not re.search(r"\b1[01]\d\d\b", content.replace(",", "") + json.dumps(found["users"]))


def test_what_is_not_there_is_said(describe, tmp_path, capsys):
    """Pairs alone: no time, no minute, no rating, and no user with two items."""
    (tmp_path / "pairs.tsv").write_text("u1\ta\nu2\ta\nu3\tb\nu4\tb\n")
    found, page = describe("--events", tmp_path / "pairs.tsv")
    assert found["times"] is found["views"] is found["ratings"] is None
    assert found["outlook"]["hit_rate"] is None
    shown = " ".join(page.texts)
    for sentence in ("No event has a time", "No view has a minute", "No ratings", "no list can be"):
        assert sentence in shown
    lines = [watch(user, item, 30 * user) for user in (1, 2, 3) for item in "ab"]
    (tmp_path / "log").write_text("".join(lines))
    found, _ = describe("--events", tmp_path / "log")
    assert found["views"]["median_minutes"] == 60
    assert by_label(found["views"]["minutes"])["30–<60"] == 2
    assert (tmp_path / "describe.html").exists()
    for out in ("x.json", "missing/x.html"):
        assert main(["describe", "--events", str(tmp_path / "log"), "--out", out]) == 1
        assert "--out" in capsys.readouterr().err
