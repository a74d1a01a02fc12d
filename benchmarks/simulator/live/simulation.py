"""The play: windows of requests go out when they are due, and what comes back moves the users.

    traffic ─ Plan ─► asker ─ Came ─► verdict ─► yardstick, viewers ─► tally
                                                      └─► teller ─► stream

Windows are worked through in the order in which they were due, whenever their
answers have come: the same seed and the same lists give the same users, clicks
and lines, whatever the latencies were.
"""

import time
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.live.audience.fault_effects import Disturbance
from benchmarks.simulator.live.audience.new_users import with_newcomers
from benchmarks.simulator.live.audience.oracle import Yardstick
from benchmarks.simulator.live.audience.preferences import Wants
from benchmarks.simulator.live.audience.seen import Seen
from benchmarks.simulator.live.audience.viewers import Viewers
from benchmarks.simulator.live.report.records import RECORD, Records, Tally
from benchmarks.simulator.live.requests.client import Asker
from benchmarks.simulator.live.requests.grading import NOT_REFUSED, Verdict, is_well_refused, judge
from benchmarks.simulator.live.requests.messages import Came, Window
from benchmarks.simulator.live.requests.traffic import NOBODY, WINDOW_SECONDS, Plan, Traffic
from benchmarks.simulator.live.run import Cost, Played, Run, Withheld
from benchmarks.simulator.live.stream.event_log import Clock, Teller
from benchmarks.simulator.live.stream.protocol import Stream
from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.items import Rows
from benchmarks.simulator.world.truth import LIST_LENGTH, Truth
from benchmarks.simulator.world.views import ViewSource
from benchmarks.simulator.world.world import World

_LEAD_SECONDS: Final = 1.0  # that a window is handed over before it begins
_NEWCOMERS_SPARE: Final = 1.5


class Around(Protocol):
    """What stands beside the play and follows it."""

    def tick(self, second: int) -> None:
        """Be told how late it is by the simulated clock, after the history's beginning."""

    def joined(self, user_rows: Rows, second: int) -> None:
        """Be told who has opened an account."""


