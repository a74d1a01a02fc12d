"""The environment of a live run, by its command line: the stream, the APIs, and faults."""

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Final, Self

from batch.arrays import Rows
from benchmarks.harness.arguments import port, positive_float, share
from benchmarks.simulator.live.apis.process import Apis
from benchmarks.simulator.live.audience.fault_effects import FaultEffects
from benchmarks.simulator.live.faults.active import FaultSchedule
from benchmarks.simulator.live.faults.control import FaultControl
from benchmarks.simulator.live.faults.specs import fault_argument
from benchmarks.simulator.live.faults.stream import FaultyStream
from benchmarks.simulator.live.stream.file import FileStream
from benchmarks.simulator.live.stream.protocol import Stream
from benchmarks.simulator.log_formats import LOG_FORMATS
from benchmarks.simulator.world.world import World
from store.options import RenamedOption

_LOCAL_BROKERS: Final = "own"


def add_environment(parser: argparse.ArgumentParser) -> None:
    """Add the options of the stream, the APIs and faults."""
    _add_stream(parser)
    _add_apis(parser)
    _add_faults(parser)


def _add_stream(parser: argparse.ArgumentParser) -> None:
    sink = parser.add_mutually_exclusive_group()
    sink.add_argument("--stream", type=Path, metavar="FILE", help="append the events to a file")
    sink.add_argument(
        "--kafka", metavar="HOST:PORT",
        help=f"write the events to a Kafka topic; `{_LOCAL_BROKERS}` starts a local broker",
    )  # fmt: skip
    parser.add_argument("--team", default="1", metavar="N", help="topic movielogN, default: 1")


def _add_apis(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--apis", type=port, metavar="PORT", help="serve /user/<id> and /movie/<id>; 0: a free port"
    )
    parser.add_argument(
        "--api-defects", type=share, default=0.0, metavar="SHARE",
        help="share of the APIs' fields that are missing or of a wrong type, default: 0",
    )  # fmt: skip
    parser.add_argument("--odd", action=RenamedOption, new="--api-defects")
    parser.add_argument(
        "--api-rate", type=positive_float, default=50.0, metavar="N",
        help="requests a second that the APIs accept from one client, default: 50",
    )  # fmt: skip


def _add_faults(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fault", type=fault_argument, action="append", default=[], dest="faults", metavar="SPEC",
        help="fault to inject, such as '30s traffic factor=10 for=20s'; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--fault-port", type=port, metavar="PORT",
        help="accept further faults at /faults during the run, and list the kinds of faults",
    )  # fmt: skip
    parser.add_argument(
        "--fault-log", type=Path, metavar="FILE",
        help="write the faults that happened and the lines they affected",
    )  # fmt: skip
    for old, new in (("--trouble", "--fault"), ("--trouble-port", "--fault-port"),
                     ("--truth", "--fault-log")):  # fmt: skip
        parser.add_argument(old, action=RenamedOption, new=new)


class Environment:
    """Stream, APIs and faults of a run; leaving the `with` closes what was opened.

    Args:
        given: Parsed command line.

    Attributes:
        stream: Stream for the lines of events; None: no lines are written.
        faults: Faults of the run.
    """

    def __init__(self, given: argparse.Namespace) -> None:
        self.stream: Stream | None = None
        self.faults: FaultEffects | None = None
        self._given = given
        self._resources = contextlib.ExitStack()
        self._apis: Apis | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def open(self, world: World) -> None:
        """Open the parts that the command line asks for, and print their addresses.

        Args:
            world: World with the users who join during the run.

        Raises:
            LiveError: A part of it cannot be opened.
        """
        given = self._given
        faults = FaultSchedule(world, given.faults)
        self.faults = faults
        if given.fault_log:
            self._resources.callback(faults.write, given.fault_log)
        if given.fault_port is not None:
            control = self._resources.enter_context(FaultControl(faults, given.fault_port))
            _print(f"faults at http://{control.host}:{control.port}/faults")
        if given.apis is not None:
            from benchmarks.simulator.live.apis.server import ApiOptions  # imports aiohttp

            options = ApiOptions(
                port=given.apis, per_second=given.api_rate, defect_share=given.api_defects,
                log_format=LOG_FORMATS[given.log_format],
            )  # fmt: skip
            self._apis = self._resources.enter_context(Apis(world, options))
            _print(f"APIs at http://{self._apis.host}:{self._apis.port}")
        self.stream = self._open_stream(world, faults)
        if self.stream:
            self._resources.callback(self.stream.close)

    def tick(self, second: int) -> None:
        """Set the clock of the APIs and their outage.

        Args:
            second: Second after the history's beginning, by the simulated clock.
        """
        if self._apis:
            self._apis.set_clock(second)
            self._apis.set_outage(self.faults.api_outage if self.faults else "")

    def joined(self, user_rows: Rows, second: int) -> None:
        """Add new users to the APIs."""
        if self._apis:
            self._apis.add_users(user_rows, second)

    def _open_stream(self, world: World, faults: FaultSchedule) -> Stream | None:
        given, brokers = self._given, None
        stream: Stream
        if given.stream:
            stream = FileStream(given.stream)
        elif given.kafka:
            # Both import confluent-kafka, which a stream to a file does not need.
            from benchmarks.simulator.live.stream.brokers import Brokers
            from benchmarks.simulator.live.stream.kafka import KafkaStream

            if given.kafka == _LOCAL_BROKERS:
                brokers = self._resources.enter_context(Brokers())
                stream = KafkaStream(brokers.bootstrap, given.team)
                _print(f"topic {stream.topic} at {brokers.bootstrap}")
            else:
                stream = KafkaStream(given.kafka, given.team)
        else:
            return None
        log_format = LOG_FORMATS[given.log_format]
        return FaultyStream(stream, faults, world, log_format, broker=brokers)


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
