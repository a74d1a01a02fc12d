"""The live simulator grades answers by the rules of the scenario's grader."""

import pytest

from benchmarks.simulator.history.strict import is_sound
from benchmarks.simulator.live.requests.grading import Grade, grade_answer, is_correctly_refused
from benchmarks.simulator.live.requests.messages import CUT, REFUSED, TIMED_OUT, Address, Response
from benchmarks.simulator.live.stream.event_log import Clock, EventLogWriter
from benchmarks.simulator.live.stream.protocol import Stream
from benchmarks.simulator.log_formats import LOG_FORMATS
from benchmarks.simulator.world.world import make_world

HOST = Address("marquee.example", 8082)
CATALOGUE = {
    name.encode(): row for row, name in enumerate(["heat+1995", "7+1997", "+nos+amours+1983"])
}
CATALOGUE |= {b"item+%d" % row: row for row in range(3, 40)}
TIMEOUT_EXCEPTION = "java.util.concurrent.TimeoutException"
MANY = b",".join(b"item+%d" % row for row in range(3, 24))
TWENTY = b",".join(b"item+%d" % row for row in range(3, 23))


def response(body=b"", status=200, error=""):
    return Response(error, status, 12.0, 0.1, "list", body)


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        pytest.param(b"heat+1995", [0], id="one"),
        pytest.param(b"+nos+amours+1983,heat+1995,7+1997", [2, 0, 1], id="best-first"),
        pytest.param(TWENTY, list(range(3, 23)), id="twenty"),
    ],
)
def test_a_list_of_known_items_succeeds(body, rows):
    """Up to 20 ids joined by commas are valid."""
    assert grade_answer(response(body), CATALOGUE, HOST) == Grade("", 200, "", rows)


def status(code):
    return f"status {code}", code, f"Unexpected response status: {code}", []


def unknown(name):
    return "unknown id", 400, f"movie {name} not found", []


def malformed(kind, what):
    return kind, 400, f"invalid recommendation format ({what})", []


FAILURES = {
    "empty": (response(b""), malformed("empty", "empty")),
    "newline": (response(b"heat+1995\n"), unknown("heat+1995?")),
    "blank": (response(b"heat+1995, 7+1997"), unknown(" 7+1997")),
    "json": (response(b'["heat+1995","7+1997"]'), unknown('["heat+1995"')),
    "comma-at-the-end": (response(b"heat+1995,"), unknown("")),
    "first-unknown": (response(b"heat+1995,no+such,nor+this"), unknown("no+such")),
    "upper-case": (response(b"Heat+1995"), unknown("Heat+1995")),
    "not-ascii": (response(b"caf\xe9+1995"), unknown("caf?+1995")),
    "twenty-one": (response(MANY), malformed("too long", "21 ids")),
    "502": (response(b"heat+1995", 502), status(502)),
    "404": (response(b"heat+1995", 404), status(404)),
    "204": (response(b"", 204), status(204)),
    "time-out": (
        response(status=0, error=TIMED_OUT),
        ("time-out", 0, f"{TIMEOUT_EXCEPTION}: Request timeout to {HOST} after 600 ms", []),
    ),
    "refused": (
        response(status=0, error=REFUSED),
        ("refused", 0, f"java.net.ConnectException: Connection refused: {HOST}", []),
    ),
    "cut": (
        response(status=0, error=f"{CUT}: closed after 12 bytes"),
        ("cut", 0, "java.io.IOException: closed after 12 bytes", []),
    ),
}


@pytest.mark.parametrize(("answer", "failure"), FAILURES.values(), ids=FAILURES.keys())
def test_any_other_answer_fails_as_in_the_scenario(answer, failure):
    """Each failure has its kind, and the text of the real stream."""
    assert grade_answer(answer, CATALOGUE, HOST) == Grade(*failure)


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        pytest.param(response(status=400), True, id="400"),
        pytest.param(response(status=404), True, id="404"),
        pytest.param(response(b"heat+1995", 200), False, id="200"),
        pytest.param(response(status=500), False, id="500"),
        pytest.param(response(status=0, error=TIMED_OUT), False, id="time-out"),
    ],
)
def test_a_malformed_request_must_be_refused(answer, is_right):
    """A list for a malformed id is a failure, like a server error."""
    assert is_correctly_refused(answer) == is_right


class Lines(Stream):
    """A stream that collects lines."""

    n_dropped = 0

    def __init__(self):
        self.n_sent, self.lines = 0, []

    def send(self, lines):
        self.n_sent += len(lines)
        self.lines += lines

    def close(self):
        pass


@pytest.mark.parametrize("log_format", LOG_FORMATS)
def test_good_and_failed_answers_are_valid_lines_of_every_edition(log_format):
    """For any body the event log has one line that the strict patterns accept."""
    world, lines = make_world(20, 40, 3), Lines()
    names = {name.encode(): row for row, name in enumerate(world.items.ids)}
    clock = Clock(world.n_days * 86_400, 60)
    event_log = EventLogWriter(world, LOG_FORMATS[log_format], lines, clock)
    bodies = [",".join(world.items.ids[:20]).encode(), b"", b"x\ny, z\r\n", b"caf\xe9", b"\0" * 300]
    for simulated_second, body in enumerate(bodies):
        grade = grade_answer(response(body), names, HOST)
        event_log.answer(clock.simulated_second(simulated_second), 7, HOST, grade, 12.3)
    event_log.write_until(10, 0)
    answers = [line for line in lines.lines if b"recommendation request" in line]
    assert len(answers) == len(bodies)
    assert [line for line in lines.lines if not is_sound(line)] == []
    separated = LOG_FORMATS[log_format].between_items.join(world.items.ids[:20]).encode()
    assert answers[0].split(b"result: ")[1].startswith(separated)
