"""One process of the scheduler, whose clock is moved on by half an hour at a time.

    python -m benchmarks.nights.session N_NIGHTS      in the directory of the service

It ends when the nights are over, when it crashes in a refresh, or when the machine is switched
off. The file `resume` then holds the time at which the next session begins.
"""

import itertools
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from benchmarks.nights.job import FAULT
from benchmarks.nights.plan import BEGIN, begin_of, night_of, plan_of
from benchmarks.nights.service import CONFIG, LANDING, STORE
from cron.alarms import Condition
from cron.jobs import REFRESH, Job, read_jobs
from cron.notifier import Notifier
from cron.notify import NotifySettings
from cron.scheduler import Scheduler
from cron.settings import CronSettings
from cron.state import JobState
from store.config import load_section
from store.stop import StopRequest

RESUME: Final = "resume"
_STEP: Final = timedelta(minutes=30)
_LANDS_AFTER: Final = timedelta(hours=4)  # in a night with new data
_LANDED_BYTES: Final = 2 << 20


def main() -> None:
    """Run a session from the time in `resume`, or from the first night on."""
    n_nights = int(sys.argv[1])
    logging.basicConfig(filename="scheduler.log", level=logging.INFO)
    logging.raiseExceptions = False  # on a full disk lines are lost
    resume = Path(RESUME)
    begin = datetime.fromisoformat(resume.read_text()) if resume.exists() else BEGIN
    resume.unlink(missing_ok=True)
    if begin < begin_of(n_nights + 1):
        _Session(begin).run(n_nights)


class _Sender(Notifier):
    """A notifier whose messages a full disk does not hold up, which a limit of files would."""

    def check(
        self,
        jobs: Mapping[str, Job],
        states: Mapping[str, JobState],
        now: datetime,
        of_rows: Iterable[Condition] = (),
    ) -> None:
        """Look at all conditions, and send the messages that are due."""
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        _limit_files(resource.RLIM_INFINITY)
        super().check(jobs, states, now, of_rows)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


class _Session:
    """A scheduler and its clock.

    Args:
        begin: Time at which it starts.
    """

    def __init__(self, begin: datetime) -> None:
        self._now = self._begin = begin
        cron = load_section("cron", CronSettings, CONFIG)
        receivers = load_section("notify", NotifySettings, CONFIG)
        Path(cron.path).mkdir(parents=True, exist_ok=True)
        self._notifier = _Sender(cron, receivers, STORE, CONFIG)
        self._scheduler = Scheduler(
            cron, read_jobs(cron, CONFIG), STORE, StopRequest(), self._notifier, lambda: self._now
        )

    def run(self, n_nights: int) -> None:
        """Run until the nights are over, or until it ends by its plan."""
        while (night := night_of(self._now)) <= n_nights:
            fault = plan_of(night).fault
            if fault == "off":
                on_again = next(n for n in itertools.count(night) if plan_of(n).fault != "off")
                Path(RESUME).write_text(begin_of(on_again).isoformat())
                return
            _limit_files(resource.RLIM_INFINITY)
            Path(FAULT).write_text(f"{night} {fault}")
            if fault == "full":
                _limit_files(0)
            if fault == "data" and self._now >= begin_of(night) + _LANDS_AFTER:
                (LANDING / f"{night}.parquet").write_bytes(bytes(_LANDED_BYTES))
            # A session that follows a crash does not crash in the same night.
            self._step(is_crashing=fault == "crash" and night != night_of(self._begin))
            self._now += _STEP

    def _step(self, *, is_crashing: bool) -> None:
        """Run what is due and what follows it to their ends, or crash in a refresh."""
        while True:
            self._scheduler.step()
            if is_crashing and self._scheduler.state(REFRESH).is_open:
                Path(RESUME).write_text(self._now.isoformat())
                os.kill(os.getpid(), signal.SIGKILL)
            if not self._scheduler.is_busy():
                break
            self._scheduler.wait()
        while self._notifier.is_busy():
            time.sleep(0.05)
        self._scheduler.step()


def _limit_files(n_bytes: int) -> None:
    """Let no file grow above a size, as on a full disk: writing fails."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
