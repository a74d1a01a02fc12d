"""Counting: rows of plain integers, the scoreboard, and sums over all workers."""

import os
import re
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.counting import (
    ANSWER_KINDS,
    ANSWERS,
    N_BUCKETS,
    N_ROW_WORDS,
    N_WORDS,
    SUM,
    AnswerKind,
    Counts,
    answer_kind,
    total,
)
from serve.scoreboard import Scoreboard
from tests.serve.server import wait_until
from tests.snapshots import make_snapshot

LONGEST = 2**64 - 1
OWN_LIST = AnswerKind("list", "200")
words = st.integers(0, LONGEST)
answers = st.lists(st.tuples(st.sampled_from(ANSWER_KINDS), st.integers(0, 10**12)), max_size=30)


def counts_of(answers):
    counts = Counts()
    for kind, nanoseconds in answers:
        counts.add(kind, nanoseconds)
    return counts


# One answer


@pytest.mark.parametrize(
    ("nanoseconds", "bucket"),
    [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (1023, 10), (1024, 11), (2**63, 64), (LONGEST, 64)],
)
def test_an_answer_falls_into_its_bucket(nanoseconds, bucket):
    """At least 2^(b-1) nanoseconds and less than 2^b, from the shortest to the longest."""
    counts = counts_of([(OWN_LIST, nanoseconds)])
    row = counts.rows[ANSWER_KINDS.index(OWN_LIST)]
    assert row[bucket] == 1
    assert sum(row[:N_BUCKETS]) == 1
    assert (row[SUM], row[ANSWERS]) == (nanoseconds, 1)
    assert sum(map(sum, counts.rows)) == 2 + nanoseconds


def test_the_hot_path_counts_in_the_row_of_lists():
    """`own_lists` is one of the rows."""
    counts = Counts()
    counts.own_lists[10] += 1
    assert counts.rows[ANSWER_KINDS.index(OWN_LIST)][10] == 1


@pytest.mark.parametrize(
    ("source", "status", "expected"),
    [
        *((source, 200, (source, "200")) for source in ("list", "history", "recent", "segment")),
        *((source, 200, (source, "200")) for source in ("popular", "static", "similar", "predict")),
        *((None, status, ("other", "200")) for status in (200, 204, 304, 399)),
        *((name, 200, ("other", "200")) for name in ("error", "unlisted")),
        *((None, status, ("error", str(status))) for status in (400, 404, 405, 503)),
        *((None, status, ("error", "4xx")) for status in (401, 403, 411, 413, 415, 429, 499)),
        *((None, status, ("error", "5xx")) for status in (500, 501, 502, 504, 599)),
        ("list", 400, ("error", "400")),
        ("popular", 503, ("error", "503")),
    ],
)
def test_every_answer_has_a_row(source, status, expected):
    """By its source, or for an error by its status."""
    assert answer_kind(source, status) == expected
    Counts().add(answer_kind(source, status), 1)


@given(st.sampled_from([*(o.source for o in ANSWER_KINDS), None, "x"]), st.integers(100, 599))
def test_every_status_has_a_row(source, status):
    """Counting never fails an answered request."""
    assert answer_kind(source, status) in ANSWER_KINDS


def test_answer_kinds_are_unique():
    """Each has a row of its own."""
    assert len(set(ANSWER_KINDS)) == len(ANSWER_KINDS)


# Rows and words


@given(answers)
def test_counts_are_restored_from_their_words(some_answers):
    """Encoding and decoding changes nothing."""
    counts = counts_of(some_answers)
    assert len(counts.words()) == N_WORDS
    assert Counts(counts.words()).rows == counts.rows


@given(st.lists(answers, max_size=4))
def test_a_sum_equals_the_counts_of_one_worker(workers):
    """For any distribution of the answers over the workers."""
    together = counts_of([answer for one in workers for answer in one])
    assert total(map(counts_of, workers)).rows == together.rows


def test_later_answers_do_not_change_a_sum():
    """A sum is a copy."""
    counts = counts_of([(OWN_LIST, 5)])
    added = total([counts])
    counts.add(OWN_LIST, 5)
    assert sum(added.rows[0][:N_BUCKETS]) == 1


