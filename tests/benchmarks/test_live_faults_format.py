"""Changes of the log format, of the clock and of the schema affect lines as specified."""

import re
from typing import cast

import numpy as np
import pytest

from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.history.strict import is_sound
from benchmarks.simulator.live.faults.log_format import LogFormatChange
from benchmarks.simulator.live.stream.times import format_time, seconds_of, split_time
from benchmarks.simulator.log_formats import LOG_FORMATS
from benchmarks.simulator.world.items import ALWAYS
from tests.benchmarks.fault_lines import HOUR, ITEM, LINES, WORLD, kinds, n_lines, run_faults


def test_the_lines_of_these_tests_are_valid_and_of_every_kind():
    """In every edition; only the newest logs accounts."""
    for log_format, lines in LINES.items():
        assert all(map(is_sound, lines))
        assert len(lines) > 3000
        assert min(kinds(lines).values()) >= 1
        assert (b"/create_account" in kinds(lines)) == (log_format == "2026")


def test_without_line_faults_lines_are_unchanged():
    """The counterpart of the tests below; faults of the world do not change lines either."""
    world = [f"0s viral item={ITEM}", "0s traffic", "0s api", "0s shift group=F taste=3"]
    for specs in ([], ["90s noise share=1"], world):
        assert run_faults(*specs)[0] == LINES["2022"]


@pytest.mark.parametrize("made", LOG_FORMATS)
@pytest.mark.parametrize("to", LOG_FORMATS)
def test_a_change_of_edition_gives_lines_of_that_edition(made, to):
    """Scale, fractions, separators and units; the events are the same."""
    lines, (record,) = run_faults(f"0s edition to={to}", log_format=made)
    assert all(map(is_sound, lines))
    assert (record["first_line"], record["last_line"]) == (1, len(lines))
    same = {b"/data/m/", b"/rate/", b"recommendation request"}
    assert {kind: n for kind, n in kinds(lines).items() if kind in same} == {
        kind: n for kind, n in kinds(LINES[to]).items() if kind in same
    }
    for form in (form_of_answers, share_of_fractions, scale):
        assert form(lines) == pytest.approx(form(LINES[to]), abs=0.05)
    events = [line.split(b",")[1:] for line in lines if b"/data/m/" in line]
    assert events == [line.split(b",")[1:] for line in LINES[made] if b"/data/m/" in line]
    if made == to:
        assert lines == LINES[to]


def form_of_answers(lines):
    """Return the lengths of the fraction, of separators and of the unit, equal in all answers."""
    form = re.compile(rb"[^.,]+\.(\d+),.*?result: [^,]+(, ?)[^,]+.*?(, ?)\d+( ?ms)")
    matches = [form.fullmatch(line) for line in lines if b"status 200" in line]
    assert all(matches)
    (lengths,) = {tuple(map(len, match.groups())) for match in matches if match}
    return list(lengths)


def share_of_fractions(lines):
    minutes = [line for line in lines if b"/data/m/" in line]
    return sum(b"." in line.partition(b",")[0] for line in minutes) / len(minutes)


def scale(lines):
    """Return the mean rating, and the best."""
    rated = [int(line.rpartition(b"=")[2]) for line in lines if b"/rate/" in line]
    return [np.mean(rated) / max(rated), max(rated)]


FORMAT_2022, FORMAT_2024, FORMAT_2026 = (
    b"2026-01-02T20:02%s,5,recommendation request h:8082, status 200, result: a+1, b+2, 45 ms",
    b"2026-01-02T20:02%s,5,recommendation request h:8082, status 200, result: a+1, b+2, 45 ms",
    b"2026-01-02T20:02%s,5,recommendation request h:8082, status 200, result: a+1,b+2, 45ms",
)


RATED = b"2026-01-02T20:02%s,5,GET /rate/a=%d"


FAILED = (
    b"2026-01-02T20:02:00.345,5,recommendation request h:1, status 0, "
    b"result: java.net.ConnectException: timed out: h/1.2.3.4, 8082, 818"
)


