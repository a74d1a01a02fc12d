"""The client of the APIs, over real HTTP in virtual time: retries, pauses, pace, refusals."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from batch.errors import FetchError
from batch.fetch.answers import ApiAnswer
from batch.fetch.pace import Pace
from benchmarks.simulator.live.apis.limit import RateLimit
from tests.batch.scripted_api import ScriptedApi, VirtualTime, docs, failure, objects


def failing(*failures, then=objects):
    """Return a script that fails some times, and then answers."""
    left = list(failures)
    return lambda ids: left.pop(0) if left else then(ids)


def pauses(api):
    """Return the virtual seconds between requests."""
    times = [at for at, _ in api.requests]
    return [after - before for before, after in itertools.pairwise(times)]


def test_ids_with_any_characters_are_asked_for_and_answered():
    """They are escaped in the path."""
    ids = ["+nos+amours+1983", ".45+2006", "++++++1959", "a*b_c-d", "x;y&z<w>", "a~b@c:d!$"]
    api = ScriptedApi(objects)
    api.ask(ids)
    assert [asked for _, asked in api.requests] == [ids]
    assert docs(api) == {one: {"id": one} for one in ids}


@pytest.mark.parametrize(("allowed", "is_refused"), [(20, False), (10, True)])
def test_the_rate_is_held(allowed, is_refused):
    """A server that allows just as many never refuses; one that allows half as many does."""
    limit = RateLimit(allowed, 2)

    def script(ids):
        wait = limit.seconds_to_wait("", api.time.now)
        return failure(429, Retry_After=str(wait)) if wait else objects(ids)

    api = ScriptedApi(script, rate=20)
    api.ask(*([str(n), f"b{n}"] for n in range(40)))
    assert len(docs(api)) == 80
    assert bool(api.client.counts.failures) == is_refused


def test_requests_at_once_are_spaced_evenly():
    """Those of many workers together, and none in a pause."""
    time, at = VirtualTime(), []

    async def work(pace, n):
        for _ in range(n):
            await pace.turn()
            at.append(time.now)

    async def work_all():
        pace = Pace(10, time.clock, time.sleep)
        await asyncio.gather(*(work(pace, 5) for _ in range(4)))
        pace.pause(30)
        await asyncio.gather(*(work(pace, 1) for _ in range(4)))

    asyncio.run(work_all())
    expected = [n / 10 for n in range(20)] + [31.9 + n / 10 for n in range(4)]
    assert at == pytest.approx(expected)


def test_a_request_that_waits_for_its_turn_waits_for_a_later_pause_too():
    time, at = VirtualTime(), []

    async def wait_for_a_pause():
        pace = Pace(10, time.clock, time.sleep)
        await pace.turn()
        waiting = asyncio.ensure_future(pace.turn())
        await asyncio.sleep(0)  # it sleeps until 0.1
        pace.pause(50)
        await waiting
        at.append(time.now)

    asyncio.run(wait_for_a_pause())
    assert at[0] >= 50


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("is_date", [False, True])
def test_no_request_is_sent_before_retry_after(status, is_date):
    """The pause is a number of seconds, or ends at a date."""
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    refused = failure(status, Retry_After=at if is_date else "100")
    api = ScriptedApi(failing(refused), rate=1000)
    api.ask(["a"], ["b"])
    assert sorted(docs(api)) == ["a", "b"]
    assert 95 < pauses(api)[0] < 102


def test_a_pause_that_is_too_long_is_an_outage():
    """The message has its length."""
    api = ScriptedApi(lambda _: failure(503, Retry_After="86400"))
    with pytest.raises(FetchError, match=r"/movie: asks for a pause of 86,400 s; run it again"):
        api.ask(["a"])
    assert len(api.requests) == 1


def test_pauses_double_with_jitter_up_to_half_a_minute():
    """Each pause lies in the upper half of its range."""
    api = ScriptedApi(failing(*(failure(503) for _ in range(8))))
    api.ask(["a"])
    longest = [1, 2, 4, 8, 16, 30, 30, 30]
    assert all(most / 2 <= p <= most for p, most in zip(pauses(api), longest, strict=True))
    assert len({p / most for p, most in zip(pauses(api), longest, strict=True)}) > 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_failed_tries_are_counted_and_then_given_up(status):
    """One try and two more; the twin has one failure less."""
    api = ScriptedApi(failing(*(failure(status) for _ in range(3))), retries=2)
    with pytest.raises(FetchError, match=rf"HTTP status {status}, the last of 3 tries"):
        api.ask(["a"])
    assert api.client.counts.failures == {f"HTTP status {status}": 3}
    twin = ScriptedApi(failing(failure(status), failure(status)), retries=2)
    twin.ask(["a"])
    assert list(docs(twin)) == ["a"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>", "the answer is not JSON"),
        (b"[" * 100_000, "the answer is not JSON"),
        (b"[]", "the answer has 0 entries for 2 ids"),
        (b'[{"id": "a"}, {"id": "b"}, {"id": "c"}]', "the answer has 3 entries for 2 ids"),
        (b'{"error": "overloaded"}', "the answer has 1 entries for 2 ids"),
        (b'[{"name": "a"}, {"name": "b"}]', "no entry has an id of the request in its field id"),
    ],
)
def test_another_form_is_tried_again(body, problem):
    """A proxy's page with status 200 is not an answer; it may go away."""
    page = web.Response(body=body, content_type="application/json")
    api = ScriptedApi(failing(page))
    api.ask(["a", "b"])
    assert api.client.counts.failures == {problem: 1}
    assert sorted(docs(api)) == ["a", "b"]


