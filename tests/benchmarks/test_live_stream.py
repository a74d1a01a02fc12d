"""Streams deliver every line once and in order, and report dropped lines."""

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


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def consumed(bootstrap, topic, n_lines):
    """Return the first lines of a topic, read by another client."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "test", "auto.offset.reset": "earliest"}
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    lines: list[bytes | None] = []
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
    """The topic has the name of the team; an empty line is a message too."""
    stream = KafkaStream(brokers.bootstrap, "7")
    for begin in range(0, len(LINES), 300):
        stream.send(LINES[begin : begin + 300])
    stream.send([b""])
    stream.send([])
    stream.close()
    assert consumed(brokers.bootstrap, "movielog7", len(LINES) + 1) == [*LINES, b""]
    assert (stream.n_sent, stream.n_dropped, stream.n_waiting) == (len(LINES) + 1, 0, 0)


def test_lines_wait_while_the_broker_is_suspended_and_arrive_afterwards(brokers):
    """No line is lost or duplicated, and `send` does not block."""
    stream = KafkaStream(brokers.bootstrap, "silent")
    stream.send(LINES[:500])
    wait_until(lambda: not stream.n_waiting)
    brokers.suspend()
    try:
        stream.send(LINES[500:])
        assert stream.n_waiting == len(LINES) - 500
    finally:
        brokers.resume()
    stream.close()
    assert consumed(brokers.bootstrap, stream.topic, len(LINES)) == LINES


def test_lines_beyond_the_buffer_are_dropped_and_counted(brokers):
    """The others are delivered; `close` names the dropped lines."""
    stream = KafkaStream(brokers.bootstrap, "small", buffer_lines=100)
    brokers.suspend()
    try:
        stream.send(LINES)
        assert (stream.n_waiting, stream.n_dropped) == (100, len(LINES) - 100)
    finally:
        brokers.resume()
    message = f"movielogsmall: 1,900 lines dropped, first {LINES[100].decode()!r}"
    with pytest.raises(StreamError, match=re.escape(message)):
        stream.close()
    assert consumed(brokers.bootstrap, stream.topic, 100) == LINES[:100]


def test_unreachable_brokers_do_not_block_the_writer(capfd):
    """One message is printed; `close` ends in time and reports the dropped lines."""
    stream = KafkaStream("127.0.0.1:1", close_seconds=0)
    stream.send(LINES[:2])

    def is_printed():
        stream.send([])
        return "127.0.0.1:1 cannot be reached; lines wait" in capfd.readouterr().err

    wait_until(is_printed)
    stream.send(LINES[2:3])
    with pytest.raises(StreamError, match="3 lines dropped"):
        stream.close()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("address", ["", "kafka", "kafka:port", "kafka:9092;other:9092"])
def test_a_malformed_address_is_refused(address):
    message = "not a valid list of brokers; write host:port,host:port"
    with pytest.raises(StreamError, match=message):
        KafkaStream(address)


@pytest.mark.parametrize("is_stopped", [False, True], ids=["running", "stopped"])
def test_the_broker_ends_with_its_parent(is_stopped):
    """Also if the parent was killed, and also while the broker is suspended."""
    down = "brokers.suspend();" if is_stopped else ""
    code = (
        "from benchmarks.simulator.live.stream.brokers import Brokers; brokers = Brokers();"
        f"{down} print(brokers._process.pid, flush=True); input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
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
        wait_until(is_gone)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise


def test_a_followed_file_grows_by_whole_lines(tmp_path):
    """A follower never reads a partial line."""
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
def test_an_existing_file_is_continued(tmp_path, line_end, left):
    """A partial line of a killed writer is ended."""
    path = tmp_path / "events.log"
    path.write_bytes(left)
    stream = FileStream(path, line_end=line_end)
    stream.send([b"one", b"two"])
    stream.close()
    before = left if left.endswith(b"\n") else left + line_end
    assert path.read_bytes() == before + b"one" + line_end + b"two" + line_end


def test_a_file_is_rotated_by_size_without_cutting_lines(tmp_path):
    """Names of pieces are in order of time; a line longer than a piece has its own."""
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
    """The disk does not fill up, also when another writer continues the file."""
    for _ in range(2):
        stream = FileStream(tmp_path / "events.log", piece_bytes=1000, n_kept=3)
        stream.send(LINES[:100])
        stream.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 4
    assert int(names[2].split(".")[1]) == 10  # numbers continue
    kept = b"".join((tmp_path / name).read_bytes() for name in names)
    assert kept == b"".join(line + b"\n" for line in LINES[:100])[-len(kept) :]


def test_lines_wait_while_the_disk_is_full_and_are_never_partial(tmp_path):
    """A file size limit of the process stands for the full disk; it accepts partial writes."""
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
    for more, n_dropped in (("room", 8), ("none", 18)):
        (tmp_path / "events.log").unlink(missing_ok=True)
        ended = subprocess.run(
            [sys.executable, "-c", code, more], capture_output=True, text=True, check=False
        )
        assert f"events.log: {n_dropped} lines dropped" in ended.stderr
        lines = (tmp_path / "events.log").read_text().splitlines()
        assert lines == [f"line {number:04d}" for number in range(20 - n_dropped)]


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(StreamError, match=r"cannot be written: Is a directory; choose another"):
        FileStream(tmp_path)
