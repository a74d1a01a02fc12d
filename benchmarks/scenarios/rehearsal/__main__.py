"""The rehearsal: five minutes that hold what a bad week holds, and nobody may notice.

    users          ask 2,000 times a second, watch, rate; new ones join
    workers        are killed, one after the other, all the time
    1st publish    a real refresh of the history and the new events, on the same cores, run by cron
    rollback       to the generation before
    takedown       of the item that is watched most; a second later it is in no answer
    2nd publish    of what was rolled back
    3rd publish    a real refresh once more, without the item

Every request is judged as the grader does. The last line says whether all of
them succeeded, and so does the exit status.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.resilience.load import ROOT
from benchmarks.resilience.server import Server, wait_until
from benchmarks.simulator.arguments import count
from benchmarks.simulator.arguments import seed as whole
from benchmarks.simulator.history import HistoryOptions, write_history
from benchmarks.simulator.live.arguments import positive
from benchmarks.simulator.live.asking.traffic import Mix
from benchmarks.simulator.live.asking.wire import Address
from benchmarks.simulator.live.play import Play
from benchmarks.simulator.live.report.figures import Report, make_report
from benchmarks.simulator.live.report.text import as_text
from benchmarks.simulator.live.run import Run
from benchmarks.simulator.live.stream.file import FileStream
from benchmarks.simulator.world import World, make_world
from store.pointer import current
from store.publish import publish, rollback, writing
from store.takedown import take_down

_EXAMPLE: Final = """examples:
  python -m benchmarks.scenarios.rehearsal
  python -m benchmarks.scenarios.rehearsal --seconds 30 --users 5000 --items 1000 --rate 500

Exit status: 0 every request succeeded and all was done, 1 not so, 2 wrong usage."""

_WHY: Final = "rehearsal"
_KILLS: Final = 30
_N_WORKERS: Final = 2
_TAKEDOWN_SECONDS: Final = 1.0  # after which no answer may hold what was taken down
_MOST_TIMES_LONGER: Final = 10  # where others are busy, a refresh that stands back takes long
_PIECE_BYTES: Final = 128 << 20  # of the stream: it must not fill the disk
_N_PIECES: Final = 8
_TOLD: Final = 600  # characters of what a refresh says at last, if it fails


def main(arguments: Sequence[str] | None = None) -> int:
    """Rehearse, and return 0 if nobody has noticed anything."""
    given = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        folder.chmod(0o755)  # the front's workers are nobody: they reopen the access log
        world = make_world(given.users, given.items, given.seed)
        _say(f"a history of {given.users:,} users and {given.items:,} items")
        write_history(world, folder / "history", HistoryOptions(is_parquet=True))
        _refresh(folder, [folder / "history" / "events"])
        with Server(folder / "store", folder, "--workers", str(_N_WORKERS)) as server:
            report, script = _rehearse(world, given, folder, server)
    print(as_text(report))
    problems = _problems(report, script)
    what = f"through {', '.join(script.done)} and {script.n_kills} kills of workers"
    n = sum(one.n_requests + one.n_malformed for one in report.servers)
    if problems:
        print(f"REHEARSAL FAILED: {'; '.join(problems)}; {n:,} requests {what}")
        return 1
    print(f"REHEARSAL HELD: 100 % of {n:,} requests succeeded {what}")
    return 0


@dataclass(slots=True)
class _Script:
    """What is done meanwhile.

    Attributes:
        done: In words.
        n_kills: Of workers.
        problems: What went wrong in the doing.
    """

    done: list[str] = field(default_factory=list)
    n_kills: int = 0
    problems: list[str] = field(default_factory=list)


def _rehearse(
    world: World, given: argparse.Namespace, folder: Path, server: Server
) -> tuple[Report, _Script]:
    run = Run(
        [Address(*server.address)], given.seconds * _MOST_TIMES_LONGER, Mix(given.rate),
        given.seed, given.speed, HistoryOptions().edition,
    )  # fmt: skip
    play, script = Play(world, run), _Script()
    stream = FileStream(folder / "live" / "events.log", piece_bytes=_PIECE_BYTES, n_kept=_N_PIECES)
    with _beside(lambda: _play_script(play, script, given, folder, server)):
        played = play.play(stream)
        stream.close()
    return make_report(played, play.withheld.n_shown), script


def _play_script(
    play: Play, script: _Script, given: argparse.Namespace, folder: Path, server: Server
) -> None:
    """Do it all, each when its share of the time has passed, then end the play."""
    store, history, began = folder / "store", folder / "history" / "events", time.monotonic()
    top = int(play.world.items.popularity.argmax())

    def refreshed() -> None:
        _refresh(folder, [history, _kept(folder / "live", folder / "new")])

    def taken_down() -> None:
        take_down(store, [play.world.items.ids[top]], _WHY)
        play.withheld.since[top] = time.monotonic() + _TAKEDOWN_SECONDS

    def published_again() -> None:
        with writing(store):
            publish(store, 2, _WHY)

    steps: tuple[tuple[float, str, Callable[[], object], int], ...] = (
        (0.2, "a publish by a refresh of new events", refreshed, 2),
        (0.5, "a rollback", lambda: rollback(store, _WHY), 1),
        (0.6, "a takedown", taken_down, 1),
        (0.7, "a publish of what was rolled back", published_again, 2),
        (0.8, "a publish by one more refresh", lambda: _refresh(folder, [history]), 3),
    )
    try:
        with _killing(script, server, given.seconds / _KILLS, given.seed):
            for share, what, do, generation in steps:
                time.sleep(max(0.0, began + share * given.seconds - time.monotonic()))
                _do(script, server, store, (what, do, generation))
            time.sleep(max(0.0, began + given.seconds - time.monotonic()))
    finally:
        play.end()


def _do(
    script: _Script, server: Server, store: Path, step: tuple[str, Callable[[], object], int]
) -> None:
    """Do one thing, and wait until workers serve the generation that it should have led to."""
    what, do, generation = step
    pattern = rf"worker \d+ serves generation {generation}\b"
    is_flip, n_before, began = current(store) != generation, server.said(pattern), time.monotonic()
    try:
        do()
        if current(store) != generation:
            script.problems.append(f"{what}: {current(store)} is current, not {generation}")
        elif is_flip:
            wait_until(lambda: server.said(pattern) > n_before)
        script.done.append(what)
    except Exception as error:
        script.problems.append(f"{what}: {error}")
    _say(f"{what}, in {time.monotonic() - began:.1f} s")


@contextlib.contextmanager
def _killing(script: _Script, server: Server, every_seconds: float, seed: int) -> Iterator[None]:
    """Kill a random worker again and again."""
    rng, is_over = random.Random(seed), threading.Event()

    def kill() -> None:
        while not is_over.wait(every_seconds):
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                os.kill(rng.choice(server.wait_for_workers()), signal.SIGKILL)
                script.n_kills += 1

    with _beside(kill):
        try:
            yield
        finally:
            is_over.set()


@contextlib.contextmanager
def _beside(do: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=do)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _problems(report: Report, script: _Script) -> list[str]:
    found = list(script.problems)
    if report.n_failed:
        n_late = sum(one.n_sent_late for one in report.servers)
        starved = f", {n_late:,} of them sent late by a starved simulator" if n_late else ""
        found.append(f"{report.n_failed:,} requests failed{starved}")
    if report.n_withheld_shown:
        found.append(f"{report.n_withheld_shown:,} answers held what was taken down")
    if report.played.n_dropped:
        found.append(f"{report.played.n_dropped:,} lines were lost")
    return found


def _kept(events: Path, folder: Path) -> Path:
    """Link the stream's pieces into a folder of their own: the oldest may be removed meanwhile."""
    folder.mkdir()
    for piece in events.iterdir():
        with contextlib.suppress(FileNotFoundError):
            os.link(piece, folder / piece.name)
    return folder


