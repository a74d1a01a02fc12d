"""The simulation: requests are sent when they are due, and users react to the answers.

    traffic ─ Plan ─► client ─ Response ─► grading ─► oracle, viewers ─► request records
                                                               └─► event log ─► stream

Windows are processed in the order in which they were due, whenever their
answers arrive: the same seed and the same lists give the same users, clicks
and lines, for any latencies.
"""

import time
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from batch.arrays import Records, Rows
from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.live.audience.fault_effects import FaultEffects
from benchmarks.simulator.live.audience.new_users import with_new_users
from benchmarks.simulator.live.audience.oracle import Oracle
from benchmarks.simulator.live.audience.preferences import Preferences
from benchmarks.simulator.live.audience.seen import Seen
from benchmarks.simulator.live.audience.viewers import Viewers
from benchmarks.simulator.live.report.records import RECORD, RequestRecords
from benchmarks.simulator.live.requests.client import RequestClient
from benchmarks.simulator.live.requests.grading import (
    NOT_REFUSED,
    Grade,
    grade_answer,
    is_correctly_refused,
)
from benchmarks.simulator.live.requests.messages import Response, Window
from benchmarks.simulator.live.requests.traffic import NO_USER, WINDOW_SECONDS, Plan, Traffic
from benchmarks.simulator.live.run import Cost, RunOptions, RunResult, TakedownCheck
from benchmarks.simulator.live.stream.event_log import Clock, EventLogWriter
from benchmarks.simulator.live.stream.protocol import Stream
from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.truth import LIST_LENGTH, Truth
from benchmarks.simulator.world.views import ViewSource
from benchmarks.simulator.world.world import World

_LEAD_SECONDS: Final = 1.0  # between handing a window to the client and its begin
_NEW_USERS_FACTOR: Final = 1.5  # new users in the world, relative to the expected number
_MIN_NEW_USERS: Final = 10


class Observer(Protocol):
    """A part beside the simulation that follows its clock and its new users."""

    def tick(self, second: int) -> None:
        """Set the simulated clock to a second after the history's beginning."""

    def joined(self, user_rows: Rows, second: int) -> None:
        """Add users who have opened an account at that second."""


