"""What a live run has around it, by its command line: the stream, the APIs, and trouble."""

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Self

from benchmarks.simulator.arguments import share
from benchmarks.simulator.editions import EDITIONS
from benchmarks.simulator.items import Rows
from benchmarks.simulator.live.apis.process import Apis
from benchmarks.simulator.live.arguments import port, positive
from benchmarks.simulator.live.audience.disturbance import Disturbance
from benchmarks.simulator.live.stream.file import FileStream
from benchmarks.simulator.live.stream.protocol import Stream
from benchmarks.simulator.live.trouble.control import TroubleControl
from benchmarks.simulator.live.trouble.happenings import Trouble
from benchmarks.simulator.live.trouble.orders import argument
from benchmarks.simulator.live.trouble.stream import TroubledStream
from benchmarks.simulator.world import World

_OWN_BROKERS = "own"


def add_outside(verb: argparse.ArgumentParser) -> None:
    """Add the arguments of the stream, the APIs and trouble."""
    sink = verb.add_mutually_exclusive_group()
    sink.add_argument("--stream", type=Path, metavar="FILE", help="append the events to it")
    sink.add_argument(
        "--kafka", metavar="HOST:PORT",
        help=f"write the events to a topic; `{_OWN_BROKERS}`: brokers of our own, for a try",
    )  # fmt: skip
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
    verb.add_argument(
        "--trouble", type=argument, action="append", default=[], metavar="ORDER",
        help="as '30s traffic factor=10 for=20s'; may be given many times",
    )  # fmt: skip
    verb.add_argument(
        "--trouble-port", type=port, metavar="PORT",
        help="takes further orders at /trouble while it runs, and tells the kinds there are",
    )  # fmt: skip
    verb.add_argument("--truth", type=Path, metavar="FILE", help="what trouble was really made")


class Outside:
    """All of it; leaving the `with` closes what was opened.

    Args:
        given: The command line.

    Attributes:
        stream: Takes the lines; None: nobody wants them.
        trouble: What was ordered.
    """

    def __init__(self, given: argparse.Namespace) -> None:
        self.stream: Stream | None = None
        self.trouble: Disturbance | None = None
        self._given = given
        self._held = contextlib.ExitStack()
        self._apis: Apis | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def open(self, world: World) -> None:
        """Open what was asked for, and say where it is.

        Args:
            world: With everybody who is yet to come.

        Raises:
            LiveError: A part of it cannot be opened.
        """
        given = self._given
        trouble = Trouble(world, given.trouble)
        self.trouble = trouble
        if given.truth:
            self._held.callback(trouble.write, given.truth)
        if given.trouble_port is not None:
            control = self._held.enter_context(TroubleControl(trouble, given.trouble_port))
            _say(f"trouble at http://{control.host}:{control.port}/trouble")
        if given.apis is not None:
            from benchmarks.simulator.live.apis.server import ApiOptions  # only here: aiohttp

            options = ApiOptions(
                port=given.apis, per_second=given.api_rate, odd_share=given.odd,
                edition=EDITIONS[given.edition],
            )  # fmt: skip
            self._apis = self._held.enter_context(Apis(world, options))
            _say(f"APIs at http://{self._apis.host}:{self._apis.port}")
        self.stream = self._open_stream(world, trouble)
        if self.stream:
            self._held.callback(self.stream.close)

    def tick(self, second: int) -> None:
        """Tell the APIs how late it is, and how they fail.

        Args:
            second: After the history's beginning, by the simulated clock.
        """
        if self._apis:
            self._apis.tell(second)
            self._apis.set_outage(self.trouble.api_outage if self.trouble else "")

    def joined(self, user_rows: Rows, second: int) -> None:
        """Tell the APIs who has come."""
        if self._apis:
            self._apis.join(user_rows, second)

    def _open_stream(self, world: World, trouble: Trouble) -> Stream | None:
        given, brokers = self._given, None
        stream: Stream
        if given.stream:
            stream = FileStream(given.stream)
        elif given.kafka:
            # Only here: they import confluent-kafka.
            from benchmarks.simulator.live.stream.brokers import Brokers
            from benchmarks.simulator.live.stream.kafka import KafkaStream

            if given.kafka == _OWN_BROKERS:
                brokers = self._held.enter_context(Brokers())
                stream = KafkaStream(brokers.bootstrap, given.team)
                _say(f"topic {stream.topic} at {brokers.bootstrap}")
            else:
                stream = KafkaStream(given.kafka, given.team)
        else:
            return None
        edition = EDITIONS[given.edition]
        return TroubledStream(stream, trouble, world, edition, outage=brokers)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
