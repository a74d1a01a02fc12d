"""What a live run has around it, by its command line: the stream, the APIs, and trouble."""

import argparse
import contextlib
from pathlib import Path
from typing import Self

from benchmarks.simulator.arguments import share
from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.editions import EDITIONS
from benchmarks.simulator.live.api_server import ApiOptions
from benchmarks.simulator.live.apis import Apis
from benchmarks.simulator.live.arguments import port, positive
from benchmarks.simulator.live.disturbance import Disturbance
from benchmarks.simulator.live.file_stream import FileStream
from benchmarks.simulator.live.kafka_stream import KafkaStream
from benchmarks.simulator.live.stream import Stream
from benchmarks.simulator.world import World


def add_outside(verb: argparse.ArgumentParser) -> None:
    """Add the arguments of the stream, the APIs and trouble."""
    sink = verb.add_mutually_exclusive_group()
    sink.add_argument("--stream", type=Path, metavar="FILE", help="append the events to it")
    sink.add_argument("--kafka", metavar="HOST:PORT", help="write the events to a topic")
    verb.add_argument("--team", default="1", metavar="N", help="topic movielogN, default: 1")
    verb.add_argument(
        "--apis", type=port, metavar="PORT", help="serve /user/<id> and /movie/<id>; 0: a free port"
    )
    verb.add_argument(
        "--odd", type=share, default=0.0, metavar="SHARE",
        help="of the APIs' fields that are missing or of a wrong type, default: 0",
    )  # fmt: skip
    verb.add_argument(
        "--api-rate", type=positive, default=50.0, metavar="N",
        help="requests a second that the APIs take of a client, default: 50",
    )  # fmt: skip


class Outside:
    """All of it; leaving the `with` closes what was opened.

    Args:
        given: The command line.

    Attributes:
        stream: Takes the lines; None: nobody wants them.

    Raises:
        StreamError: The stream cannot be opened.
    """

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._held = contextlib.ExitStack()
        self._apis: Apis | None = None
        self._disturbance: Disturbance | None = None
        self._begin = given.days * DAY_SECONDS
        self.stream = _opened(given)

    def __enter__(self) -> Self:
        if self.stream:
            self._held.callback(self.stream.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def disturbance(self, world: World) -> Disturbance | None:
        """Return the trouble that was asked for; None where there is none."""
        return self._disturbance

    def open_apis(self, world: World) -> None:
        """Start the APIs, if they were asked for, and say where they are.

        Raises:
            ApiError: They cannot be started.
        """
        given = self._given
        if given.apis is None:
            return
        options = ApiOptions(
            port=given.apis, per_second=given.api_rate, odd_share=given.odd,
            edition=EDITIONS[given.edition],
        )  # fmt: skip
        self._apis = Apis(world, options)
        self._held.callback(self._apis.close)
        print(f"APIs at http://{self._apis.host}:{self._apis.port}", flush=True)

    def tick(self, seconds: float) -> None:
        """Tell the APIs how late it is, and how they fail."""
        if self._apis:
            self._apis.tell(self._begin + seconds * self._given.speed)
            self._apis.set_outage(self._disturbance.api_outage if self._disturbance else "")


def _opened(given: argparse.Namespace) -> Stream | None:
    if given.stream:
        return FileStream(given.stream)
    return KafkaStream(given.kafka, given.team) if given.kafka else None
