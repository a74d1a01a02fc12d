"""Drills of what is outside of the service: Kafka, the APIs, and accounts that flood an item."""

import contextlib
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.drill.answers import holds_item
from benchmarks.drill.demo import (
    CHECK,
    LATER,
    N_DAYS,
    Impact,
    refresh_sections,
    refreshed,
    service,
    serving,
)
from benchmarks.drill.timeline import Kind, Timeline
from benchmarks.scenarios.rehearsal.events import n_collected
from benchmarks.scenarios.rehearsal.outside import api_outage, open_broker
from benchmarks.scenarios.rehearsal.settings import EVENTS
from benchmarks.simulator.clock import DAY_SECONDS, FIRST_DAY
from benchmarks.simulator.live.apis.process import Apis
from benchmarks.simulator.live.stream.kafka import KafkaStream
from benchmarks.simulator.live.stream.protocol import Stream
from benchmarks.simulator.live.stream.times import format_time
from benchmarks.simulator.world.world import World

_MAX_AGE_SECONDS: Final = 3.0  # of the last flush, before the job `events` fails
_SEND_SECONDS: Final = 0.1  # between two lines
_CLOSE_SECONDS: Final = 60.0
_N_ACCOUNTS: Final = 400
_FIRST_ACCOUNT: Final = 900_000
_FLOOD_HOURS: Final = 2
_LATER_DAYS: Final = 2


def kafka_gone(folder: Path, timeline: Timeline) -> Impact:
    """Kill the Kafka broker while events come: they must wait, and all arrive."""
    world = refreshed(folder)
    command = [sys.executable, "-m", "benchmarks.drill.check", str(EVENTS), str(_MAX_AGE_SECONDS)]
    with open_broker(folder / "broker") as broker:
        lines = KafkaStream(broker.bootstrap, close_seconds=_CLOSE_SECONDS)
        sections = {
            **refresh_sections(),
            **_collector(topic=lines.topic),
            "stream.kafka": {"bootstrap.servers": broker.bootstrap},
            "cron.jobs.events": {**CHECK, "command": command},
        }
        with serving(folder, timeline, sections) as demo, service(folder, "stream", "collect"):
            with _sending(lines, world):
                demo.wait_until(lambda: n_collected(folder) > 0, "no event was collected")
                demo.fail("the Kafka broker is gone")
                broker.outage.begin()
                demo.wait_for(Kind.ALARM, "message: job events: ")
                demo.act("the broker is started again")
                broker.outage.end()
                demo.wait_for(Kind.RECOVERY, "message: job events over: ")
            n_sent = lines.n_sent
            demo.wait_until(lambda: n_collected(folder) >= n_sent, "events are missing")
            assert n_collected(folder) == n_sent
            timeline.record(Kind.RECOVERY, f"all {n_sent:,} events were collected, each once")
            return demo.finish()


def api_gone(folder: Path, timeline: Timeline) -> Impact:
    """Let the user and movie APIs answer 503: the lists must stay."""
    from benchmarks.simulator.live.apis.server import ApiOptions  # needs aiohttp, others do not

    world = refreshed(folder)
    with Apis(world, ApiOptions()) as apis:
        apis.set_clock(world.n_days * DAY_SECONDS)
        url = f"http://{apis.host}:{apis.port}"
        fetch = {"user_url": f"{url}/user", "movie_url": f"{url}/movie", "path": "api"}
        sections = {
            **refresh_sections(),
            "fetch": {**fetch, "retries": 0, "max_age_days": 0.0},
            "cron.jobs.fetch": CHECK,
        }
        with serving(folder, timeline, sections) as demo:
            demo.wait_until((folder / "api" / "users.parquet").exists, "nothing was fetched")
            outage = api_outage(apis)
            demo.fail("the user and movie APIs answer 503")
            outage.begin()
            demo.wait_for(Kind.ALARM, "message: job fetch: ")
            demo.act("the owner of the APIs starts them again")
            outage.end()
            demo.wait_for(Kind.RECOVERY, "message: job fetch over: ")
            return demo.finish()


def flood(folder: Path, timeline: Timeline) -> Impact:
    """Let new accounts watch one item again and again: it must not get into the lists."""
    world = refreshed(folder, _LATER_DAYS)
    log = folder / "live.log"
    log.touch()
    sections = {
        **refresh_sections(),
        **_collector(files=[log.name]),
        "online": {"path": "online"},
        "watch": {"folder": "watch"},
        "cron.jobs.watch": CHECK,
    }
    item = world.items.ids[int(world.items.popularity.argmin())]
    with serving(folder, timeline, sections) as demo, service(folder, "stream", "collect"):
        demo.fail(f"{_N_ACCOUNTS} new accounts watch {item} within {_FLOOD_HOURS} hours")
        with log.open("ab") as file:
            file.write(b"".join(_flood_lines(item)))
        demo.wait_for(Kind.ALARM, "message: job watch: ")
        demo.command("store", "takedown", item, "--why", "a flood of new accounts")
        users = range(100)
        demo.wait_until(
            lambda: not any(holds_item(demo.server.address, user, item) for user in users),
            "the item is still shown",
        )
        timeline.record(Kind.RECOVERY, f"none of {len(users)} answers in a row holds it")
        demo.act(f"{_LATER_DAYS} days pass by the log's clock")
        with log.open("ab") as file:
            file.writelines(day.read_bytes() for day in sorted((folder / LATER).iterdir()))
        demo.wait_for(Kind.RECOVERY, "message: job watch over: ")
        return demo.finish()


def _collector(**source: Any) -> Mapping[str, Mapping[str, Any]]:
    """Return the sections of a collector that adds to the history."""
    stream = {"events": str(EVENTS), "metrics_port": 0, "flush_seconds": 0.5}
    return {"stream": {**stream, **source}}


@contextlib.contextmanager
def _sending(stream: Stream, world: World) -> Iterator[None]:
    """Send a view every tenth of a second; on leaving, deliver those that wait."""
    is_over = threading.Event()
    rng = np.random.default_rng(world.seed)

    def send() -> None:
        while not is_over.wait(_SEND_SECONDS):
            item = world.items.ids[int(rng.integers(len(world.items)))]
            stream.send([_view(int(rng.choice(world.users.ids)), item, stream.n_sent)])

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        stream.close()


def _flood_lines(item: str) -> Iterator[bytes]:
    step = _FLOOD_HOURS * 3600 // _N_ACCOUNTS
    for number in range(_N_ACCOUNTS):
        yield _view(_FIRST_ACCOUNT + number, item, number * step) + b"\n"


def _view(user: int, item: str, second: int) -> bytes:
    """Return a line of a view that begins so many seconds after the week of the history."""
    begin = int(FIRST_DAY.astype(np.int64)) + N_DAYS * DAY_SECONDS
    return b"%s,%d,GET /data/m/%s/0.mpg" % (format_time(begin + second), user, item.encode())
