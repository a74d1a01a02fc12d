"""Streams: what is sent arrives, once and in order, and what is lost is said."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from benchmarks.simulator.live.errors import StreamError
from benchmarks.simulator.live.stream.brokers import Brokers
from benchmarks.simulator.live.stream.file import FileStream
from benchmarks.simulator.live.stream.kafka import KafkaStream

PATIENCE_SECONDS = 30
LINES = [b"2026-01-01T12:23:12,%d,GET /data/m/heat+1995/16.mpg" % user for user in range(2000)]


def eventually(is_so):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def consumed(bootstrap, topic, n_lines):
    """Return the first lines of a topic as another client reads them."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "test", "auto.offset.reset": "earliest"}
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    lines = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(lines) < n_lines and time.monotonic() < deadline:
        messages = consumer.consume(n_lines, 0.1)
        assert not [message.error() for message in messages if message.error()]
        assert {message.key() for message in messages} <= {None}
        lines += [message.value() for message in messages]
    consumer.close()
    return lines


@pytest.fixture(scope="module")
def brokers():
    with Brokers() as brokers:
        yield brokers


def test_a_consumer_gets_every_line_as_a_message_in_order(brokers):
    """The topic bears the team; an empty line is a message too."""
    stream = KafkaStream(brokers.bootstrap, "7")
    for begin in range(0, len(LINES), 300):
        stream.send(LINES[begin : begin + 300])
    stream.send([b""])
    stream.send([])
    stream.close()
    assert consumed(brokers.bootstrap, "movielog7", len(LINES) + 1) == [*LINES, b""]
    assert (stream.n_sent, stream.n_dropped, stream.n_waiting) == (len(LINES) + 1, 0, 0)


def test_lines_wait_while_the_brokers_are_silent_and_arrive_afterwards(brokers):
    """None is lost, none comes twice, and `send` does not wait."""
    stream = KafkaStream(brokers.bootstrap, "silent")
    stream.send(LINES[:500])
    eventually(lambda: not stream.n_waiting)
    brokers.go_down()
    try:
        stream.send(LINES[500:])
        assert stream.n_waiting == len(LINES) - 500
    finally:
        brokers.come_back()
    stream.close()
    assert consumed(brokers.bootstrap, stream.topic, len(LINES)) == LINES


def test_what_the_buffer_cannot_hold_is_dropped_and_counted(brokers):
    """The rest is delivered; closing names what was lost."""
    stream = KafkaStream(brokers.bootstrap, "small", buffer_lines=100)
    brokers.go_down()
    try:
        stream.send(LINES)
        assert (stream.n_waiting, stream.n_dropped) == (100, len(LINES) - 100)
    finally:
        brokers.come_back()
    message = f"movielogsmall: 1,900 lines are lost, first {LINES[100].decode()!r}"
    with pytest.raises(StreamError, match=re.escape(message)):
        stream.close()
    assert consumed(brokers.bootstrap, stream.topic, 100) == LINES[:100]


