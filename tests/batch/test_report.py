"""The report: its page, the numbers in it, and what happens where it cannot be made."""

import json
import re
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from batch.report.changes import exposure, gini
from batch.report.html import text
from batch.report.make import try_report
from batch.report.online import online_figures
from batch.report.page import page
from batch.report.settings import ReportSettings
from store.compare import compare
from store.forget import forget
from store.gate_result import GateCheck, GateResult
from store.layout import REPORT_FILES, snapshot_folder
from store.manifest import read_manifest, verify
from tests.histories import write_history
from tests.html_page import HtmlPage
from tests.refreshes import inputs, run_refresh
from tests.reports import BEFORE, LAST_DAY, LEARNING_CURVE, MARKUP, NOW, recorded, report_of
from tests.snapshots import REFUSED_GATE

_ORDER = ["Gate", "Quality", "What changed", "Data", "Learning curve", "Trials", "Groups",
          "Exposure", "Online", "Cost", "Provenance", "Model card"]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The second of two small reports: its path, page and numbers."""
    store = tmp_path_factory.mktemp("report") / "store"
    path = report_of(store)
    return path, HtmlPage(path.read_text()), json.loads(path.with_name("report.json").read_text())


def test_the_page_has_its_sections_in_order_and_reads_well(made):
    path, found, _ = made
    assert [name for level, name in found.headings if level == 2] == _ORDER
    assert found.headings[0] == (1, "Refresh: generation 2")
    assert all(below - above <= 1 for (above, _), (below, _) in pairwise(found.headings))
    assert all(attributes.get("scope") in ("col", "row") for attributes in found.named("th"))
    drawings = found.named("svg")
    assert len(drawings) >= 5
    ids = {attributes["id"] for attributes in found.named("title", "desc", "h2") if attributes}
    for svg in drawings:
        assert svg["role"] == "img"
        assert set(svg["aria-labelledby"].split()) <= ids
    all_ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(all_ids) == len(set(all_ids))
    assert path.stat().st_size < 300_000


def test_nothing_comes_from_outside_and_markup_is_text(made):
    path, found, _ = made
    content = path.read_text()
    assert not re.search(r"https?:|//[a-z]|@import|url\(", content)
    assert found.named("script", "b", "img", "iframe") == []
    addresses = [value for _, attributes in found.tags for name, value in attributes.items()
                 if name in ("href", "src")]  # fmt: skip
    assert all(value.startswith("#") or value == "data:," for value in addresses)
    assert not any(name.startswith("on") for _, names in found.tags for name in names)
    titles = [shown for shown in found.texts if MARKUP in shown]
    assert {f"a {MARKUP} (1999)", MARKUP, f"malformed {MARKUP}"} <= set(titles)
    card = path.with_name("MODEL_CARD.md").read_text()
    assert "<script>" not in card
    assert r"\<script\>" in card


def test_the_numbers_are_those_of_the_manifest_and_of_another_computation(made):
    path, _, report = made
    manifest = read_manifest(path.parent)
    assert report["gate"] == manifest.gate.as_json()
    last_day = report["quality"]["last_day"] | {"groups": manifest.metrics["last_day"]["groups"]}
    assert last_day == manifest.metrics["last_day"] == LAST_DAY
    assert report["cost"]["files"] == manifest.files
    assert report["cost"]["seconds"] == 3.75
    assert report["cost"]["peak_mib"] == 250.5
    changes = report["changes"]
    common = [len(set(NOW[user]) & set(BEFORE[user])) for user in NOW.keys() & BEFORE.keys()]
    assert changes["overlap"] == [common.count(n) for n in range(21)]
    assert changes["mean_overlap"] == sum(common) / len(common) == 2.5
    assert (changes["n_compared"], changes["n_new_users"], changes["n_users_gone"]) == (2, 1, 1)
    holding = {item: sum(item in names for names in NOW.values()) for item in "abcd"}
    before = {item: sum(item in names for names in BEFORE.values()) for item in "abcd"}
    assert json.loads(path.with_name("list_counts.json").read_text()) == holding
    left = {one["item_id"]: (one["before"], one["after"]) for one in changes["left"]}
    assert left == {i: (before[i], holding[i]) for i in "abcd" if holding[i] < before[i]}
    assert changes["entered"] == []
    values = np.array(list(holding.values()))
    differences = np.abs(values[:, None] - values[None]).mean() / (2 * values.mean())
    assert report["exposure"]["gini"] == pytest.approx(differences, abs=1e-4)
    assert report["exposure"]["coverage"] == 1.0
    assert [line["n_events"] for line in report["generations"]] == [1000, 2000]


def test_the_page_shows_each_number_of_the_report(made):
    _, found, report = made
    assert report["groups"]["n_suppressed"] == 1  # 49 users are too few, 50 are not
    assert not any("age 65+" in shown for shown in found.texts)
    assert "age 65+" not in json.dumps(report)
    numbers = [figure for one in report["groups"]["shown"] for figure in one["ndcg"]]
    numbers += [n for figures in LAST_DAY["change"].values() for n in figures]
    numbers += [report["exposure"]["gini"], report["data"]["n_events"]]
    numbers += [*report["cost"]["files"].values(), *report["cost"]["stages"].values()]
    assert {text(number) for number in numbers} <= set(found.texts)
    assert "below: served worse" in found.texts
    assert "above" in found.texts
    changed = report | {"exposure": report["exposure"] | {"gini": 0.98765}}
    assert "0.98765" in HtmlPage(page(changed)).texts  # the page has no other source


@pytest.mark.parametrize(
    ("colour", "sentence", "changes"),
    [
        ("green", "significantly better than the served ones", {}),
        ("green", "not significantly different from the served ones on the last day (0.0 %, 95",
         {"last_day": LAST_DAY | {"change": {"served": [-1e-9, -0.01, 0.01]}}}),
        ("red", "was refused by the gate", {"gate": REFUSED_GATE}),
        ("amber", "refused by the gate, and overridden",
         {"gate": GateResult([GateCheck("users", 0.4, 0.9, is_ok=False, note="few")], "known")}),
        ("amber", "could not be evaluated", {"last_day": {}}),
        ("amber", "there is 1 warning", {"warnings": ["old catalogue"]}),
        ("amber", "significantly worse than the served lists",
         {"last_day": LAST_DAY | {"change": {"served": [-0.02, -0.03, -0.01]}}}),
    ],
)  # fmt: skip
def test_the_verdict_is_a_sentence_with_a_word_and_a_colour(tmp_path, colour, sentence, changes):
    path = report_of(tmp_path / "store", **changes)
    verdict = json.loads(path.with_name("report.json").read_text())["verdict"]
    assert verdict["colour"] == colour
    assert sentence in verdict["sentence"]
    found = HtmlPage(path.read_text())
    assert [
        names["class"] for names in found.named("p") if "verdict" in names.get("class", "")
    ] == [f"verdict {colour}"]
    assert any(verdict["word"] in shown for shown in found.texts)


def test_a_small_number_is_shown_by_its_digits():
    """So is a large one, with separators; an exponent is for what is next to nothing."""
    assert [text(n) for n in (-9e-05, 0.0001, 0.12345678, 1234567.8, 0.0, 1e-9)] == [
        "-0.00009", "0.0001", "0.123457", "1,234,568", "0", "1e-09",
    ]  # fmt: skip


def test_a_check_that_was_not_evaluated_is_not_ok(tmp_path):
    """Its reason stands beside it."""
    reason = "not evaluated: no snapshot is served yet"
    checks = [GateCheck("short", 0.0, 0.01, is_ok=True, note="none is too short"),
              GateCheck("users", None, 0.9, is_ok=True, note=reason)]  # fmt: skip
    texts = HtmlPage(report_of(tmp_path / "store", gate=GateResult(checks)).read_text()).texts
    row = texts.index("short")
    assert texts[row : row + 10] == ["short", "✓ ok", "0", "0.01", "none is too short",
                                     "users", "not evaluated", "–", "0.9", reason]  # fmt: skip


def test_words_and_intervals_are_explained_where_they_stand(made):
    """NDCG and groups of activity in a line each; every interval has its level."""
    _, found, _ = made
    said = " ".join(found.texts)
    assert "NDCG@20 says how well a list of 20 ranks what its user watched" in said
    assert "A group “activity 5–19” has the users with 5 to 19 interactions" in said
    heads = [names["aria-label"] for names in found.named("div") if "aria-label" in names]
    for caption in ("Paired by user", "Models side by side", "All trials", "Quality by group"):
        (head,) = [one for one in heads if one.startswith(caption)]
        assert "95 % intervals" in head
    assert "click_through" not in said


def test_a_narrow_screen_shows_rows_of_wide_tables_as_cards(made):
    """Each cell has the name of its column; the roles keep the table one to a screen reader."""
    _, found, _ = made
    tables = found.named("table")
    assert all(names["role"] == "table" for names in tables)
    assert {names.get("class") for names in tables} == {"cards", None}
    labels = {names["data-label"] for names in found.named("td") if "data-label" in names}
    assert {"Result", "Interval beside all users", "Significant"} <= labels


def test_the_groups_begin_with_the_answer(tmp_path, made):
    _, found, _ = made
    assert "Served worse than all users: gender F." in found.texts
    alike = LAST_DAY | {"groups": [LAST_DAY["groups"][1]]}
    found = HtmlPage(report_of(tmp_path / "store", last_day=alike).read_text())
    assert "No group that is shown is served significantly worse than all users." in found.texts


def test_models_stand_side_by_side_with_their_costs(made):
    """What an earlier version tried has no costs, or no size on disk, and a dash in their place."""
    _, found, _ = made
    texts = [shown.strip() for shown in found.texts if shown.strip()]
    row = texts.index("ials (factors 64)")
    assert texts[row : row + 8] == ["ials (factors 64)", "0.2", "0.19", "0.21", "1.25", "0.0625",
                                    "7.654", "4.321"]  # fmt: skip
    head = texts.index("Disk, MB")
    assert texts[texts.index("popularity", head) + 4 :][:4] == ["0.1", "0.01", "0.008", "–"]
    assert texts[texts.index("ease", head) + 4 :][:4] == ["–"] * 4


def test_the_learning_curve_is_drawn_and_has_a_table(tmp_path, made):
    """An old manifest and a model without sweeps have a sentence in its place."""
    _, found, report = made
    assert report["learning_curve"] == LEARNING_CURVE
    numbers = [ndcg for _, ndcg in LEARNING_CURVE["models"]["ials"]]
    assert {text(number) for number in (*numbers, 0.07654, -0.00247)} <= set(found.texts)
    said = " ".join(found.texts)
    assert "NDCG@20 went from 0.1111 after sweep 1 to 0.2099 after sweep 4; the best, " in said
    assert "Training began with the factors of generation 1." in said
    drawn = [shown for shown in found.texts if shown.startswith("NDCG@20 by sweeps of training")]
    assert drawn == ["NDCG@20 by sweeps of training: 1: 0.1111; 2: 0.1877; 3: 0.2123; 4: 0.2099"]
    without_sweeps = {"n_users": 700, "models": {}}
    for number, (curve, sentence) in enumerate(
        ((None, "No learning curve is recorded"), (without_sweeps, "trained without sweeps"))
    ):
        path = report_of(tmp_path / f"store{number}", learning_curve=curve)
        said = " ".join(HtmlPage(path.read_text()).texts)
        assert sentence in said
        assert "after sweep" not in said


def test_online_figures_are_those_of_the_generation_before(tmp_path):
    """Few users have no interval."""
    hour = tmp_path / "store/online/date=2026-03-01/hour-10.parquet"
    hour.parent.mkdir(parents=True)
    columns = {"user_id": ["u", "u", "v", "w", "x"], "generation": [1, 1, 1, 1, 2],
               "is_available": [True, True, True, False, True],
               "rank": [0, 3, 1, 0, 1]}  # fmt: skip
    pq.write_table(pa.table(columns), hour)
    page_path = report_of(tmp_path / "store")
    assert json.loads(page_path.with_name("report.json").read_text())["online"] == {
        "generation": 1, "n_users": 3, "n_requests": 4, "n_clicks": 2,
        "availability": [0.75, None, None], "click_through": [0.5, None, None],
    }  # fmt: skip
    assert "Click-through" in HtmlPage(page_path.read_text()).texts


def test_an_interval_is_of_users_and_not_of_requests(tmp_path):
    """Users in two hours are one cluster; of requests alone the interval would be narrower."""
    random = np.random.default_rng(0)
    clicks = {f"u{user}": random.random(20) < random.choice([0.1, 0.6]) for user in range(400)}
    for number in (0, 1):
        hour = tmp_path / f"date=2026-03-01/hour-1{number}.parquet"
        hour.parent.mkdir(exist_ok=True)
        half = [(user, bool(hit)) for user, hits in clicks.items() for hit in hits[number::2]]
        user_ids, hits = zip(*half, strict=True)
        columns = {"user_id": pa.array(user_ids).dictionary_encode(), "generation": [7] * len(half),
                   "is_available": [True] * len(half),
                   "rank": [int(hit) for hit in hits]}  # fmt: skip
        pq.write_table(pa.table(columns), hour)
    found = online_figures(tmp_path, 7)
    assert found is not None
    assert online_figures(tmp_path, 8) is None
    assert found["availability"] == [1.0, 1.0, 1.0]
    mean, low, high = found["click_through"]
    means = np.array([hits.mean() for hits in clicks.values()])
    assert mean == pytest.approx(means.mean(), abs=1e-6)
    resampled = [random.choice(means, len(means)).mean() for _ in range(2000)]
    assert high - low == pytest.approx(
        np.subtract(*np.quantile(resampled, [0.975, 0.025])), rel=0.06
    )
    assert high - low > 1.5 * 2 * 1.96 * (mean * (1 - mean) / 8000) ** 0.5


def test_gini_is_of_the_items_that_can_be_recommended():
    """One item in all lists of n items has (n - 1) / n; equal numbers have 0; none has 0."""
    assert gini(np.array([5, 0, 0, 0]), 4) == 0.75
    assert gini(np.array([2, 2]), 2) == gini(np.array([0]), 3) == 0.0
    found = exposure(np.array([3, 1, 0]), 3, np.array([10, 2, 4]))
    assert found["popularity_shown"] == (3 * 10 + 2) / 4
    assert found["popularity_watched"] == (100 + 4 + 16) / 16


def test_a_report_that_fails_is_a_warning(tmp_path):
    store = tmp_path / "store"
    folder = report_of(store).parent
    (folder / "recs.mdb").write_bytes(b"damaged")
    page_path, warning = try_report(store, 2, ReportSettings(), recorded(2))
    assert page_path is None
    assert warning.startswith("report of generation 2: not made")
    assert "batch report 2" in warning
    assert try_report(store, 1, ReportSettings(), recorded(1))[1] == ""


def test_a_forgotten_user_is_in_no_report(tmp_path):
    store = tmp_path / "store"
    folder = report_of(store).parent
    assert '"ann"' in (folder / "report.json").read_text()
    forget(store, ["ann"], "asked for", 0)
    reports = [path.read_text() for path in store.rglob("report.*")]
    assert not any("ann" in report for report in reports)


def test_a_refresh_makes_a_report_that_the_command_makes_again(tmp_path, capsys, monkeypatch):
    """Refused or not; no checksum covers it, so the snapshot is sound without it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", "als")
    monkeypatch.setenv("MARQUEE_GATE_MIN_EVALUATED_USERS", "30")
    history = write_history(tmp_path / "history", n_users=400, n_views=12)
    summary = run_refresh(capsys, *inputs(history), "--store", "store")
    folder = snapshot_folder(tmp_path / "store", 1)
    report = json.loads((folder / "report.json").read_text())
    assert summary["report"] == str(folder.relative_to(tmp_path) / "report.html")
    assert report["data"]["n_events"] == summary["n_events"]
    assert report["cost"]["stages"].keys() == summary["seconds"].keys() - {"report"}
    assert report["quality"]["last_day"]["ndcg"]["new"]
    assert report["learning_curve"]["n_users"] == report["quality"]["last_day"]["n_users"]
    sweeps = [sweep for sweep, _ in report["learning_curve"]["models"]["als"]]
    assert sweeps[:3] == [1, 2, 3]
    manifest = read_manifest(folder)
    assert not any("learning_curve" in line.name for line in compare(manifest, manifest))
    for name in REPORT_FILES:
        kept = (folder / name).read_text()
        assert verify(folder).generation == 1
        (folder / name).write_text("{}") if name != "report.json" else None
        assert main(["report", "--store", "store"]) == 0
        assert capsys.readouterr().out.strip() == summary["report"]
        without_time = re.compile(r"20\d\d-\d\d-\d\dT[0-9:+]+")
        again = (folder / name).read_text()
        assert without_time.sub("", again) == without_time.sub("", kept)
    fewer = write_history(tmp_path / "fewer", n_users=40)
    assert main(["refresh", *map(str, inputs(fewer)), "--store", "store"]) == 3
    refused = json.loads((snapshot_folder(tmp_path / "store", 2) / "report.json").read_text())
    assert refused["verdict"]["colour"] == "red"
    assert main(["report", "9", "--store", "store"]) == 1
    assert "no such snapshot" in capsys.readouterr().err