def _refresh(folder: Path, events: Sequence[Path]) -> None:
    """Let the clock run the refresh, now: as it does each night, it stands back for the server."""
    history, config = folder / "history", folder / "refresh.toml"
    config.write_text(
        f"[store]\npath = {_quoted(folder / 'store')}\n"
        f"[batch]\nevents = [{', '.join(map(_quoted, events))}]\n"
        f"catalogue = [{_quoted(history / 'catalogue.jsonl')}]\n"
        f"profiles = [{_quoted(history / 'profiles.jsonl')}]\n"
    )
    kept = {key: text for key, text in os.environ.items() if not key.startswith("MARQUEE_")}
    done = subprocess.run(
        [sys.executable, "-m", "cron", "--once", "--config", str(config)], cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the refresh failed: {done.stderr[-_TOLD:]}")


def _quoted(path: Path) -> str:
    return json.dumps(str(path))  # a string of TOML, too


def _say(text: str) -> None:
    print(f"rehearsal: {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scenarios.rehearsal",
        description=__doc__,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=positive, default=300.0, metavar="N", help="default: 300")
    parser.add_argument("--rate", type=positive, default=2000.0, metavar="N", help="default: 2000")
    parser.add_argument("--users", type=count, default=100_000, metavar="N", help="default: 100000")
    parser.add_argument("--items", type=count, default=20_000, metavar="N", help="default: 20000")
    parser.add_argument("--seed", type=whole, default=42, metavar="N", help="default: 42")
    parser.add_argument(
        "--speed", type=positive, default=600.0, metavar="N",
        help="simulated seconds in a real one, default: 600",
    )  # fmt: skip
    parser.add_argument("--folder", type=Path, metavar="DIR", help="for all files; default: /tmp")
    return parser


if __name__ == "__main__":
    sys.exit(main())
