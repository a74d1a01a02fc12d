"""What is outside of the service: a Kafka broker and the APIs, each with an outage.

    users ─ lines ─► broker ─► collector         killed or suspended, and started again
    world ─────────► APIs ─► job `fetch`         answer 503 meanwhile

The broker is a real one where `.ci/campaigns kafka` has fetched it, else the local one.
A light rehearsal has neither: lines are appended to a file.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from batch.arrays import Rows
from benchmarks.harness.kafka_broker import KafkaBroker, find_jars
from benchmarks.scenarios.rehearsal.settings import LIVE, Addresses
from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.live.apis.process import Apis
from benchmarks.simulator.live.stream.file import FileStream
from benchmarks.simulator.live.stream.protocol import Stream
from benchmarks.simulator.world.world import World

_PIECE_BYTES: Final = 128 << 20  # of the stream's file: it must not fill the disk
_N_PIECES: Final = 8
_APIS_PER_SECOND: Final = 300.0  # more than the service sends
_BUFFER_LINES: Final = 4_000_000  # an outage of half a minute at 2,000 requests a second
_CLOSE_SECONDS: Final = 120.0  # for lines that wait, on a busy machine


class Outage(NamedTuple):
    """Functions that begin and end an outage."""

    begin: Callable[[], None]
    end: Callable[[], None]


class Broker(NamedTuple):
    """A running broker.

    Attributes:
        bootstrap: Address of the broker, `host:port`.
        outage: Outage of the broker.
    """

    bootstrap: str
    outage: Outage


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The running parts outside of the service.

    Attributes:
        stream: Stream for the lines of events.
        addresses: Addresses for the configuration of the service.
        kafka, apis: Outages; None: there is no such part.
        clock: Observer of the simulation that sets the clock of the APIs; None: no APIs.
    """

    stream: Stream
    addresses: Addresses
    kafka: Outage | None = None
    apis: Outage | None = None
    clock: "ApiClock | None" = None


class ApiClock:
    """The APIs' part in the simulation: their clock, and the users who join.

    Args:
        apis: Running APIs.
    """

    def __init__(self, apis: Apis) -> None:
        self._apis = apis

    def tick(self, second: int) -> None:
        """Set the clock to a second after the history's beginning."""
        self._apis.set_clock(second)

    def joined(self, user_rows: Rows, second: int) -> None:
        """Add users who have opened an account at that second."""
        self._apis.add_users(user_rows, second)


@contextlib.contextmanager
def surroundings(world: World, folder: Path, *, is_light: bool) -> Iterator[Surroundings]:
    """Run what is outside of the service as long as the `with` lasts.

    Args:
        world: World with the users who join during the rehearsal.
        folder: Folder of the rehearsal.
        is_light: Whether a file takes the lines, and there are no APIs.
    """
    if is_light:
        stream = FileStream(folder / LIVE, piece_bytes=_PIECE_BYTES, n_kept=_N_PIECES)
        yield Surroundings(stream, Addresses())
        return
    # Imports what a light rehearsal does without: aiohttp, confluent-kafka.
    from benchmarks.simulator.live.apis.server import ApiOptions
    from benchmarks.simulator.live.stream.kafka import KafkaStream

    options = ApiOptions(per_second=_APIS_PER_SECOND, burst=int(_APIS_PER_SECOND))
    with open_broker(folder / "broker") as broker, Apis(world, options) as apis:
        apis.set_clock(world.n_days * DAY_SECONDS)
        lines = KafkaStream(
            broker.bootstrap, buffer_lines=_BUFFER_LINES, close_seconds=_CLOSE_SECONDS
        )
        url = f"http://{apis.host}:{apis.port}"
        yield Surroundings(
            lines, Addresses(broker.bootstrap, lines.topic, url), broker.outage,
            api_outage(apis), ApiClock(apis),
        )  # fmt: skip


@contextlib.contextmanager
def open_broker(folder: Path) -> Iterator[Broker]:
    """Run a broker as long as the `with` lasts.

    Args:
        folder: Directory for the data of a real broker, which is made.
    """
    from benchmarks.simulator.live.stream.brokers import Brokers

    if libs := find_jars():
        with KafkaBroker(libs, folder) as real:
            yield Broker(real.bootstrap, Outage(real.kill, real.start))
    else:
        with Brokers() as local:
            yield Broker(local.bootstrap, Outage(local.suspend, local.resume))


def api_outage(apis: Apis) -> Outage:
    """Return the outage of running APIs, in which they answer 503."""
    return Outage(lambda: apis.set_outage("503"), lambda: apis.set_outage(""))
