"""The pages in Debian's Chromium; `.ci/campaigns browser` installs Playwright and axe."""

import re
import shutil

import pytest

from store.snapshot import open_snapshot
from stream.fresh.explain import explain_list
from tests.histories import write_history
from tests.refreshes import inputs, run_refresh
from tests.serve.server import Server
from tests.serve.test_pages import MARKUP, TOKEN, serving

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe_api = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
CHROMIUM = shutil.which("chromium")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PATHS = ["/?user=ann&beside=1&query=a&item=alien", "/status", "/generations?before=1&after=2"]
SCROLLED = """[...document.querySelectorAll(".scroll")].filter((one) =>
    one.scrollWidth > one.clientWidth).map((one) => one.ariaLabel)"""
SHOWN = ["#film table", "#details table", "#compared table"]


@pytest.fixture(scope="module")
def chromium():
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    environ = {"MARQUEE_SERVE_ADMIN_TOKEN": TOKEN, "MARQUEE_SERVE_PAGES": "open"}
    with serving(folder, has_files=True, **environ) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    with serving(folder, MARQUEE_SERVE_ADMIN_TOKEN=TOKEN) as server:
        yield server


def base(server):
    return f"http://{server.host}:{server.port}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_sound(chromium, server, width, scheme):
    """No error, no other host, no accessibility fault by axe, nothing wider than the window."""
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    faults = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith((base(server), "data:"))
            else faults.append(request.url))  # fmt: skip
    for path, shown in zip(PATHS, SHOWN, strict=True):
        page.goto(base(server) + path)
        page.locator(shown).first.wait_for()
        faults += [fault["id"] for fault in axe_api.Axe().run(page).response["violations"]]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(SCROLLED) == []
    assert faults == []


def test_a_report_opens_from_the_generations(chromium, guarded):
    """With the token alone; it shows itself as it is written, and reports no fault."""
    page = chromium.new_page()
    page.goto(base(guarded) + "/generations")
    button = page.get_by_label("Open the report of generation 2")
    button.click()
    page.get_by_text("This needs the token").wait_for()
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Use").click()
    faults = []
    page.on("console", lambda message: faults.append(message.text))
    button.click()
    page.get_by_role("heading", name="What changed").wait_for()
    assert page.evaluate("getComputedStyle(document.body).fontFamily") != "Times New Roman"
    page.get_by_role("link", name="Back to the generations").click()
    page.get_by_role("heading", name="Compare two").wait_for()
    assert faults == []


def test_a_narrow_screen_shows_each_generation_as_a_card(chromium, guarded):
    """What decides stands first, in sight without scrolling; to a screen reader it is a table."""
    page = chromium.new_page(viewport={"width": 390, "height": 900})
    page.goto(base(guarded) + "/generations")
    table = page.get_by_role("table", name="Newest first")
    row = table.get_by_role("row").nth(1)
    cells = row.get_by_role("cell").all_inner_texts()
    assert cells[0] == "2 (current)"
    assert cells[1].startswith("look at it: the summary of its refresh was not recorded;")
    assert cells[2] == "not known: no group was evaluated"
    box = row.get_by_role("cell").nth(2).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert table.get_by_role("columnheader").nth(1).inner_text() == "its report in short"
    assert "no report" in table.get_by_role("row").nth(2).inner_text()


def test_the_service_page_answers_what_is_asked(chromium, server):
    """Which arm is ahead, may one stop, are events collected, did the refresh run; focus stays."""
    page = chromium.new_page()
    page.goto(base(server) + "/status")
    page.get_by_text("“treatment” is ahead of “control”, significantly better").wait_for()
    page.get_by_text("Yes: “treatment” is better in click-through.").wait_for()
    collector = "The collector is running, not behind; nothing was lost."
    scheduler = "The scheduler is running; no job failed last."
    page.locator("#details").get_by_text(collector).wait_for()
    page.locator("#details").get_by_text(scheduler).wait_for()
    assert page.locator("#scope").inner_text() == f"{collector} {scheduler}"
    assert page.locator("#verdict").inner_text() == (
        "Needs attention: alarm of the scheduler: attack."
    )
    assert page.get_by_role("img").count() == 1  # the looks
    jobs = page.get_by_role("region", name="Jobs")
    jobs.focus()
    updated = page.locator("#updated").inner_text()
    page.wait_for_function(
        "text => document.getElementById('updated').innerText !== text", arg=updated
    )
    assert jobs.evaluate("one => one === document.activeElement")


def test_the_verdict_says_who_answers_and_what_does_not_run(chromium, guarded):
    """What does not run here cannot raise an alarm; the figures stay while nobody asks."""
    page = chromium.new_page()
    page.goto(base(guarded) + "/status")
    page.get_by_text("All right: no alarm is open. ").wait_for()
    verdict = page.locator("#verdict").inner_text()
    assert re.search(
        r"\d workers? answers? with generation 2, made .* ago "
        r"from events until 2026-01-02 03:04\. Films",
        verdict,
    )
    scope = page.locator("#scope").inner_text()
    assert scope == "No collector has run here. No scheduler has run here."
    page.get_by_text("no request has come while this page was open").wait_for()
    assert page.locator("dt:text-is('Requests / s') + dd").inner_text() == "0.0"


def test_markup_in_a_title_shows_as_text(chromium, server):
    """It is read on the page, and no element comes of it."""
    page = chromium.new_page()
    page.goto(base(server) + PATHS[0])
    page.locator("#film table").wait_for()
    page.locator("#lists ol li").first.wait_for()

    assert MARKUP in page.locator("#lists").inner_text()
    assert page.locator("main img").count() == 0
    assert page.title() == "Lists · Marquee"


def test_a_list_explains_itself_while_one_waits(chromium, tmp_path, monkeypatch, capsys):
    """Score, way through the rules, and watched films of each item, of a real refresh."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARQUEE_RULES_DIVERSITY", "0.5")
    monkeypatch.setenv("MARQUEE_RULES_DIVERSITY_BY", "factors")
    run_refresh(capsys, *inputs(write_history(tmp_path / "history")), "--store", "store")
    with open_snapshot(tmp_path / "store", 1) as snapshot:
        user = next(iter(snapshot.users))[0].decode()
    expected = explain_list(tmp_path / "store", user).why
    options = {"nginx": True, "MARQUEE_SERVE_PAGES": "open"}
    with Server(tmp_path / "store", tmp_path, "--workers", "1", **options) as server:
        page = chromium.new_page()
        page.goto(f"{base(server)}/?user={user}")
        page.get_by_role("button", name="Why these, in this order?").click()
        page.get_by_text("they compare the films of one list").wait_for()
        lines = page.locator("#lists ol > li").all_inner_texts()
        assert axe_api.Axe().run(page).response["violations"] == []
    assert len(lines) == len(expected)
    for line, why in zip(lines, expected, strict=True):
        assert f"no. {why.places['model']} by the model alone" in line
        assert ("its score comes from the watched" in line) == bool(why.because)
    assert any("by diversity" in line for line in lines)


def test_the_keyboard_alone_shows_a_list_with_the_token(chromium, guarded):
    """Without the token the page says what is missing; then it is typed, and the list shows."""
    page = chromium.new_page()
    page.goto(base(guarded) + "/?user=ann")
    page.get_by_text("This needs the token").first.wait_for()
    for _ in range(6):  # skip link, four pages, the token
        page.keyboard.press("Tab")
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")

    page.locator("#lists ol li").first.wait_for()
    assert page.locator("#lists ol li").count() == 2
