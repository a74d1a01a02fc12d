"""The OpenAPI description, the page to try endpoints, and the form of errors."""

import itertools
import json
import os
import re
import shutil
import subprocess

import pytest

from serve.pages.app import pages_app
from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.status_paths import StatusPaths
from serve.worker.app import make_falcon_app
from serve.worker.state import WorkerState
from store.ids import ITEM_ID_PATTERN, USER_ID_PATTERN
from tests.serve.conftest import LISTS
from tests.serve.server import ask

TOKEN = "correct-horse-battery-staple"
GETS = [
    "/recommend/ann", "/similar/alien+1979", "/model/status", "/healthz", "/readyz", "/metrics",
    "/openapi.json", "/",
]  # fmt: skip
POSTS = ["/recommendations", "/predict"]
ADMIN = {
    "/events",
    "/admin/rollback",
    "/admin/pin",
    "/admin/unpin",
    "/admin/takedown",
    "/admin/train",
}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(params=["answering", "behind_nginx"], ids=["bare", "nginx"])
def server(request):
    return request.getfixturevalue(request.param)


def description(server):
    return json.loads(server.get("/openapi.json").body)


# The description


def test_the_description_names_every_endpoint(server, store, request):
    """Exactly the routed endpoints are described; pages only where there are any."""
    app = make_falcon_app(WorkerState(ServeSettings(), Scoreboard(1)))
    described = description(server)["paths"]
    pages = {path for path in described if path.startswith(("/status", "/generations", "/pages/"))}

    assert {*described} - pages == {
        "/recommend/{user_id}", "/similar/{item_id}", "/recommendations", "/predict",
        "/model/status", "/healthz", "/readyz", "/metrics", "/openapi.json", "/", "/try",
    }  # fmt: skip
    pages_process = pages_app(store, "", ServeSettings(), Scoreboard(1), StatusPaths.configured())
    names = ["status", "generations", "search", "list", "film", "compare", "report"]
    data = {f"/pages/data/{name}" for name in names}
    is_bare = request.node.callspec.id == "bare"
    assert pages == (set() if is_bare else {"/status", "/generations", "/pages/report", *data})
    assert all(pages_process._router.find(path) for path in pages)
    for path in {*described} - pages:
        found = app._router.find(re.sub(r"{\w+}", "x", path))
        assert found is not None, path
        responders = found[1] or {}
        routed = {m for m in responders if "on_" in getattr(responders[m], "__qualname__", "")}
        assert {m.upper() for m in ("get", "head", "post") if m in described[path]} == routed


def test_admin_is_described_only_with_a_token(serve, store, answering):
    """Without a token the description omits it."""
    token = {"MARQUEE_SERVE_ADMIN_TOKEN": TOKEN, "MARQUEE_SERVE_PAGES": "off"}
    with_token = description(serve("--workers", "1", nginx=True, **token))
    without = description(answering)

    assert {*with_token["paths"]} - {*without["paths"]} == {*ADMIN, "/train"}
    for path in (*ADMIN, "/train"):
        assert with_token["paths"][path]["post"]["security"] == [{"token": []}]
    assert with_token["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert "securitySchemes" not in without["components"]


def test_a_bare_server_has_no_admin_even_with_a_token(serve, store):
    """`/admin/` needs nginx; the description omits it, and the log contains the reason."""
    bare = serve("--workers", "1", MARQUEE_SERVE_ADMIN_TOKEN=TOKEN)

    assert "/admin/train" not in description(bare)["paths"]
    bare.wait_for_log("needs nginx")


def test_every_reference_is_defined(serve, store):
    """No `$ref` is undefined."""
    document = description(serve("--workers", "1", nginx=True, MARQUEE_SERVE_ADMIN_TOKEN=TOKEN))
    references = re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))

    assert references
    for reference in references:
        found = document
        for key in reference.split("/"):
            found = found[key]


def test_described_id_patterns_are_those_of_the_code(answering):
    """The patterns are those of `store.ids`."""
    schemas = description(answering)["components"]["schemas"]

    assert schemas["UserId"]["pattern"] == f"^{USER_ID_PATTERN}$"
    assert schemas["ItemId"]["pattern"] == f"^{ITEM_ID_PATTERN}$"


# Errors