def test_entries_are_matched_by_id_not_by_position():
    """An entry of another id is no answer, a message is; a shorter list leaves out unknown ids."""
    entries = [{"id": "b", "n": 2}, {"id": 1}, {"message": "c not found"}, {"id": "x"}]
    api = ScriptedApi(lambda _: web.json_response(entries))
    api.ask(["1", "b", "c", "d"])
    assert docs(api) == {"b": {"id": "b", "n": 2}, "1": {"id": 1}}
    assert api.answers["c"] == ApiAnswer("c", 404, "")
    assert "d" not in api.answers
    assert api.client.counts.n_unusable == 1
    short = ScriptedApi(lambda _: web.json_response([{"id": "b"}]))
    short.ask(["a", "b"])
    assert [short.answers[one].status for one in "ab"] == [404, 200]


def test_a_request_that_is_too_large_is_split():
    """Into halves, until the API of an older edition takes it."""
    api = ScriptedApi(lambda ids: failure(400) if len(ids) > 1 else objects(ids))
    api.ask(["a", "b", "c", "d"])
    assert [len(ids) for _, ids in api.requests] == [4, 2, 1, 1, 2, 1, 1]
    assert sorted(docs(api)) == ["a", "b", "c", "d"]
    assert api.client.counts.n_too_large == 3


def test_one_id_that_the_api_refuses_does_not_stop_the_others():
    """If the API has answered before, else the URL may be wrong."""
    api = ScriptedApi(lambda ids: failure(400) if "bad" in ids else objects(ids))
    api.ask(["a", "b", "bad", "c"])
    assert sorted(docs(api)) == ["a", "b", "c"]
    assert api.answers["bad"] == ApiAnswer("bad", 400, "")
    with pytest.raises(FetchError, match="HTTP status 400; check the URL"):
        ScriptedApi(lambda _: failure(400)).ask(["bad"])


@pytest.mark.parametrize(
    "response",
    [
        web.Response(status=404, text="<h1>Not Found</h1>"),
        web.json_response({"detail": "Not Found"}, status=404),
        failure(401),
        failure(403),
        failure(302, Location="/movie/elsewhere"),
    ],
)
def test_a_wrong_address_is_an_error_at_once(response):
    """Its ids are not unknown: nothing is kept."""
    api = ScriptedApi(lambda _: response)
    with pytest.raises(FetchError, match=rf"HTTP status {response.status}; check the URL"):
        api.ask(["a", "b"])
    assert (len(api.requests), api.answers) == (1, {})


def test_a_message_of_status_404_makes_all_ids_unknown():
    """The twin of a wrong address."""
    api = ScriptedApi(lambda _: failure(404))
    api.ask(["a", "b"])
    assert [answer.status for answer in api.answers.values()] == [404, 404]


def test_user_name_and_password_are_used_and_not_shown():
    """In the URL of messages."""
    api = ScriptedApi(lambda _: failure(403), user="me:secret@")
    with pytest.raises(FetchError) as caught:
        api.ask(["a"])
    assert "secret" not in str(caught.value)
    assert api.client.url.startswith("http://127.0.0.1:")
