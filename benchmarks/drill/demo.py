"""The running service in which a drill injects its failure: server, clients, scheduler, inbox.

clients ─► server ─► store ◄─ scheduler's jobs ─► messages ─► inbox ─► time line
"""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.drill.timeline import Kind, Timeline
from benchmarks.drill.watcher import OK, POST, Watcher, read_health
from benchmarks.harness.config import Sections, write_config
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.processes import clean_environment, wait_until
from benchmarks.harness.servers import Command, MarqueeServer, Servers
from benchmarks.nights.outside import Clients, Inbox
from benchmarks.resilience.lists import write_snapshot
from benchmarks.scenarios.rehearsal.settings import EVENTS, HISTORY, STORE
from benchmarks.simulator.history.write import HistoryOptions, write_history
from benchmarks.simulator.world.world import World, make_world
from store.refresh_request import request_refresh

WHY: Final = "a drill"
CHECK: Final = {"enabled": True, "at": "", "every_minutes": 0.2, "retries": 0}  # a job's table
N_USERS: Final = 500
_N_ITEMS: Final = 100
_SEED: Final = 7
N_DAYS: Final = 8
LATER: Final = "later"
_VIEWS_PER_USER: Final = 8.0
_PATIENCE_SECONDS: Final = 120.0
_SHOWN_CHARACTERS: Final = 600


class Impact(NamedTuple):
    """What a drill cost clients.

    Attributes:
        n_requests: Number of requests for lists until its end.
        n_failed: Number of those without a list.
    """

    n_requests: int
    n_failed: int


@dataclass(frozen=True, slots=True)
class Demo:
    """A running service.

    Attributes:
        folder: Directory that its commands run in, with `marquee.toml`.
        timeline: Time line of the drill.
        server: The server.
        clients: Clients that request lists all the time.
        scheduler: The scheduler; None without jobs.
    """

    folder: Path
    timeline: Timeline
    server: MarqueeServer
    clients: Clients
    scheduler: Servers | None

    @property
    def store(self) -> Path:
        """Store that is served."""
        return self.folder / STORE

    def fail(self, text: str) -> None:
        """Record the failure, just before or after it is injected."""
        self.timeline.record(Kind.FAILURE, text)

    def act(self, text: str) -> None:
        """Record what a person, or the service itself, does about it."""
        self.timeline.record(Kind.ACTION, text)

    def command(self, *arguments: str) -> None:
        """Run `python -m ARGUMENTS` as an action, and wait for it."""
        self.act(f"python -m {' '.join(arguments)}")
        run(self.folder, *arguments)

    def start_refresh(self) -> None:
        """Have the scheduler start a refresh, as in every night."""
        request_refresh(self.store, WHY)

    def request_refresh(self, text: str) -> None:
        """Request a refresh as an action, as `POST /admin/train` does."""
        self.act(f"{text}; a refresh is requested")
        request_refresh(self.store, WHY)

    def finish(self) -> Impact:
        """End the time line, and return what the drill has cost clients."""
        self.timeline.end()
        return Impact(self.clients.n_requests, self.clients.n_failed)

    def wait_for(self, kind: Kind, text: str) -> None:
        """Wait for an entry of the time line whose text begins like this."""
        self.wait_until(lambda: self.timeline.has(kind, text), f"no {kind} `{text}`")

    def wait_until(self, condition: Callable[[], object], problem: str) -> None:
        """Wait for a condition.

        Raises:
            BenchmarkError: It is still false after two minutes; the message has the problem.
        """
        try:
            wait_until(condition, _PATIENCE_SECONDS)
        except TimeoutError:
            raise BenchmarkError("drill", problem, "see the time line") from None


@contextlib.contextmanager
def serving(folder: Path, timeline: Timeline, sections: Sections) -> Iterator[Demo]:
    """Run server and clients on the snapshot in `store/`, and the scheduler if it has jobs.

    Args:
        folder: Directory of the service.
        timeline: Time line to fill.
        sections: Configuration besides `[store]`, `[cron]` and `[notify]`.
    """
    with Inbox() as inbox, contextlib.ExitStack() as resources:
        has_jobs = any(name.startswith("cron.jobs.") for name in sections)
        write_config(folder, {**_sections(inbox.address), **sections})
        server = MarqueeServer(folder / STORE, folder, "--workers", "2")
        resources.enter_context(server)
        wait_until(lambda: read_health(server.address) == OK)
        clients = resources.enter_context(Clients(server.address))
        resources.enter_context(Watcher(timeline, inbox, server.address))
        scheduler = resources.enter_context(service(folder, "cron")) if has_jobs else None
        yield Demo(folder, timeline, server, clients, scheduler)


def service(folder: Path, *command: str) -> Servers:
    """Return `python -m COMMAND`, as a process to be started in the directory of the service."""
    started = Command([sys.executable, "-m", *command])
    return Servers(command[-1], [started], folder=folder, environment=clean_environment())


def write_lists(folder: Path) -> None:
    """Publish a snapshot of made-up lists, for drills without a refresh."""
    write_snapshot(folder / STORE, N_USERS)


def refreshed(folder: Path, n_later: int = 0) -> World:
    """Collect a week of a small world, and publish a real refresh of it; return the world.

    Args:
        folder: Directory of the service, empty.
        n_later: Number of further days, whose logs wait in `later/`.
    """
    world = make_world(N_USERS, _N_ITEMS, _SEED, n_days=N_DAYS + n_later)
    write_history(world, folder / HISTORY, HistoryOptions(views_per_user=_VIEWS_PER_USER))
    logs, later = folder / "logs", folder / LATER
    (folder / EVENTS).rename(logs)
    later.mkdir()
    for log in sorted(logs.iterdir())[N_DAYS:]:
        log.rename(later / log.name)
    write_config(folder, {**_sections(""), **refresh_sections()})
    run(folder, "batch", "ingest", "--events", logs.name, "--out", str(EVENTS))
    run(folder, "cron", "run", "refresh")
    return world


def refresh_sections() -> dict[str, dict[str, Any]]:
    """Return the sections of a refresh of that history."""
    files = {name: [f"{HISTORY}/{name}.jsonl"] for name in ("catalogue", "profiles")}
    return {"batch": {"model": "popularity", "events": [str(EVENTS)], **files}}


def run(folder: Path, *arguments: str) -> None:
    """Run `python -m ARGUMENTS` in the directory of the service, and wait for it.

    Raises:
        BenchmarkError: It failed; the message holds the end of its output.
    """
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, env=clean_environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        error = done.stderr.strip()[-_SHOWN_CHARACTERS:]
        raise BenchmarkError(" ".join(arguments), error, "see its message")


def _sections(url: str) -> dict[str, dict[str, Any]]:
    far_away = datetime.now() + timedelta(hours=12)  # noqa: DTZ005 - `at` is the machine's time
    return {
        "store": {"path": str(STORE)},
        "cron": {"path": "cron", "log_dir": "log", "at": f"{far_away:%H:%M}"},
        "notify": {
            "command": [sys.executable, "-c", POST.format(url=url)],
            "min_free_mib": 0.001,
        },
    }
