"""The demo's figures and its picture."""

import io

from benchmarks.scenarios.demo.terminal import Picture
from benchmarks.scenarios.demo.traffic import Traffic

_LIST = b"recommendation request 127.0.0.1:8080, status %d, result: %s, %d ms\n"


class Terminal(io.StringIO):
    """An output that says it is a terminal."""

    def isatty(self):
        return True


def request(user, status=200, items=b"a+1990, b+1991", milliseconds=3):
    """Return the stream's line of one request."""
    return b"2026-01-08T00:00:04.358,%s," % user + _LIST % (status, items, milliseconds)


def view(user, item, minute=0):
    """Return the stream's line of one minute of a view."""
    return b"2026-01-08T00:00:09,%s,GET /data/m/%s/%d.mpg\n" % (user, item, minute)


def traffic_of(path, *lines):
    """Return the figures of a stream with these lines."""
    path.write_bytes(b"".join(lines))
    traffic = Traffic(path)
    traffic.read()
    return traffic


def test_view_of_a_listed_item_is_a_click(tmp_path):
    """One click a list, whatever else is watched; other items and other users count for nothing."""
    traffic = traffic_of(
        tmp_path / "events.log",
        request(b"1"), view(b"1", b"c+1992"), view(b"1", b"b+1991"), view(b"1", b"a+1990"),
        request(b"2"), view(b"3", b"a+1990"), view(b"2", b"a+1990", minute=1),
    )  # fmt: skip
    assert traffic.n_requests == 2
    assert traffic.n_clicks == 1
    assert traffic.click_through == 0.5


def test_late_and_failed_requests_do_not_succeed(tmp_path):
    """Success is status 200 within 600 ms."""
    lines = [request(b"1"), request(b"2", milliseconds=601), request(b"3", status=503)]
    traffic = traffic_of(tmp_path / "events.log", *lines, request(b"4", milliseconds=600))
    assert traffic.n_succeeded == 2
    assert traffic.success == 0.5
    assert (traffic.percentile(0.5), traffic.percentile(0.99)) == (3, 601)


def test_half_written_line_is_read_when_it_is_whole(tmp_path):
    """The stream grows while it is read."""
    stream = tmp_path / "events.log"
    traffic = Traffic(stream)
    traffic.read()
    assert traffic.n_lines == 0
    line = request(b"1")
    stream.write_bytes(line + line[:40])
    traffic.read()
    assert traffic.n_requests == 1
    stream.write_bytes(line + line)
    traffic.read()
    assert traffic.n_requests == traffic.n_lines == 2


def test_picture_is_redrawn_in_place_on_a_terminal():
    """Each picture erases the lines of the one before, and what is printed stands above."""
    out = Terminal()
    picture = Picture(out)
    picture.draw(["one", "two"], "plain")
    picture.draw(["three", "four"], "plain")
    picture.print("above")
    erase = "\x1b[2F\x1b[J"
    assert out.getvalue() == f"one\ntwo\n{erase}three\nfour\n{erase}above\nthree\nfour\n"


def test_finished_picture_stays():
    """What follows is printed below it."""
    out = Terminal()
    picture = Picture(out)
    picture.draw(["one"], "plain")
    picture.finish()
    picture.print("below")
    assert out.getvalue() == "one\nbelow\n"


def test_plain_output_gets_a_line_at_intervals_and_the_last_one():
    """Without a terminal no escape sequence is written."""
    out = io.StringIO()
    picture = Picture(out, plain_seconds=3600)
    for number in range(3):
        picture.draw(["picture"], f"line {number}")
    picture.finish()
    assert out.getvalue() == "line 0\nline 2\n"
