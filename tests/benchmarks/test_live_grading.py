"""The grader of the live simulator judges as the scenario's does."""

import pytest

from benchmarks.simulator.history.strict import is_sound
from benchmarks.simulator.live.requests.grading import Verdict, is_well_refused, judge
from benchmarks.simulator.live.requests.messages import CUT, REFUSED, TIMED_OUT, Address, Came
from benchmarks.simulator.live.stream.event_log import Clock, Teller
from benchmarks.simulator.live.stream.protocol import Stream
from benchmarks.simulator.log_formats import EDITIONS
from benchmarks.simulator.world.world import make_world

HOST = Address("marquee.example", 8082)
CATALOGUE = {
    name.encode(): row for row, name in enumerate(["heat+1995", "7+1997", "+nos+amours+1983"])
}
CATALOGUE |= {b"item+%d" % row: row for row in range(3, 40)}
TOO_LATE = "java.util.concurrent.TimeoutException"
MANY = b",".join(b"item+%d" % row for row in range(3, 24))
TWENTY = b",".join(b"item+%d" % row for row in range(3, 23))


def came(body=b"", status=200, error=""):
    return Came(error, status, 12.0, 0.1, "list", body)


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        pytest.param(b"heat+1995", [0], id="one"),
        pytest.param(b"+nos+amours+1983,heat+1995,7+1997", [2, 0, 1], id="best-first"),
        pytest.param(TWENTY, list(range(3, 23)), id="twenty"),
    ],
)
def test_a_list_of_known_items_succeeds(body, rows):
    """Ids joined by commas, up to 20, are the whole format."""
    assert judge(came(body), CATALOGUE, HOST) == Verdict("", 200, "", rows)


def status(code):
    return f"status {code}", code, f"Unexpected response status: {code}"


def unknown(name):
    return "unknown id", 400, f"movie {name} not found"


def malformed(kind, what):
    return kind, 400, f"invalid recommendation format ({what})"


FAILURES = {
    "empty": (came(b""), malformed("empty", "empty")),
    "newline": (came(b"heat+1995\n"), unknown("heat+1995?")),
    "blank": (came(b"heat+1995, 7+1997"), unknown(" 7+1997")),
    "json": (came(b'["heat+1995","7+1997"]'), unknown('["heat+1995"')),
    "comma-at-the-end": (came(b"heat+1995,"), unknown("")),
    "first-unknown": (came(b"heat+1995,no+such,nor+this"), unknown("no+such")),
    "upper-case": (came(b"Heat+1995"), unknown("Heat+1995")),
    "not-ascii": (came(b"caf\xe9+1995"), unknown("caf?+1995")),
    "twenty-one": (came(MANY), malformed("too long", "21 ids")),
    "502": (came(b"heat+1995", 502), status(502)),
    "404": (came(b"heat+1995", 404), status(404)),
    "204": (came(b"", 204), status(204)),
    "time-out": (
        came(status=0, error=TIMED_OUT),
        ("time-out", 0, f"{TOO_LATE}: Request timeout to {HOST} after 600 ms"),
    ),
    "refused": (
        came(status=0, error=REFUSED),
        ("refused", 0, f"java.net.ConnectException: Connection refused: {HOST}"),
    ),
    "cut": (
        came(status=0, error=f"{CUT}: closed after 12 bytes"),
        ("cut", 0, "java.io.IOException: closed after 12 bytes"),
    ),
}


@pytest.mark.parametrize(("answer", "verdict"), FAILURES.values(), ids=FAILURES.keys())
def test_everything_else_fails_as_in_the_scenario(answer, verdict):
    """Each failure has its kind, and the text that the real stream has."""
    assert judge(answer, CATALOGUE, HOST) == Verdict(*verdict, [])


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        pytest.param(came(status=400), True, id="400"),
        pytest.param(came(status=404), True, id="404"),
        pytest.param(came(b"heat+1995", 200), False, id="200"),
        pytest.param(came(status=500), False, id="500"),
        pytest.param(came(status=0, error=TIMED_OUT), False, id="time-out"),
    ],
)
def test_a_malformed_request_must_be_refused(answer, is_right):
    """A list for an id that is none is as wrong as a broken server."""
    assert is_well_refused(answer) == is_right


class Lines(Stream):
    """A stream that keeps what it is sent."""

    n_dropped = 0

    def __init__(self):
        self.n_sent, self.lines = 0, []

    def send(self, lines):
        self.n_sent += len(lines)
        self.lines += lines

    def close(self):
        pass


@pytest.mark.parametrize("edition", EDITIONS)
def test_good_and_failed_answers_are_sound_lines_of_every_edition(edition):
    """Whatever a server sends, the line of it is one line that the strict patterns take."""
    world, lines = make_world(20, 40, 3), Lines()
    names = {name.encode(): row for row, name in enumerate(world.items.ids)}
    clock = Clock(world.n_days * 86_400, 60)
    teller = Teller(world, EDITIONS[edition], lines, clock)
    bodies = [",".join(world.items.ids[:20]).encode(), b"", b"x\ny, z\r\n", b"caf\xe9", b"\0" * 300]
    for second, body in enumerate(bodies):
        verdict = judge(came(body), names, HOST)
        teller.answer(clock.second(second), 7, HOST, verdict, 12.3)
    teller.tell(10, 0)
    answers = [line for line in lines.lines if b"recommendation request" in line]
    assert len(answers) == len(bodies)
    assert [line for line in lines.lines if not is_sound(line)] == []
    between = EDITIONS[edition].between_items.join(world.items.ids[:20]).encode()
    assert answers[0].split(b"result: ")[1].startswith(between)
