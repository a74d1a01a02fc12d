"""The experiment watcher: it decides whether the workers divide users among arms.

    EXPERIMENT ─► every arm's snapshot verified ─► its tag onto the scoreboard
                             └─► refused, or crashes workers: the experiment is stopped

The arms are served while the control is the served generation. While new generations of
the arms are verified, workers keep the last ones. An experiment that was stopped here is
ended in the store too, in a child process: a refresh may hold the lock for long.
"""

import contextlib
import logging
import signal
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

from serve.changes import file_state
from serve.scoreboard import Scoreboard
from serve.supervisor.children import fork, signal_all
from serve.supervisor.verification import Verification
from store.arms import stop_experiment
from store.errors import StoreError
from store.experiment import Experiment, experiment_file, read_experiment

log = logging.getLogger(__name__)

_MOVE_SECONDS: Final = 5.0  # `EXPERIMENT` and `CURRENT` may differ so long
_RETRY_SECONDS: Final = 5.0


class ExperimentWatcher:
    """Verifies the snapshots of the arms, and puts the experiment onto the scoreboard.

    Attributes:
        problem: Problem of the experiment, empty without one.
    """

    def __init__(
        self, store: Path, scoreboard: Scoreboard, shards: Collection[int] | None = None
    ) -> None:
        self.problem = ""
        self._store = store
        self._scoreboard = scoreboard
        self._verification = Verification(store, lambda text: log.error("%s", text), shards)
        self._state: tuple[int, ...] | None = None  # of the file that was read last
        self._experiment: Experiment | None = None
        self._tag = 0  # of the experiment, 0 for none
        self._indexed: dict[int, bool] = {}  # verified generations; whether the index may be used
        self._differs_since: float | None = None
        self._failed: dict[int, str] = {}  # reason by identity of a stopped experiment
        self._stopping = 0  # pid
        self._stop_at = 0.0

    @property
    def is_verifying(self) -> bool:
        """Whether an arm's snapshot is verified now."""
        return self._verification.is_running

    def look(self, current: int | None) -> None:
        """Read the file if it has changed, and start what is due.

        Args:
            current: Current generation, read before this call; None for none.
        """
        self._read()
        experiment = self._experiment
        if experiment is None or experiment.control.generation == current:
            self._differs_since = None
        elif self._differs_since is None:
            self._differs_since = time.monotonic()
        if experiment and self._has_failed(experiment):
            self._stop_in_store(experiment)
        elif not self._verification.is_running and (missing := self._unverified()):
            self._verification.start(missing[0])

    def is_ready_for(self, generation: int) -> bool:
        """Return whether no arm has to be verified before this generation may be served."""
        experiment = self._experiment
        is_control = experiment is not None and experiment.control.generation == generation
        return not (is_control and self._unverified())

    def put(self, generation: int) -> None:
        """Put the experiment beside a served generation onto the scoreboard, or its end."""
        tag = self.tag_for(generation)
        if self._experiment and tag == self._tag:
            bits = [self._has_index(arm.generation) for arm in self._experiment.arms]
            self._scoreboard.indexed_arms = sum(1 << n for n, is_set in enumerate(bits) if is_set)
        self._scoreboard.experiment = tag

    def tag_for(self, generation: int) -> int:
        """Return what the scoreboard is to hold beside a served generation, 0 for no experiment."""
        experiment, last = self._experiment, self._scoreboard.experiment
        if experiment is None or self._has_failed(experiment):
            return 0
        if experiment.control.generation != generation:
            since = self._differs_since
            return last if since is None or time.monotonic() - since < _MOVE_SECONDS else 0
        return last if self._unverified() else self._tag  # workers keep the last arms

    def verify_again(self) -> None:
        """Verify all arms again; they are served meanwhile."""
        self._indexed.clear()

    def fail(self, why: str) -> bool:
        """Stop the served experiment; return False if none is served."""
        experiment = self._experiment
        if experiment is None or not self._scoreboard.experiment:
            return False
        self._fail(experiment, why)
        return True

    def ended(self, pid: int, status: int) -> bool:
        """Record the end of a child; return False if it was another's."""
        if pid == self._stopping:
            self._stopping, self._stop_at = 0, time.monotonic() + (_RETRY_SECONDS if status else 0)
            return True
        if not self._verification.owns(pid):
            return False
        verdict = self._verification.finish(status)
        if verdict is None:
            return True
        if verdict.is_sound:
            self._indexed[verdict.generation] = verdict.has_index
        elif self._experiment and verdict.generation in self._experiment.generations:
            self._fail(self._experiment, f"generation {verdict.generation} must not be served")
        return True

    def stop(self) -> set[int]:
        """End the children; return the pids to wait for."""
        stopping = {self._stopping} - {0}
        signal_all(stopping, signal.SIGTERM)
        return stopping | self._verification.stop()

    def _read(self) -> None:
        state = file_state(experiment_file(self._store))
        if state == self._state and state != ():
            return
        self._state, self._tag, self.problem = state, 0, ""
        try:
            self._experiment = read_experiment(self._store)
        except StoreError as error:
            self._experiment, self.problem = None, str(error)
            return
        if self._experiment is None:
            self._indexed.clear()
            return
        self._tag = self._experiment.tag
        if why := self._failed.get(self._experiment.identity):
            self.problem = self._described(self._experiment, why)

    def _has_index(self, generation: int) -> bool:
        is_control = generation == self._scoreboard.indexed_generation
        return is_control or self._indexed.get(generation, False)

    def _unverified(self) -> list[int]:
        """Return the generations of arms that have to be verified, the control's not."""
        experiment = self._experiment
        if experiment is None or self._has_failed(experiment):
            return []
        arms = {arm.generation for arm in experiment.arms} - {experiment.control.generation}
        return sorted(arms - self._indexed.keys())

    def _has_failed(self, experiment: Experiment) -> bool:
        return bool(self._failed) and experiment.identity in self._failed  # costs a hash of JSON

    def _fail(self, experiment: Experiment, why: str) -> None:
        self._failed[experiment.identity] = why
        self._scoreboard.experiment = 0
        self.problem = self._described(experiment, why)
        self._scoreboard.count("retreats")

    @staticmethod
    def _described(experiment: Experiment, why: str) -> str:
        return f"experiment {experiment.name}: {why}; stopped, all users get the control's lists"

    def _stop_in_store(self, experiment: Experiment) -> None:
        if self._stopping or time.monotonic() < self._stop_at:
            return
        with contextlib.suppress(OSError):  # no process to spare: the next look tries again
            self._stopping = fork(lambda: self._run_stop(experiment))

    def _run_stop(self, experiment: Experiment) -> int:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        try:
            stop_experiment(
                self._store, f"server: {self._failed[experiment.identity]}", experiment.identity
            )
        except StoreError as error:
            log.warning("experiment %s: not ended in the store yet: %s", experiment.name, error)
            return 1
        return 0