def test_brokers_that_were_never_there_do_not_stop_the_writer(capfd):
    """It is said once; closing ends in time, and says what was lost."""
    stream = KafkaStream("127.0.0.1:1", close_seconds=0)
    stream.send(LINES[:2])

    def is_said():
        stream.send([])
        return "127.0.0.1:1 cannot be reached; lines wait" in capfd.readouterr().err

    eventually(is_said)
    stream.send(LINES[2:3])
    with pytest.raises(StreamError, match="3 lines are lost"):
        stream.close()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("address", ["", "kafka", "kafka:port", "kafka:9092;other:9092"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(StreamError, match=r"no brokers' addresses; give host:port,host:port"):
        KafkaStream(address)


@pytest.mark.parametrize("is_stopped", [False, True], ids=["running", "stopped"])
def test_brokers_end_with_whoever_started_them(is_stopped):
    """Also if that was killed, and also while they are stopped."""
    down = "brokers.go_down();" if is_stopped else ""
    code = (
        "from benchmarks.simulator.live.stream.brokers import Brokers; brokers = Brokers();"
        f"{down} print(brokers._process.pid, flush=True); input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()

    def is_gone():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  may vanish meanwhile
            return stat.read().rpartition(")")[2].split()[0] == "Z"

    try:
        eventually(is_gone)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise


def test_a_file_grows_by_whole_lines_while_somebody_follows_it(tmp_path):
    """What stands there is never a part of a line."""
    path = tmp_path / "made" / "events.log"
    stream = FileStream(path)
    with path.open("rb") as follower:
        for begin in range(0, len(LINES), 700):
            part = LINES[begin : begin + 700]
            stream.send(part)
            assert follower.read() == b"".join(line + b"\n" for line in part)
        stream.send([])
        stream.close()
        assert follower.read() == b""
    assert (stream.n_sent, stream.n_dropped) == (len(LINES), 0)


@pytest.mark.parametrize(("line_end", "left"), [(b"\n", b"half a li"), (b"\r\n", b"a line\n")])
def test_a_file_that_is_there_is_continued(tmp_path, line_end, left):
    """Half a line that a killed writer has left stays alone."""
    path = tmp_path / "events.log"
    path.write_bytes(left)
    stream = FileStream(path, line_end=line_end)
    stream.send([b"one", b"two"])
    stream.close()
    before = left if left.endswith(b"\n") else left + line_end
    assert path.read_bytes() == before + b"one" + line_end + b"two" + line_end


def test_a_file_is_put_aside_at_its_size_and_all_lines_are_in_one_piece(tmp_path):
    """By name the pieces are in order of time; a line longer than a piece has its own."""
    path = tmp_path / "events.log"
    stream = FileStream(path, piece_bytes=1000)
    lines = [*LINES[:50], b"x" * 3000, *LINES[50:200]]
    for begin in range(0, len(lines), 37):
        stream.send(lines[begin : begin + 37])
    stream.close()
    pieces = sorted(tmp_path.iterdir())
    assert pieces[0].name == "events.000001.log"
    assert pieces[-1] == path
    contents = [piece.read_bytes() for piece in pieces]
    assert all(content.endswith(b"\n") for content in contents)
    assert b"".join(contents) == b"".join(line + b"\n" for line in lines)
    assert [len(content) for content in contents if len(content) > 1000] == [3001]


def test_only_the_newest_pieces_are_kept(tmp_path):
    """A disk does not fill up, whoever continues the file."""
    for _ in range(2):
        stream = FileStream(tmp_path / "events.log", piece_bytes=1000, n_kept=3)
        stream.send(LINES[:100])
        stream.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 4
    assert int(names[2].split(".")[1]) == 10  # it counts on
    kept = b"".join((tmp_path / name).read_bytes() for name in names)
    assert kept == b"".join(line + b"\n" for line in LINES[:100])[-len(kept) :]


def test_lines_wait_while_the_disk_is_full_and_never_stand_there_by_halves(tmp_path):
    """The disk's end is a limit of the process, which lets a part of the last write through."""
    code = f"""
import resource, signal, sys
from pathlib import Path
from benchmarks.simulator.live.stream.file import FileStream
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path({str(tmp_path / "events.log")!r})
stream = FileStream(path, buffer_bytes=100)
resource.setrlimit(resource.RLIMIT_FSIZE, (25, resource.RLIM_INFINITY))
for number in range(20):
    stream.send([b"line %04d" % number])
assert path.read_bytes() == b"line 0000\\nline 0001\\n", path.read_bytes()
assert stream.n_dropped == 8, stream.n_dropped
if sys.argv[1] == "room":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
stream.close()
"""
    for more, n_lost in (("room", 8), ("none", 18)):
        (tmp_path / "events.log").unlink(missing_ok=True)
        ended = subprocess.run(
            [sys.executable, "-c", code, more], capture_output=True, text=True, check=False
        )
        assert f"events.log: {n_lost} lines are lost" in ended.stderr
        lines = (tmp_path / "events.log").read_text().splitlines()
        assert lines == [f"line {number:04d}" for number in range(20 - n_lost)]


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(StreamError, match=r"cannot be written: Is a directory; choose another"):
        FileStream(tmp_path)