class Play:
    """Plays one run, once.

    Args:
        world: As `history` has made it.
        run: What is played.

    Attributes:
        world: With users who are yet to come.
        withheld: May be filled in while it plays.
    """

    def __init__(self, world: World, run: Run) -> None:
        n_new = run.mix.rate * run.seconds * run.mix.newcomers / 2
        self.world = with_newcomers(world, 10 + int(_NEWCOMERS_SPARE * n_new))
        self.withheld = Withheld()
        self._run = run
        n_items = len(world.items)
        self._seen = Seen.of_history(ViewSource(Truth(world), run.views_per_user), n_items)
        self._wants = Wants(self.world)
        self._viewers = Viewers(self._wants, self._seen)
        self._yardstick = Yardstick(self._wants, self._seen, world.items.popularity)
        self._traffic = Traffic(self.world, len(world.users), run.mix, len(run.servers), run.seed)
        self._catalogue = {name.encode(): row for row, name in enumerate(world.items.ids)}
        self._clock = Clock(world.n_days * DAY_SECONDS, run.speed)
        self._teller: Teller | None = None
        self._around: Around | None = None
        self._disturbance: Disturbance | None = None
        self._tally = Tally()
        self._examples: dict[str, str] = {}
        self._plans: dict[int, Plan] = {}
        self._came: dict[int, list[Came]] = {}
        self._done = 0
        self._started = 0.0
        self._is_ending = False

    def end(self) -> None:
        """Let no further request fall due; may be called by a signal's handler."""
        self._is_ending = True

    def play(
        self,
        stream: Stream | None = None,
        disturbance: Disturbance | None = None,
        around: Around | None = None,
    ) -> Played:
        """Play it all, or until `end` is called.

        Args:
            stream: Takes the lines; None: nobody wants them.
            disturbance: What goes wrong meanwhile; None: nothing.
            around: Is told how late it is, and who joins.

        Raises:
            EOFError: The process that asks has died.
        """
        self._disturbance = disturbance
        self._around = around
        if stream:
            self._teller = Teller(self.world, self._run.edition, stream, self._clock)
        one_thread = threadpool_limits(1, "blas")  # of products so small more only get in the way
        with one_thread, Asker(self._run.servers, keeps=self._run.keeps) as asker:
            before = time.process_time()
            self._started = time.monotonic() + 1.2 * _LEAD_SECONDS
            self._ask_all(asker)
            seconds = time.monotonic() - self._started
            mine = time.process_time() - before
        return Played(
            self._run, self.world, self._tally, self._examples,
            Cost(mine, asker.processor_seconds, seconds),
            stream.n_sent if stream else 0,
            stream.n_dropped if stream else 0,
        )  # fmt: skip

    def _ask_all(self, asker: Asker) -> None:
        for number in range(self._run.n_windows):
            if self._is_ending:
                break
            self._hand_over(asker, number)
            self._work_until(asker, self._due(number + 1) - _LEAD_SECONDS)
        while self._plans:
            self._work_until(asker, time.monotonic() + WINDOW_SECONDS)

    def _due(self, number: int) -> float:
        return self._started + number * WINDOW_SECONDS

    def _hand_over(self, asker: Asker, number: int) -> None:
        factor = 1.0
        if self._disturbance:
            self._disturbance.tick(number * WINDOW_SECONDS)
            factor = self._disturbance.traffic_factor
        if self._around:
            self._around.tick(self._clock.second(number * WINDOW_SECONDS))
        plan = self._plans[number] = self._traffic.window(number, factor)
        due = (self._started + plan.seconds).tolist()
        asker.ask(Window(number, due, plan.servers.tolist(), plan.users))

    def _work_until(self, asker: Asker, until: float) -> None:
        """Take what comes, and work through windows, until a moment of the monotonic clock."""
        while (left := until - time.monotonic()) > 0 and self._plans:
            is_complete = self._done in self._came
            if complete := asker.came(0 if is_complete else left):
                self._came[complete[0]] = complete[1]
            if is_complete:  # one at a time: the next hand-over must not wait for all of them
                self._work(self._plans.pop(self._done), self._came.pop(self._done))
                self._done += 1

    def _work(self, plan: Plan, came: Sequence[Came]) -> None:
        """Let one window happen."""
        rng = generator(self._run.seed, "window", plan.number)
        second = self._clock.second(plan.number * WINDOW_SECONDS)
        if self._disturbance:
            self._wants.follow(self._disturbance, second // DAY_SECONDS)
        self._join(plan.joining, second)
        records = np.zeros(len(came), RECORD)
        lists = np.full((len(came), LIST_LENGTH), -1, np.int64)
        records["user_row"], records["server"] = plan.user_rows, plan.servers
        verdicts = self._judge(plan, came, records, lists)
        known = np.flatnonzero(plan.user_rows != NOBODY)
        self._measure(known, plan.user_rows, lists, records)
        self._react(known, plan, lists, records, rng)
        self._tally.add(records)
        if self._teller:
            self._tell(plan, came, verdicts)

    def _join(self, user_rows: Rows, second: int) -> None:
        """Let users open their accounts, just before they first ask."""
        self.world.users.joined[user_rows] = second
        if self._around and len(user_rows):
            self._around.joined(user_rows, second)

    def _judge(
        self, plan: Plan, came: Sequence[Came], records: Records, lists: Rows
    ) -> list[Verdict | None]:
        """Fill in what the grader says; return its verdicts, none where the id was malformed."""
        failures, sources = self._tally.failures, self._tally.sources
        verdicts: list[Verdict | None] = []
        for place, one in enumerate(came):
            record = records[place]
            record["milliseconds"], record["late_ms"] = one.milliseconds, one.late_ms
            record["source"] = sources.place(one.source)
            if plan.user_rows[place] == NOBODY:
                verdicts.append(None)
                failure = "" if is_well_refused(one) else NOT_REFUSED
                what = f"/recommend/{plan.users[place].decode()} got {one.error or one.status}"
            else:
                host = self._run.servers[plan.servers[place]]
                verdict = judge(one, self._catalogue, host)
                verdicts.append(verdict)
                lists[place, : len(verdict.rows)] = verdict.rows
                self.withheld.look(verdict.rows, self._started + float(plan.seconds[place]))
                failure = verdict.failure
                what = f"user {plan.users[place].decode()}: {verdict.result}"
            record["failure"] = failures.place(failure)
            if failure:
                self._examples.setdefault(failure, what)
        return verdicts

    def _measure(self, known: Rows, user_rows: Rows, lists: Rows, records: Records) -> None:
        some = known[: self._yardstick.most]
        for name in ("best", "popular", "ndcg"):
            records[name] = np.nan
        if len(some):
            measured = self._yardstick.measure(user_rows[some], lists[some])
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
        if self._teller:
            self._teller.watch(self._clock.seconds(plan.seconds[known]), rows, reaction, rng)

    def _tell(self, plan: Plan, came: Sequence[Came], verdicts: Sequence[Verdict | None]) -> None:
        assert self._teller
        seconds = self._clock.seconds(plan.seconds).tolist()
        users = zip(plan.user_rows.tolist(), plan.servers.tolist(), strict=True)
        for (row, server), second, one, verdict in zip(users, seconds, came, verdicts, strict=True):
            if verdict:
                user, host = int(self.world.users.ids[row]), self._run.servers[server]
                self._teller.answer(second, user, host, verdict, one.milliseconds)
        self._teller.tell((plan.number + 1) * WINDOW_SECONDS, plan.number)
