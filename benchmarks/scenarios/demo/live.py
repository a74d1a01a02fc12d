"""The live part: users send requests while lists and a refresh follow the events that they make.

    users ─ requests ─► server ◄── snapshot ── refresh ◄────────┐
      │                   ▲ fresh lists                         │ partitions
      └──── events ─► events.log ─► collector and speed layer ──┘

The refresh is started half-way. The figures are drawn from the events as they come.
"""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.scenarios.demo.commands import (
    CONFIG,
    EVENTS,
    LIVE,
    SETTINGS,
    STORE,
    STREAM,
    collect,
    start,
    traffic,
)
from benchmarks.scenarios.demo.publish import Publish
from benchmarks.scenarios.demo.server import DemoServer
from benchmarks.scenarios.demo.terminal import Picture
from benchmarks.scenarios.demo.traffic import Traffic
from store.fresh import read_summary

_OUTPUT: Final = LIVE / "simulator.log"
_STREAM_LOG: Final = LIVE / "stream.log"
_LOOK_SECONDS: Final = 0.2
_BAR_CHARACTERS: Final = 24


def run_live(seconds: float, server: DemoServer, picture: Picture) -> None:
    """Send traffic, publish half-way, and print the simulator's report.

    Args:
        seconds: Duration of the traffic; it lasts until the new snapshot is served.
        server: Running server.
        picture: Where the figures are drawn.

    Raises:
        SystemExit: A request failed, or no new snapshot was served.
    """
    LIVE.mkdir(parents=True, exist_ok=True)
    STREAM.unlink(missing_ok=True)
    shutil.rmtree(EVENTS, ignore_errors=True)
    CONFIG.write_text(SETTINGS)
    picture.print("\n== 4. Traffic: users request lists, watch films of them, and make new events")
    with (
        _stream() as stream,
        _users(f"http://{server.address.host}:{server.address.port}") as users,
    ):
        _watch(seconds, users, Publish(server), picture)
        picture.finish()
        if stream.poll() is not None:
            raise SystemExit(f"the collector has ended early:\n{_STREAM_LOG.read_text()}")
        users.send_signal(signal.SIGINT)  # it ends with its report
        status = users.wait()
    picture.print("\n== 6. The simulator's report")
    print(_OUTPUT.read_text(), end="", flush=True)
    if status:
        raise SystemExit("not every request was answered correctly")


def _watch(
    seconds: float, users: subprocess.Popen[bytes], publish: Publish, picture: Picture
) -> None:
    """Draw the figures until the time has passed and the new snapshot is served."""
    figures, began = Traffic(STREAM), 0.0
    while users.poll() is None:
        figures.read()
        if figures.n_requests and not began:
            began = time.monotonic()
        elapsed = time.monotonic() - began if began else 0.0
        if elapsed >= seconds / 2 and not publish.has_begun:
            picture.print("\n== 5. Half-way: the next refresh, of the history and the new events")
            publish.begin()
        publish.update()
        if figures.n_requests:
            n_fresh, age = _fresh_lists()
            lines = [
                *_lines(figures, elapsed, seconds),
                f"  fresh lists    {n_fresh:<10}{age}",
                f"  publish        {publish.state}",
            ]
            fresh = f"fresh lists: {n_fresh} {age}".rstrip()
            picture.draw(lines, f"{_line(figures, elapsed)}; {fresh}; publish: {publish.state}")
        if elapsed >= seconds and publish.is_served:
            return
        time.sleep(_LOOK_SECONDS)
    raise SystemExit(f"the simulator has ended early:\n{_OUTPUT.read_text()}")


@contextlib.contextmanager
def _stream() -> Iterator[subprocess.Popen[bytes]]:
    command = collect()
    print(f"$ python -m {' '.join(command)}", flush=True)
    with _STREAM_LOG.open("w") as log:
        stream = start(command, log)
    try:
        yield stream
    finally:
        stream.terminate()
        stream.wait()


@contextlib.contextmanager
def _users(url: str) -> Iterator[subprocess.Popen[bytes]]:
    command = traffic(url)
    print(f"$ python -m {' '.join(command)}", flush=True)
    with _OUTPUT.open("w") as output:
        users = start(command, output)
    try:
        yield users
    finally:
        users.kill()
        users.wait()


def _fresh_lists() -> tuple[str, str]:
    """Return how many lists are fresh, and the age of the newest."""
    lists = read_summary(STORE)
    if not lists.n_lists:
        return "none yet", ""
    age = max(time.time() - lists.newest_at, 0.0)
    return f"{lists.n_lists:,}", f"the newest {age:.1f} s old"


def _lines(figures: Traffic, elapsed: float, seconds: float) -> list[str]:
    n_done = round(_BAR_CHARACTERS * min(elapsed / seconds, 1.0))
    bar = "█" * n_done + "░" * (_BAR_CHARACTERS - n_done)
    return [
        f"  traffic        {bar}  {elapsed:.0f} of {seconds:.0f} s",
        f"  requests       {figures.n_requests:<10,}{_rate(figures, elapsed):,.0f} a second",
        f"  success        {_percent(figures.success):<10}status 200 within 600 ms",
        f"  latency        p50 {figures.percentile(0.5)} ms, p99 {figures.percentile(0.99)} ms",
        f"  click-through  {_percent(figures.click_through):<10}requests followed by a view "
        "from the list",
    ]


def _line(figures: Traffic, elapsed: float) -> str:
    return (
        f"  {elapsed:3.0f} s  {figures.n_requests:,} requests, "
        f"success {_percent(figures.success)}, "
        f"p50 {figures.percentile(0.5)} ms, p99 {figures.percentile(0.99)} ms, "
        f"click-through {_percent(figures.click_through)}"
    )


def _rate(figures: Traffic, elapsed: float) -> float:
    return figures.n_requests / elapsed if elapsed > 1 else 0.0


def _percent(share: float) -> str:
    """Return a share in percent that says 100 % only where it is all of them."""
    return "100 %" if share == 1 else f"{min(100 * share, 99.9):.1f} %"