BAD = [
    ("GET", "/nowhere", 404),
    ("GET", "/recommend", 404),
    ("GET", "/recommendations/ann", 404),
    ("GET", "/similar/never+seen", 404),
    ("GET", "/similar/a,b", 400),
    ("GET", "/similar/alien+1979?n=0", 400),
    ("POST", "/recommendations", 400),
    ("POST", "/predict", 400),
    *(("POST", path, 405) for path in GETS[1:]),
    *(("GET", path, 405) for path in POSTS),
    *((method, path, 405) for method in ("PUT", "DELETE") for path in (*GETS[1:], *POSTS)),
]


@pytest.mark.parametrize(("method", "target", "status"), BAD)
def test_an_error_is_a_problem(server, method, target, status):
    """RFC 9457: type, status and title, and no internals."""
    answer = server.get(target, method)

    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = json.loads(answer.body)
    assert problem["status"] == status
    assert problem["title"]
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text


@pytest.mark.parametrize(
    ("path", "allowed"),
    [*((path, {"GET", "HEAD"}) for path in GETS), *((path, {"POST"}) for path in POSTS)],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_a_405_names_the_allowed_methods(server, path, allowed, method):
    """As RFC 9110 requires, from nginx and from a worker."""
    answer = server.get(path, method)

    assert answer.status == 405
    assert {*answer.headers["Allow"].split(", ")} - {"OPTIONS"} == allowed


@pytest.mark.parametrize("path", GETS)
def test_head_works_wherever_get_does(connection, path):
    """It has the same status and type, and no body."""
    get, head = ask(connection, path), ask(connection, path, "HEAD")

    assert (head.status, head.body) == (get.status, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert int(head.headers["Content-Length"]) > 0 or get.body == b""


# The page to try it


def test_the_page_has_no_external_files(server):
    """It is HTML without a script, style or picture of another address."""
    answer = server.get("/try")

    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", answer.text)
    assert "@import" not in answer.text


def test_the_page_has_a_form_for_every_endpoint(serve, store):
    """Every described endpoint has a form, but for pages and the short form."""
    server = serve("--workers", "1", nginx=True, MARQUEE_SERVE_ADMIN_TOKEN=TOKEN)
    paths = description(server)["paths"]
    pages = {path for path in paths if "pages" in paths[path].get("get", {}).get("tags", ())}
    described = {*paths} - {"/", "/try", "/train", *pages}

    assert {*re.findall(r'"(?:GET|POST)", "(/[^"]*)"', server.get("/try").text)} == described


class Browser:
    """A headless Chromium, controlled by the DevTools protocol through a pipe."""

    def __init__(self, folder):
        assert CHROMIUM
        theirs, self._commands = os.pipe()
        self._answers, their_answers = os.pipe()
        chromium = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu",
                    "--disable-dev-shm-usage", "--remote-debugging-pipe",
                    f"--user-data-dir={folder}"]  # fmt: skip
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{theirs} 4>&{their_answers}', "bash", *chromium],
            pass_fds=(theirs, their_answers),
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(their_answers)
        self._numbers = itertools.count(1)
        self._received = b""
        self._session = None
        self.errors = []

    def __enter__(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Runtime", "Log", "Page"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def call(self, method, **parameters):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(answer["params"])
        return answer["result"]

    def evaluate(self, script):
        """Return the value of a script, once its promise is resolved."""
        done = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def _next(self):
        while b"\0" not in self._received:
            received = os.read(self._answers, 65536)
            assert received, "Chromium has ended"
            self._received += received
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)


@pytest.fixture
def browser(tmp_path):
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    with Browser(tmp_path / "profile") as opened:
        yield opened


# Waits in the page until a condition holds; false after ten seconds.
_WAIT = """(async () => {
  for (let i = 0; i < 200; i++) {
    if (%s) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
})()"""


def test_a_browser_shows_a_list_after_a_click(browser, behind_nginx):
    """The page loads without an error, and "recommend" shows the answer and its source."""
    browser.call("Page.navigate", url=f"http://{behind_nginx.host}:{behind_nginx.port}/try")
    assert browser.evaluate(_WAIT % "document.getElementById('metrics')")

    browser.evaluate("document.querySelector('[name=user_id]').value = 'ann'")
    browser.evaluate("document.getElementById('recommend').click()")

    assert browser.evaluate(_WAIT % "document.getElementById('body').textContent")
    shown = browser.evaluate("document.getElementById('answer').innerText")
    assert ",".join(LISTS["ann"]) in shown
    assert "x-marquee-source: list" in shown
    assert re.search(r"200.*, [\d.]+ ms", shown)
    assert browser.errors == []