@pytest.mark.parametrize(
    ("made", "to", "line", "becomes"),
    [
        ("2022", "2026", FORMAT_2022 % b":07.345", FORMAT_2026 % b":07.345"),
        ("2022", "2024", FORMAT_2022 % b":00.345", FORMAT_2024 % b":00.345000000"),
        ("2024", "2022", FORMAT_2024 % b":00.345678901", FORMAT_2022 % b":00.345"),
        ("2024", "2026", FORMAT_2024 % b":07.345678901", FORMAT_2026 % b":07.345"),
        ("2026", "2022", FORMAT_2026 % b":07.345", FORMAT_2022 % b":07.345"),
        ("2022", "2026", FAILED + b" ms", FAILED + b"ms"),
        ("2026", "2022", FAILED + b"ms", FAILED + b" ms"),
        ("2026", "2022", RATED % (b":00.345", 7), RATED % (b"", 4)),
        ("2026", "2024", RATED % (b":01.345", 8), RATED % (b":01", 4)),
        ("2022", "2026", RATED % (b"", 1), RATED % (b":00.001", 1)),
    ],
    ids=[
        *("new", "finer", "coarser", "newest", "older", "failed", "failed-older"),
        *("rating", "stars", "half-stars"),
    ],
)
def test_a_line_in_another_edition(made, to, line, becomes):
    """Known answers, with random numbers of 0."""
    rng = cast(np.random.Generator, ZeroGenerator())
    change = LogFormatChange(LOG_FORMATS[made], LOG_FORMATS[to], (), rng)
    assert list(change.lines([line])) == [becomes]


class ZeroGenerator:
    """A random generator whose numbers are 0."""

    def random(self, n):
        return np.zeros(n)


def test_a_newer_edition_logs_new_accounts_once():
    """Existing users have no line for an account; an older edition removes these lines."""
    joined = WORLD.users.joined
    before = joined.copy()
    joined[:] = ALWAYS
    late = [line.split(b",")[1] for line in LINES["2022"][-300:] if b"/data/m/" in line]
    early = {line.split(b",")[1] for line in LINES["2022"][:-300]}
    new = next(user for user in late if user not in early)
    row = int(np.searchsorted(WORLD.users.ids, int(new)))
    try:
        joined[row] = HOUR + 10**6
        lines, _ = run_faults("2s edition to=2026 for=100s")
    finally:
        joined[:] = before
    opened = [line for line in lines if line.endswith(b"GET /create_account")]
    position = lines.index(opened[0])
    assert [line.split(b",")[1] for line in opened] == [new]
    assert lines[position + 1].split(b",")[1] == new
    assert b"/create_account" not in kinds(run_faults("0s edition to=2022", log_format="2026")[0])


@pytest.mark.parametrize(("by", "seconds"), [("-1h", -3600), ("+90s", 90), ("2d", 2 * DAY_SECONDS)])
@pytest.mark.parametrize("log_format", LOG_FORMATS)
def test_a_jump_changes_only_the_times(log_format, by, seconds):
    """Seconds of 00 of the new time are left out."""
    lines, (record,) = run_faults(f"4s jump by={by} for=6s", log_format=log_format)
    first, last = record["first_line"], record["last_line"]
    assert first - 1 == n_lines(log_format, 4)
    assert last == n_lines(log_format, 10)
    original = LINES[log_format]
    assert [lines[: first - 1], lines[last:]] == [original[: first - 1], original[last:]]
    for line, other in zip(lines[first - 1 : last], original[first - 1 : last], strict=True):
        (at, _, rest), (was, _, before) = line.partition(b","), other.partition(b",")
        assert rest == before
        assert at == format_time(seconds_of(was) + seconds, split_time(was)[1])


def test_jumps_add_up():
    """An offset and its opposite cancel out."""
    assert run_faults("0s jump by=+1h", "0s jump by=-3600s")[0] == LINES["2022"]


@pytest.mark.parametrize(
    ("change", "form"),
    [
        ("extra", rb"@,\d+,(GET|recommendation request) .*,web"),
        ("renamed", rb"@,\d+,(GET /v2/movies/.*\.mpg|POST /v2/(ratings/.*=\d+|accounts)|"
                    rb"recommendation [^ ]+, status .*)"),
        ("reordered", rb"\d+,@,(GET|recommendation request) .*"),
        ("json", rb'\{"time": "@", "user_id": "\d+", "event": "(GET|recommendation request) .*"\}'),
    ],
    ids=["extra", "renamed", "reordered", "json"],
)  # fmt: skip
def test_a_change_of_schema_makes_every_line_invalid(change, form):
    """From the first affected line to the last."""
    lines, (record,) = run_faults(f"3s schema change={change} for=20s", log_format="2026")
    first, last = record["first_line"], record["last_line"]
    pattern = re.compile(form.replace(b"@", rb"\d{4}-\d\d-\d\dT[0-9:.]+"))
    for number, (line, was) in enumerate(zip(lines, LINES["2026"], strict=True), 1):
        if first <= number <= last:
            assert pattern.fullmatch(line)
            assert not is_sound(line)
        else:
            assert line == was
    assert first > 1
    assert last < len(lines)