class Simulation:
    """One run; an object runs once.

    Args:
        world: The world of the history.
        options: Servers, traffic and duration of the run.

    Attributes:
        world: The world with the users who join during the run.
        takedowns: Items taken down; may be filled in during the run.
        n_failed: Number of requests that have failed so far.
    """

    def __init__(self, world: World, options: RunOptions) -> None:
        n_new = options.mix.rate * options.seconds * options.mix.new_users / 2
        self.world = with_new_users(world, _MIN_NEW_USERS + int(_NEW_USERS_FACTOR * n_new))
        self.takedowns = TakedownCheck()
        self.n_failed = 0
        self._options = options
        n_items = len(world.items)
        self._seen = Seen.of_history(ViewSource(Truth(world), options.views_per_user), n_items)
        self._preferences = Preferences(self.world)
        self._viewers = Viewers(self._preferences, self._seen)
        self._oracle = Oracle(self._preferences, self._seen, world.items.popularity)
        self._traffic = Traffic(
            self.world, len(world.users), options.mix, len(options.servers), options.seed
        )
        self._catalogue = {name.encode(): row for row, name in enumerate(world.items.ids)}
        self._clock = Clock(world.n_days * DAY_SECONDS, options.speed)
        self._event_log: EventLogWriter | None = None
        self._observer: Observer | None = None
        self._faults: FaultEffects | None = None
        self._requests = RequestRecords()
        self._examples: dict[str, str] = {}
        self._plans: dict[int, Plan] = {}
        self._responses: dict[int, list[Response]] = {}
        self._n_processed = 0
        self._started = 0.0
        self._is_stopping = False

    def stop(self) -> None:
        """Send no further windows of requests; may be called by a signal handler."""
        self._is_stopping = True

    def run(
        self,
        stream: Stream | None = None,
        faults: FaultEffects | None = None,
        observer: Observer | None = None,
    ) -> RunResult:
        """Run to the end, or until `stop` is called.

        Args:
            stream: Stream for the lines of events; None: no lines are written.
            faults: Faults during the run; None: no faults.
            observer: Part that follows the clock and the users who join.

        Raises:
            EOFError: The client process has died.
        """
        self._faults = faults
        self._observer = observer
        if stream:
            self._event_log = EventLogWriter(
                self.world, self._options.log_format, stream, self._clock
            )
        one_thread = threadpool_limits(1, "blas")  # the products are too small for more threads
        client = RequestClient(self._options.servers, keep_alive=self._options.keep_alive)
        with one_thread, client:
            begin = time.process_time()
            self._started = time.monotonic() + 1.2 * _LEAD_SECONDS
            self._send_all(client)
            if self._event_log and self._options.finish_views:
                self._event_log.finish(self._n_processed)
            seconds = time.monotonic() - self._started
            own_seconds = time.process_time() - begin
        return RunResult(
            self._options, self.world, self._requests, self._examples,
            Cost(own_seconds, client.processor_seconds, seconds),
            stream.n_sent if stream else 0,
            stream.n_dropped if stream else 0,
        )  # fmt: skip

    def _send_all(self, client: RequestClient) -> None:
        for number in range(self._options.n_windows):
            if self._is_stopping:
                break
            self._hand_over(client, number)
            self._process_until(client, self._due(number + 1) - _LEAD_SECONDS)
        while self._plans:
            self._process_until(client, time.monotonic() + WINDOW_SECONDS)

    def _due(self, number: int) -> float:
        return self._started + number * WINDOW_SECONDS

    def _hand_over(self, client: RequestClient, number: int) -> None:
        factor = 1.0
        if self._faults:
            self._faults.tick(number * WINDOW_SECONDS)
            factor = self._faults.traffic_factor
        if self._observer:
            self._observer.tick(self._clock.simulated_second(number * WINDOW_SECONDS))
        plan = self._plans[number] = self._traffic.window(number, factor)
        due = (self._started + plan.seconds).tolist()
        client.send(Window(number, due, plan.servers.tolist(), plan.users))

    def _process_until(self, client: RequestClient, until: float) -> None:
        """Receive responses and process complete windows until a time of the monotonic clock."""
        while (left := until - time.monotonic()) > 0 and self._plans:
            is_complete = self._n_processed in self._responses
            if complete := client.receive(0 if is_complete else left):
                self._responses[complete[0]] = complete[1]
            if is_complete:  # one at a time: the next hand-over must not wait for all of them
                self._process(
                    self._plans.pop(self._n_processed), self._responses.pop(self._n_processed)
                )
                self._n_processed += 1

    def _process(self, plan: Plan, responses: Sequence[Response]) -> None:
        """Process the responses of one window: grade, measure, react, write."""
        rng = generator(self._options.seed, "window", plan.number)
        second = self._clock.simulated_second(plan.number * WINDOW_SECONDS)
        if self._faults:
            self._preferences.follow(self._faults, second // DAY_SECONDS)
        self._join(plan.joining, second)
        records = np.zeros(len(responses), RECORD)
        lists = np.full((len(responses), LIST_LENGTH), -1, np.int64)
        records["user_row"], records["server"] = plan.user_rows, plan.servers
        grades = self._grade(plan, responses, records, lists)
        known = np.flatnonzero(plan.user_rows != NO_USER)
        self._measure(known, plan.user_rows, lists, records)
        self._react(known, plan, lists, records, rng)
        self._requests.add(records)
        if self._event_log:
            self._write(plan, responses, grades)

    def _join(self, user_rows: Rows, second: int) -> None:
        """Open the accounts of users just before their first request."""
        self.world.users.joined[user_rows] = second
        if self._observer and len(user_rows):
            self._observer.joined(user_rows, second)

    def _grade(
        self, plan: Plan, responses: Sequence[Response], records: Records, lists: Rows
    ) -> list[Grade | None]:
        """Fill in the grader's results; return its grades, None where the id was malformed."""
        failures, sources = self._requests.failures, self._requests.sources
        grades: list[Grade | None] = []
        for number, response in enumerate(responses):
            record = records[number]
            record["milliseconds"], record["late_ms"] = response.milliseconds, response.late_ms
            record["source"] = sources.code(response.source)
            if plan.user_rows[number] == NO_USER:
                grades.append(None)
                failure = "" if is_correctly_refused(response) else NOT_REFUSED
                outcome = response.error or response.status
                example = f"/recommend/{plan.users[number].decode()} got {outcome}"
            else:
                host = self._options.servers[plan.servers[number]]
                grade = grade_answer(response, self._catalogue, host)
                grades.append(grade)
                lists[number, : len(grade.rows)] = grade.rows
                self.takedowns.check(grade.rows, self._started + float(plan.seconds[number]))
                failure = grade.failure
                example = f"user {plan.users[number].decode()}: {grade.result}"
            record["failure"] = failures.code(failure)
            if failure:
                self.n_failed += 1
                self._examples.setdefault(failure, example)
        return grades

    def _measure(self, known: Rows, user_rows: Rows, lists: Rows, records: Records) -> None:
        some = known[: self._oracle.max_lists]
        for name in ("best", "popular", "ndcg"):
            records[name] = np.nan
        if len(some):
            measured = self._oracle.measure(user_rows[some], lists[some])
            records["best"][some], records["popular"][some] = measured.best, measured.popular
            records["ndcg"][some] = measured.ndcg

    def _react(
        self, known: Rows, plan: Plan, lists: Rows, records: Records, rng: np.random.Generator
    ) -> None:
        rows = plan.user_rows[known]
        reaction = self._viewers.react(rows, lists[known], rng)
        is_taken = reaction.rank > 0
        records["rank"][known], records["expected"][known] = reaction.rank, reaction.expected
        records["own"][known] = ~is_taken & (reaction.item >= 0)
        records["minutes"][known] = reaction.minutes * is_taken
        records["stars"][known] = reaction.stars * is_taken
        records["cost"][known] = self.world.items.costs[reaction.item] * is_taken
        if self._event_log:
            self._event_log.watch(
                self._clock.simulated_seconds(plan.seconds[known]), rows, reaction, rng
            )

    def _write(
        self, plan: Plan, responses: Sequence[Response], grades: Sequence[Grade | None]
    ) -> None:
        assert self._event_log
        seconds = self._clock.simulated_seconds(plan.seconds).tolist()
        users = zip(plan.user_rows.tolist(), plan.servers.tolist(), strict=True)
        for (row, server), second, response, grade in zip(
            users, seconds, responses, grades, strict=True
        ):
            if grade:
                user, host = int(self.world.users.ids[row]), self._options.servers[server]
                self._event_log.answer(second, user, host, grade, response.milliseconds)
        self._event_log.write_until((plan.number + 1) * WINDOW_SECONDS, plan.number)
