"""The speed layer's loop: it follows the store and the events, one batch of users at a time.

    CURRENT, EXPERIMENT  another generation for some users ─► their lists are removed; its model
                         makes new ones, of all files that its snapshot has not read
    TAKEDOWN             changed            ─► all lists are made again
    events               new segments first ─► `GenerationLists` of each arm ─► fresh.mdb
    fresh.mdb            damaged history    ─► removed, and all files are read again

A list and the history that it was made from are written in one transaction. So the state on
disk is whole at any moment, and after a crash the files are read again, which changes
nothing that was written.
"""

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from batch.errors import BatchError
from batch.unavailable import Unavailable
from store.assignment import Assignment
from store.errors import ExperimentError, NotAnItemError, StoreError
from store.experiment import experiment_beside
from store.fresh import FreshWriter
from store.pointer import current_or_none
from store.takedown import takedowns
from stream.fresh.generation_lists import GenerationLists
from stream.fresh.metrics import FreshMetrics
from stream.fresh.model import open_model
from stream.fresh.settings import FreshSettings

_RETRY_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class SpeedLayer:
    """Keeps the fresh lists of one store. A context manager.

    Args:
        store: Directory of the store.
        events: Directory of the day partitions.
        settings: Settings of the speed layer.
        writer: Writer of the fresh lists.
        metrics: Figures of the speed layer.
    """

    def __init__(
        self,
        store: Path,
        events: Path,
        settings: FreshSettings,
        writer: FreshWriter,
        metrics: FreshMetrics,
    ) -> None:
        self._store = store
        self._events = events
        self._settings = settings
        self._writer = writer
        self._metrics = metrics
        self._assignment: Assignment | None = None  # followed
        self._opened: dict[int, contextlib.ExitStack] = {}  # a model, by generation
        self._lists: dict[int, GenerationLists] = {}  # of those whose model can fold in
        self._retry_at: dict[int, float] = {}  # of those that could not be opened
        self._taken_down: list[str] | None = None
        self._making_again: Iterator[None] = iter(())
        self._lacks_events = False  # of users whose history was damaged
        self._problems: dict[str, str] = {}  # in the log already, by file

    def __enter__(self) -> "SpeedLayer":
        return self

    def __exit__(self, *_: object) -> None:
        for opened in self._opened.values():
            opened.close()

    def step(self) -> bool:
        """Follow the store and the events, and make the lists of one batch of users an arm.

        Returns:
            Whether there is more to do at once.

        Raises:
            WriteError: The fresh lists cannot be written.
        """
        self._follow_assignment()
        self._open_models()
        if not self._lists:
            return False
        self._follow_takedowns()
        if self._writer.damaged:
            self._remove_damaged()
        with contextlib.suppress(StopIteration):
            next(self._making_again)
            return True
        steps = [lists.step() for lists in self._lists.values()]
        if any(steps):
            return True
        if self._lacks_events:  # once, however many histories were damaged
            self._lacks_events = False
            for lists in self._lists.values():
                lists.read_all()
            return True
        return False

    def _follow_assignment(self) -> None:
        assignment = self._read_assignment()
        if assignment == self._assignment:
            return
        self._assignment = assignment
        generations = {*assignment.generations} if assignment else set[int]()
        for generation in self._opened.keys() - generations:
            self._opened.pop(generation).close()
            self._lists.pop(generation, None)
        self._retry_at.clear()
        self._making_again, self._lacks_events = iter(()), False
        if assignment is None:
            return
        for generation, lists in self._lists.items():
            lists.assign(_users_of(assignment, generation))
        if self._writer.assignment != assignment:
            self._writer.assign(assignment)
        self._taken_down = None  # `_follow_takedowns` compares with what is on disk
        self._metrics.follow(assignment.generations[0])

    def _read_assignment(self) -> Assignment | None:
        """Return which generation each user is served; None before the first publish."""
        generation = current_or_none(self._store)
        if not generation:
            return None
        try:
            experiment = experiment_beside(self._store, generation)
        except ExperimentError as error:  # the server does without it, too
            self._log_once("experiment", f"no lists of arms: {error}")
            experiment = None
        else:
            self._problems.pop("experiment", None)
        return experiment.assignment if experiment else Assignment((generation,))

    def _open_models(self) -> None:
        """Open the models that are not open yet, each retried for itself."""
        if self._assignment is None:
            return
        for generation in sorted({*self._assignment.generations} - self._opened.keys()):
            if time.monotonic() < self._retry_at.get(generation, 0):
                continue
            with contextlib.ExitStack() as opened:
                try:
                    opening = open_model(self._store, generation, self._settings.n_threads)
                    model = opened.enter_context(opening)
                except (StoreError, BatchError) as error:
                    self._retry_at[generation] = time.monotonic() + _RETRY_SECONDS
                    log.error("generation %d: no fresh lists: %s", generation, error)  # noqa: TRY400
                    continue
                self._opened[generation] = opened.pop_all()
            if isinstance(model, Unavailable):
                log.warning("generation %d: no fresh lists: %s", generation, model.reason)
                continue
            lists = GenerationLists(
                model, self._events, self._settings, self._writer, self._metrics
            )
            lists.assign(_users_of(self._assignment, generation))
            lists.hide(self._taken_down or ())
            self._lists[generation] = lists
            log.info("generation %d: fresh lists for its users", generation)

    def _follow_takedowns(self) -> None:
        try:
            item_ids = sorted(takedowns(self._store))
        except NotAnItemError as error:
            self._log_once("takedowns", f"takedowns stay as last read: {error}")
            return
        self._problems.pop("takedowns", None)
        if item_ids == self._taken_down:
            return
        self._taken_down = item_ids
        for lists in self._lists.values():
            lists.hide(item_ids)
        digest = hashlib.sha256("\n".join(item_ids).encode()).digest()
        if self._writer.depends_on == digest:
            self._making_again = iter(())
        elif any(self._writer.users(1)):
            self._making_again = self._make_again(digest)
        else:
            self._writer.depend_on(digest)

    def _make_again(self, digest: bytes) -> Iterator[None]:
        """Make all lists again, a batch of users at each step."""
        for user_ids in self._writer.users(self._settings.batch_users):
            for lists in self._lists.values():
                lists.make_again(user_ids)
            yield
        self._writer.depend_on(digest)

    def _remove_damaged(self) -> None:
        """Remove damaged histories; only the files of new events have what they held."""
        n_damaged = self._writer.remove_damaged()
        self._metrics.found_damaged(n_damaged)
        log.warning("%d damaged histories removed, all new events are read again", n_damaged)
        self._lacks_events = True

    def _log_once(self, file: str, problem: str) -> None:
        if self._problems.get(file) != problem:  # not five times a second
            self._problems[file] = problem
            log.error("%s", problem)


def _users_of(assignment: Assignment, generation: int) -> Callable[[bytes], bool] | None:
    """Return the function that says whether a user is served a generation; None: all are."""
    if {*assignment.generations} == {generation}:
        return None
    generation_of = assignment.generation_function()
    return lambda user_id: generation_of(user_id) == generation


def run(layer: SpeedLayer, pause: Callable[[float], bool], poll_seconds: float) -> None:
    """Follow until a stop is requested.

    Args:
        layer: The speed layer.
        pause: Function that waits some seconds and returns whether to stop.
        poll_seconds: Time between two looks.
    """
    while not pause(0 if layer.step() else poll_seconds):
        pass
