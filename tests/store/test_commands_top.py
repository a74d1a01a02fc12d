"""`top`: the figures between two answers, what a terminal gets, and other servers."""

import contextlib
import http.server
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import Any

import pytest

from store.__main__ import main
from store.errors import ServiceError
from store.service import ServiceCounts, ServiceState, ask_service, figures
from tests.store.conftest import ROOT

STATE: dict[str, Any] = {
    "generation": 2, "age_seconds": 7200, "workers": [{"ready": True}, {"ready": False}],
    "alarms": ["no worker answers \x1b[31m"],
    "counts": {"answers": 40, "failed": 10, "lists": 20, "personal": 5, "below_ns": [0, 20, 0]},
}  # fmt: skip


@contextmanager
def answering(body, status=200):
    """A server that always gives this answer; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def state(at, *counts):
    return ServiceState(at, 2, 60.0, 1, 1, (), ServiceCounts(*counts))


def test_figures_are_of_the_time_between_two_answers():
    """Without an earlier one, or after a restart of the server, they are since its start."""
    before = state(10.0, 100, 50, 80, 20, (0, 80, 0, 0))
    now = state(12.0, 200, 60, 180, 70, (0, 81, 98, 1))
    assert figures(now, before) == (50.0, 0.9, 4 / 1e6, 0.5)
    assert figures(now, None) == (None, 0.7, 4 / 1e6, 70 / 180)
    assert figures(before, now) == figures(before, None)
    assert figures(before, before) == (None, None, None, None)


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        (b"{}", 200, "another form"),
        (b"[" * 100_000, 200, "another form"),
        (json.dumps(STATE | {"counts": STATE["counts"] | {"failed": 10**400}}).encode(), 200,
         "another form"),
        (json.dumps(STATE | {"workers": 3}).encode(), 200, "another form"),
        (json.dumps(STATE | {"age_seconds": "old"}).encode(), 200, "another form"),
        (b"gone", 404, "has no pages"),
        (b"{}", 503, "status 503"),
    ],
)  # fmt: skip
def test_what_is_not_an_answer_of_marquee_is_an_error(body, status, problem):
    with answering(body, status) as url, pytest.raises(ServiceError, match=problem):
        ask_service(url)


def test_one_picture_where_there_is_no_terminal(two, capsys):
    with answering(json.dumps(STATE).encode()) as url:
        options = ["--store", str(two), "top", "--interval", "0.01", "--url", url]
        assert main(options) == 0
        lines = capsys.readouterr().out.splitlines()
        assert main([*options, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
    assert f"server   {url}: generation 2, 1 of 2 workers ready" in lines
    assert any(line.startswith("*   2 ") for line in lines)
    assert "publish   2" in " ".join(lines)
    assert (found["server"]["requests_per_second"], found["store"]["current"]) == (0.0, 2)
    assert found["server"]["n_workers"] == 2


def test_without_a_server_the_store_is_shown(two, capsys):
    assert main(["--store", str(two), "top", "--url", "http://127.0.0.1:1"]) == 0
    assert "does not answer: Connection refused" in capsys.readouterr().out
    for url in ("ftp://127.0.0.1", "127.0.0.1:8080", "http://127.0.0.1:port"):
        assert main(["--store", str(two), "top", "--url", url]) == 1
        assert "is not a valid address" in capsys.readouterr().err


def heed_ctrl_c():
    """Undo what a shell does to commands in the background: they ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def rest_of(terminal):
    """Return what is written to a terminal until nobody has it open."""
    found = b""
    with contextlib.suppress(OSError):  # that is how Linux says it
        while chunk := os.read(terminal, 1 << 16):
            found += chunk
    return found


def test_on_a_terminal_it_draws_until_ctrl_c(two):
    """The screen is given back, and no sign of the server reaches the terminal as a command."""
    ours, theirs = pty.openpty()
    with answering(json.dumps(STATE).encode()) as url:
        options = ["--store", str(two), "top", "--interval", "0.05", "--url", url]
        process = subprocess.Popen(
            [sys.executable, "-m", "store", *options], cwd=ROOT, stdout=theirs, stderr=theirs,
            preexec_fn=heed_ctrl_c,
        )  # fmt: skip
        shown = b""
        while shown.count(b"\x1b[J") < 3:
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        os.close(theirs)
        shown += rest_of(ours)  # else it could not write, and would not end
        assert process.wait() == 0
    os.close(ours)
    assert shown.startswith(b"\x1b[?1049h")
    assert shown.rstrip().endswith(b"\x1b[?1049l")
    assert b"alarm    no worker answers" in shown
    assert b"\x1b[31m" not in shown
