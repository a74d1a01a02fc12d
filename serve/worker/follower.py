"""The follower: it keeps a worker's state up to date while the worker serves.

    scoreboard   ─► the generation that the supervisor has verified
    EXPERIMENT   ─► the arms, if the supervisor has verified their generations
    TAKEDOWN     ─► items to leave out
    recent.mdb   ─► views since the snapshot was made
    fresh.mdb    ─► lists since the snapshot was made

If one cannot be read, the last state stays in force, the error is logged once, and
the follower tries again.
"""

import logging
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Self

import lmdb

from serve.changes import file_state
from serve.worker.checked_file import CheckedFile
from serve.worker.fresh import FreshAnswers
from serve.worker.served import Served
from serve.worker.state import WorkerState
from store.errors import StoreError
from store.experiment import Arm, Experiment, arms_in_words, experiment_file, read_experiment
from store.fresh import FreshLists, fresh_file, open_fresh
from store.recent import RecentViews, open_recent, recent_file
from store.snapshot import open_snapshot
from store.takedown import takedown_file, takedowns

log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 1.0
_HOUR_SECONDS: Final = 3600.0
_LOG_EVERY_SECONDS: Final = 60.0  # of damaged lists, each of which may be requested at any time


class Follower:
    """Updates the state of one worker."""

    def __init__(self, state: WorkerState, store: Path, name: str) -> None:
        """Prepare it.

        Args:
            state: State to update.
            store: The store's directory.
            name: Name of the worker in the log.
        """
        self._state = state
        self._store = store
        self._name = name
        self._takedown_state: tuple[int, ...] | None = None
        self._refused_takedowns: tuple[int, ...] | None = None
        self._read_takedowns_at = 0.0
        self._recent = CheckedFile[RecentViews](
            (name, "recent views"), recent_file(store), partial(open_recent, store)
        )
        self._fresh = CheckedFile[FreshLists](
            (name, "fresh lists"), fresh_file(store), partial(open_fresh, store)
        )
        self._experiment_state: tuple[int, ...] | None = None
        self._read: Experiment | None = None  # the experiment in that file
        self._read_tag = 0  # its tag, which costs as much as three answers
        self._indexes = (0, 0)  # those that what is served was built with
        self._refused: _Target | None = None  # it could not be opened
        self._retry_at = 0.0
        self._log_damaged_at = 0.0

    def look(self) -> None:
        """Apply what has changed; takedowns first, so no new snapshot shows a hidden item."""
        self._follow_takedowns()
        self._follow_generation()
        self._follow_recent()
        self._follow_fresh()

    def _follow_generation(self) -> None:
        """Open and serve the generation on the scoreboard, and those of the arms."""
        served = self._state.served
        target = self._target()
        if not target.generation or target == _Target.of(served):
            if served and self._indexes != self._checked_indexes():
                self._serve(target)
            return
        if target == self._refused and time.monotonic() < self._retry_at:
            return
        try:
            self._serve(target)
            log.info("%s serves %s", self._name, target)
        except (StoreError, OSError) as error:
            self._refused, self._retry_at = target, time.monotonic() + _RETRY_SECONDS
            stays = _Target.of(served) if served else "no snapshot"
            log.error(  # noqa: TRY400
                "%s: cannot open %s, still serving %s: %s",
                *(self._name, target, stays, error),
            )

    def _target(self) -> "_Target":
        """Return what the supervisor has verified."""
        scoreboard, served = self._state.scoreboard, self._state.served
        generation, tag = scoreboard.generation, scoreboard.experiment
        if not tag:
            return _Target(generation, None)
        self._read_experiment()
        running = served.experiment if served else None
        # The arms move when all of the new ones are verified; until then the last ones stay.
        for experiment in (self._read if self._read_tag == tag else None, running):
            if experiment and experiment.control.generation == generation:
                return _Target(generation, experiment)
        return _Target(generation, None)

    def _read_experiment(self) -> None:
        state = file_state(experiment_file(self._store))
        if state != self._experiment_state:
            self._experiment_state = state
            try:
                self._read = read_experiment(self._store)
            except StoreError:  # logged by the supervisor
                self._read = None
            self._read_tag = self._read.tag if self._read else 0

    def _serve(self, target: "_Target") -> None:
        """Serve the arms and the current generation; open snapshots are used again.

        Raises:
            StoreError, OSError: A snapshot cannot be opened; what is served stays.
        """
        state, indexes = self._state, self._checked_indexes()
        served = state.served
        # An old snapshot closes after the last answer from it: by reference count.
        opened = (
            {one.generation: one.snapshot for one in (served, *served.in_arm)} if served else {}
        )
        wanted = {target.generation, *(arm.generation for arm in target.arms)}
        for generation in wanted - opened.keys():
            opened[generation] = open_snapshot(
                self._store, generation, verified=True, shards=state.settings.open_shards
            )
        make = partial(Served, hidden=state.hidden, hide_source=state.settings.hide_source)
        made = make(
            opened[target.generation],
            with_index=indexes[0] == target.generation,
            rows=state.counts.lists,
        )
        in_arm = [
            make(
                opened[arm.generation],
                with_index=bool(indexes[1] >> number & 1),
                arm=arm.name,
                rows=state.counts.arms[number],
            )
            for number, arm in enumerate(target.arms)
        ]
        if target.experiment:
            made.divide(target.experiment, in_arm)
        state.counts.begin(target.experiment.identity if target.experiment else 0)
        state.served, self._indexes = made, indexes

    def _checked_indexes(self) -> tuple[int, int]:
        scoreboard = self._state.scoreboard
        return scoreboard.indexed_generation, scoreboard.indexed_arms

    def _follow_takedowns(self) -> None:
        """Hide what is taken down; the file is replaced whole, so its state shows a change."""
        state = file_state(takedown_file(self._store))
        if state == self._takedown_state:
            return
        if time.monotonic() < self._read_takedowns_at:
            return
        try:
            hidden = takedowns(self._store)
        except StoreError as error:
            # Tried again, since a worker that has just started hides nothing yet.
            self._read_takedowns_at = time.monotonic() + _RETRY_SECONDS
            if state != self._refused_takedowns:  # logged once for each file, not every second
                self._refused_takedowns = state
                log.error(  # noqa: TRY400
                    "%s: takedowns stay as last read, will retry: %s", self._name, error
                )
            return
        self._takedown_state = state
        if not hidden and not self._state.hidden:
            return
        self._state.hidden = frozenset(item_id.encode() for item_id in hidden)
        if served := self._state.served:
            self._serve(_Target.of(served))
        log.info("%s hides %d items taken down", self._name, len(self._state.hidden))

    def _follow_recent(self) -> None:
        """Use the file of recent views that the supervisor has checked, and no other one."""
        checked = self._state.scoreboard.recent_inode
        self._state.recent = self._recent.look(checked, self._state.recent)

    def _follow_fresh(self) -> None:
        """Use the fresh lists that the supervisor has checked, as they are now."""
        before, served = self._state.fresh, self._state.served
        lists = self._fresh.look(self._state.scoreboard.fresh_inode, before)
        self._state.fresh = lists
        if served is None:
            return
        every = (served, *served.in_arm)
        if lists is None or not self._state.settings.fresh_hours:
            _use_no_fresh(every)
            return
        try:
            oldest = time.time() - _HOUR_SECONDS * self._state.settings.fresh_hours
            for one in every:
                if one.fresh is None or one.fresh.lists is not lists:
                    one.use_fresh(lists)
                if one.fresh:
                    one.fresh.renew(oldest)
                    self._log_damaged(one.fresh)
        except lmdb.Error as error:
            log.warning("%s: fresh lists disabled, will reopen: %s", self._name, error)
            _use_no_fresh(every)
            self._state.fresh = None
            lists.close()

    def _log_damaged(self, fresh: FreshAnswers) -> None:
        if fresh.n_damaged and time.monotonic() >= self._log_damaged_at:
            self._log_damaged_at = time.monotonic() + _LOG_EVERY_SECONDS
            log.warning("%s: %d damaged fresh lists left out", self._name, fresh.n_damaged)
            fresh.n_damaged = 0


class _Target(NamedTuple):
    """What a worker is to serve.

    Attributes:
        generation: Current generation, 0 for none.
        experiment: Experiment that divides the users; None without one.
    """

    generation: int
    experiment: Experiment | None

    @classmethod
    def of(cls, served: Served | None) -> Self:
        """Return what is served now."""
        return cls(served.generation, served.experiment) if served else cls(0, None)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Arms of the experiment."""
        return self.experiment.arms if self.experiment else ()

    def __str__(self) -> str:
        text = f"generation {self.generation}"
        return f"{text}, {arms_in_words(self.experiment)}" if self.experiment else text


def _use_no_fresh(every: Iterable[Served]) -> None:
    for one in every:
        one.fresh = None