# The scoreboard


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.integers(0, N_WORDS - 1), words), min_size=2, max_size=2))
def test_a_slot_stores_any_words(filled):
    """Each slot separately, up to the largest number of a word."""
    rows = [[one.get(at, 0) for at in range(N_WORDS)] for one in filled]
    scoreboard = Scoreboard(3)
    for slot, one in enumerate(rows):
        scoreboard.write_counts(slot, Counts(one))
    assert [scoreboard.read_counts(slot).words().tolist() for slot in (0, 1)] == rows
    assert scoreboard.read_counts(2).rows == Counts().rows


def test_slots_do_not_overlap():
    """Heartbeat, readiness and counts of one slot do not change its neighbours."""
    scoreboard = Scoreboard(3)
    for slot in range(3):
        scoreboard.enter(slot)
        scoreboard.write_counts(slot, counts_of([(OWN_LIST, slot)]))
    full = Counts([LONGEST] * N_WORDS)
    beats = [scoreboard.seconds_since_beat(slot) for slot in (0, 2)]
    scoreboard.write_counts(1, full)
    scoreboard.mark_ready(1)
    assert [scoreboard.is_ready(slot) for slot in range(3)] == [False, True, False]
    assert [scoreboard.read_counts(slot).rows[0][SUM] for slot in (0, 2)] == [0, 2]
    later = [scoreboard.seconds_since_beat(slot) for slot in (0, 2)]
    assert all(now >= before for now, before in zip(later, beats, strict=True))
    assert (scoreboard.generation, scoreboard.problem) == (0, "")
    assert sum(scoreboard.supervisor_counts().values()) == 0


def test_the_header_does_not_overlap_the_slots():
    """It holds the generation, the longest problem and the supervisor's counts."""
    scoreboard = Scoreboard(1)
    scoreboard.generation = LONGEST
    scoreboard.problem = "ü" * 1000
    for event in scoreboard.supervisor_counts():
        scoreboard.count(event)
    assert scoreboard.read_counts(0).rows == Counts().rows
    assert not scoreboard.is_ready(0)
    assert scoreboard.generation == LONGEST
    assert scoreboard.problem.startswith("ü" * 200)
    assert set(scoreboard.supervisor_counts().values()) == {1}
    scoreboard.problem = ""
    assert scoreboard.problem == ""


def test_a_scoreboard_is_shared_with_a_child():
    """The parent reads what the child writes."""
    scoreboard = Scoreboard(2)
    if not (pid := os.fork()):
        scoreboard.write_counts(1, counts_of([(OWN_LIST, 7)]))
        os._exit(0)
    os.waitpid(pid, 0)
    assert scoreboard.total_counts().rows[0][SUM] == 7


def test_a_scoreboard_is_taken_over_by_its_descriptor():
    """One of another size is made anew."""
    scoreboard = Scoreboard(2)
    scoreboard.generation = 41
    scoreboard.write_counts(0, counts_of([(OWN_LIST, 7)]))
    taken = Scoreboard(2, scoreboard.descriptor)
    assert (taken.generation, taken.total_counts().rows[0][SUM]) == (41, 7)
    larger = Scoreboard(3, scoreboard.descriptor)
    assert (larger.generation, larger.total_counts().rows[0][SUM]) == (0, 0)


# On a running server


def requests(server, source):
    text = server.get("/metrics").text
    line = rf'^marquee_requests_total{{source="{source}",status="200"}} (\S+)$'
    [number] = re.findall(line, text, re.MULTILINE)
    return float(number)


@pytest.fixture
def server(serve, store):
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    running = serve("--workers", "2")
    running.wait_for_workers()
    wait_until(lambda: running.get("/recommend/ann").status == 200)
    return running


def test_all_workers_are_summed(server):
    """`/metrics` of any worker contains the answers of all."""
    wait_until(lambda: requests(server, "list") == 1)
    for _ in range(40):
        server.get("/recommend/ann")
        server.get("/recommend/nobody")
    wait_until(lambda: requests(server, "list") == 41)
    wait_until(lambda: requests(server, "popular") == 40)


def test_a_respawned_worker_continues_the_counts(server):
    """Counts never decrease, which a scraper would take for a restart."""
    n_requests = 1
    for _ in range(3):
        for _ in range(20):
            assert server.get("/recommend/ann").status == 200
        n_requests += 20
        wait_until(lambda n=n_requests: requests(server, "list") == n)
        killed = server.wait_for_workers()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        server.wait_for_workers(other_than=killed)
        assert requests(server, "list") == n_requests


def test_the_length_of_a_row():
    """The buckets, the sum and the number of answers."""
    assert {len(row) for row in Counts().rows} == {N_ROW_WORDS} == {N_BUCKETS + 2}
