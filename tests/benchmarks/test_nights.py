"""The parts of the nights; all of them together run as `.ci/campaigns nights`."""

import http.server
import threading
import time
import urllib.request
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from benchmarks.harness.servers import Address
from benchmarks.nights.__main__ import _nights, _print_nights
from benchmarks.nights.outside import Clients, Inbox
from benchmarks.nights.plan import (
    BEGIN,
    FETCH_AT,
    N_NIGHTS,
    REFRESH_AT,
    ZONE,
    begin_of,
    night_of,
    plan_of,
)
from cron.child import Ending, Run
from cron.state import JobState, add_to_history

NIGHTS = range(1, N_NIGHTS + 1)


def test_the_clock_goes_forward_and_back_at_the_hours_of_the_jobs():
    """The refresh's hour is skipped in night 6, and the fetch's comes twice in night 27."""
    zone = ZoneInfo(ZONE)
    shown = [BEGIN + timedelta(minutes=30 * step) for step in range(48 * N_NIGHTS)]
    of_night: dict[int, list[str]] = {night: [] for night in NIGHTS}
    for at in shown:
        of_night[night_of(at)].append(f"{at.astimezone(zone):%H:%M}")
    assert [n for n in NIGHTS if of_night[n].count(REFRESH_AT) != 1] == [6]
    assert [n for n in NIGHTS if of_night[n].count(FETCH_AT) != 1] == [27]
    assert of_night[27].count(FETCH_AT) == 2
    assert plan_of(6).fault == "clock forward"
    assert plan_of(27).fault == "clock back"


def test_each_alarm_of_the_plan_is_over_in_the_end():
    """A message in which it is over follows each, and none without one before."""
    raised: set[str] = set()
    for name in (name for night in NIGHTS for name in plan_of(night).messages):
        if name.endswith(" over"):
            raised.remove(name.removesuffix(" over"))
        else:
            raised.add(name)
    assert raised == set()


@pytest.mark.parametrize("is_planned", [True, False])
def test_a_night_that_differs_from_the_plan_is_counted(tmp_path, capsys, is_planned):
    """Runs and messages are counted in their nights; one run too many is found."""
    (tmp_path / "var/cron").mkdir(parents=True)
    for night in (1, 2):
        for job in ("fetch", "refresh", "verify"):
            for ending in getattr(plan_of(night), job):
                state = JobState(began=begin_of(night) + timedelta(hours=9))
                state = state.end(state.began or BEGIN, Run(Ending(ending), 0, 1.0))
                add_to_history(tmp_path / "var/cron", job, state)
    found = _nights(tmp_path, ["2 job fetch"], 2)
    if not is_planned:
        found[2] = replace(found[2], refresh=("succeeded", "succeeded"))
    assert _print_nights(found) == int(not is_planned)
    assert ("wrong" in capsys.readouterr().err) is not is_planned


def test_a_night_begins_at_noon():
    """The moment before belongs to the night before."""
    assert night_of(datetime.fromisoformat("2010-09-05T12:00:00+00:00")) == 2
    assert night_of(begin_of(2) - timedelta(seconds=1)) == 1


@pytest.mark.parametrize(("body", "is_failed"), [(b"tt1,tt2", False), (b"", True)])
def test_the_client_counts_answers_without_a_list(body, is_failed):
    """Twin: with a list none has failed."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with Clients(Address("127.0.0.1", server.server_port)) as clients:
            while clients.n_requests < 3:
                time.sleep(0.01)
        server.shutdown()
        thread.join()
    assert clients.n_failed == (clients.n_requests if is_failed else 0)


def test_the_inbox_keeps_the_texts_in_their_order():
    """As posted."""
    with Inbox() as inbox:
        for text in ("2 disk", "3 disk over"):
            urllib.request.urlopen(inbox.address, data=text.encode())
    assert inbox.texts == ["2 disk", "3 disk over"]
