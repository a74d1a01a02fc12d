"""Counting: rows of plain integers, a page of memory, and sums over all workers."""

import os
import re
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.counting import (
    ANSWERS,
    N_BUCKETS,
    N_ROW_WORDS,
    N_WORDS,
    OUTCOMES,
    SUM,
    Counts,
    Outcome,
    outcome,
    summed,
)
from serve.scoreboard import Scoreboard
from tests.serve.running import wait_until
from tests.snapshots import make_snapshot

LONGEST = 2**64 - 1
OWN_LIST = Outcome("list", "200")
words = st.integers(0, LONGEST)
answers = st.lists(st.tuples(st.sampled_from(OUTCOMES), st.integers(0, 10**12)), max_size=30)


def counts_of(answers):
    counts = Counts()
    for what, nanoseconds in answers:
        counts.add(what, nanoseconds)
    return counts


# One answer


@pytest.mark.parametrize(
    ("nanoseconds", "bucket"),
    [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (1023, 10), (1024, 11), (2**63, 64), (LONGEST, 64)],
)
def test_an_answer_falls_into_its_bucket(nanoseconds, bucket):
    """At least 2^(b-1) nanoseconds and less than 2^b, from the shortest to the longest."""
    counts = counts_of([(OWN_LIST, nanoseconds)])
    row = counts.rows[OUTCOMES.index(OWN_LIST)]
    assert row[bucket] == 1
    assert sum(row[:N_BUCKETS]) == 1
    assert (row[SUM], row[ANSWERS]) == (nanoseconds, 1)
    assert sum(map(sum, counts.rows)) == 2 + nanoseconds


def test_the_hot_path_counts_in_the_row_of_lists():
    """It adds to the row by itself, and everybody finds it there."""
    counts = Counts()
    counts.own_lists[10] += 1
    assert counts.rows[OUTCOMES.index(OWN_LIST)][10] == 1


@pytest.mark.parametrize(
    ("source", "status", "expected"),
    [
        *((source, 200, (source, "200")) for source in ("list", "history", "recent", "segment")),
        *((source, 200, (source, "200")) for source in ("popular", "static", "similar", "predict")),
        *((None, status, ("other", "200")) for status in (200, 204, 304, 399)),
        *((name, 200, ("other", "200")) for name in ("error", "never heard of")),
        *((None, status, ("error", str(status))) for status in (400, 404, 405, 503)),
        *((None, status, ("error", "4xx")) for status in (401, 403, 411, 413, 415, 429, 499)),
        *((None, status, ("error", "5xx")) for status in (500, 501, 502, 504, 599)),
        ("list", 400, ("error", "400")),
        ("popular", 503, ("error", "503")),
    ],
)
def test_every_answer_has_a_row(source, status, expected):
    """By its source where it is one, by its status where it is an error."""
    assert outcome(source, status) == expected
    Counts().add(outcome(source, status), 1)


@given(st.sampled_from([*(o.source for o in OUTCOMES), None, "x"]), st.integers(100, 599))
def test_no_status_is_without_a_row(source, status):
    """Counting never fails a request that was answered."""
    assert outcome(source, status) in OUTCOMES


def test_no_outcome_is_listed_twice():
    """Each has a row of its own."""
    assert len(set(OUTCOMES)) == len(OUTCOMES)


# Rows and words


@given(answers)
def test_counts_come_back_from_their_words(given_answers):
    """What is written is what is read."""
    counts = counts_of(given_answers)
    assert len(counts.words()) == N_WORDS
    assert Counts(counts.words()).rows == counts.rows


@given(st.lists(answers, max_size=4))
def test_a_sum_is_as_if_one_had_counted_all(workers):
    """However the answers were shared out."""
    together = counts_of([answer for one in workers for answer in one])
    assert summed(map(counts_of, workers)).rows == together.rows


def test_counting_on_does_not_change_a_sum():
    """A sum is a copy."""
    counts = counts_of([(OWN_LIST, 5)])
    total = summed([counts])
    counts.add(OWN_LIST, 5)
    assert sum(total.rows[0][:N_BUCKETS]) == 1


# The page


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.integers(0, N_WORDS - 1), words), min_size=2, max_size=2))
def test_a_page_gives_back_any_words(filled):
    """Each place its own, up to the largest that a word holds."""
    rows = [[one.get(at, 0) for at in range(N_WORDS)] for one in filled]
    page = Scoreboard(3)
    for place, one in enumerate(rows):
        page.write_counts(place, Counts(one))
    assert [page.read_counts(place).words().tolist() for place in (0, 1)] == rows
    assert page.read_counts(2).rows == Counts().rows


def test_places_do_not_touch_each_other():
    """Heartbeat, readiness and counts of one leave those of its neighbours alone."""
    page = Scoreboard(3)
    for place in range(3):
        page.enter(place)
        page.write_counts(place, counts_of([(OWN_LIST, place)]))
    full = Counts([LONGEST] * N_WORDS)
    beats = [page.seconds_since_beat(place) for place in (0, 2)]
    page.write_counts(1, full)
    page.say_ready(1)
    assert [page.is_ready(place) for place in range(3)] == [False, True, False]
    assert [page.read_counts(place).rows[0][SUM] for place in (0, 2)] == [0, 2]
    assert all(page.seconds_since_beat(p) >= was for p, was in zip((0, 2), beats, strict=True))
    assert (page.generation, page.problem, sum(page.supervised().values())) == (0, "", 0)


def test_the_first_words_do_not_touch_the_places():
    """Generation, the longest problem and the supervisor's counts stand before them."""
    page = Scoreboard(1)
    page.generation = LONGEST
    page.problem = "ü" * 1000
    for what in page.supervised():
        page.count(what)
    assert page.read_counts(0).rows == Counts().rows
    assert not page.is_ready(0)
    assert page.generation == LONGEST
    assert page.problem.startswith("ü" * 200)
    assert set(page.supervised().values()) == {1}
    page.problem = ""
    assert page.problem == ""


def test_a_page_is_shared_with_a_child():
    """What one process writes, the other reads."""
    page = Scoreboard(2)
    if not (pid := os.fork()):
        page.write_counts(1, counts_of([(OWN_LIST, 7)]))
        os._exit(0)
    os.waitpid(pid, 0)
    assert page.total_counts().rows[0][SUM] == 7


def test_a_page_is_taken_over():
    """By whoever has its descriptor; one of another size is made anew."""
    page = Scoreboard(2)
    page.generation = 41
    page.write_counts(0, counts_of([(OWN_LIST, 7)]))
    taken = Scoreboard(2, page.descriptor)
    assert (taken.generation, taken.total_counts().rows[0][SUM]) == (41, 7)
    larger = Scoreboard(3, page.descriptor)
    assert (larger.generation, larger.total_counts().rows[0][SUM]) == (0, 0)


# On a running server


def requests(server, source):
    text = server.get("/metrics").text
    line = rf'^marquee_requests_total{{source="{source}",status="200"}} (\S+)$'
    return float(re.search(line, text, re.MULTILINE)[1])


@pytest.fixture
def server(serve, store):
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    running = serve("--workers", "2")
    running.wait_for_workers()
    wait_until(lambda: running.get("/recommend/ann").status == 200)
    return running


def test_all_workers_are_summed(server):
    """Whichever is asked, and whichever answered."""
    wait_until(lambda: requests(server, "list") == 1)
    for _ in range(40):
        server.get("/recommend/ann")
        server.get("/recommend/nobody")
    wait_until(lambda: requests(server, "list") == 41)
    wait_until(lambda: requests(server, "popular") == 40)


def test_a_respawned_worker_goes_on_counting(server):
    """Counts never go back, which a scraper would take for a restart."""
    n_asked = 1
    for _ in range(3):
        for _ in range(20):
            assert server.get("/recommend/ann").status == 200
        n_asked += 20
        wait_until(lambda n=n_asked: requests(server, "list") == n)
        killed = server.workers()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        server.wait_for_workers(other_than=killed)
        assert requests(server, "list") == n_asked


def test_the_rows_are_of_the_length_they_say():
    """Buckets, and behind them the sum and the number of answers."""
    assert {len(row) for row in Counts().rows} == {N_ROW_WORDS} == {N_BUCKETS + 2}
