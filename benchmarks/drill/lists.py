"""Drills of the refresh: a bad model, and a full disk."""

import resource
import shutil
from pathlib import Path
from typing import Final

from benchmarks.drill.demo import Demo, Impact, refresh_sections, refreshed, serving
from benchmarks.drill.timeline import Kind, Timeline
from benchmarks.scenarios.rehearsal.settings import EVENTS, HISTORY
from store.pointer import current

_ROOM_BYTES: Final = 32 << 10  # on the full disk: states and logs fit, snapshots do not
# Without retries, so that the drill takes seconds; the alarm follows the last of them.
_JOB: Final = {"cron.jobs.refresh": {"retries": 0, "nice": 0}}


def bad_model(folder: Path, timeline: Timeline) -> Impact:
    """Refresh from one day of events and a fifth of the profiles: the gate must refuse."""
    refreshed(folder)
    with serving(folder, timeline, {**refresh_sections(), **_JOB}) as demo:
        whole = folder / "whole"
        (folder / HISTORY).rename(whole)
        _cut_short(whole, folder / HISTORY)
        demo.fail("most events and profiles are missing when the refresh begins")
        demo.start_refresh()
        demo.wait_for(Kind.ALARM, "message: gate: ")
        (folder / HISTORY).rename(folder / "cut")
        whole.rename(folder / HISTORY)
        demo.request_refresh("events and profiles are restored")
        demo.wait_for(Kind.RECOVERY, "message: gate over: ")
        _wait_until_served(demo)
        return demo.finish()


def disk_full(folder: Path, timeline: Timeline) -> Impact:
    """Leave no room for a snapshot: files cannot grow above 32 KiB."""
    refreshed(folder)
    with serving(folder, timeline, {**refresh_sections(), **_JOB}) as demo:
        assert demo.scheduler
        [pid] = demo.scheduler.pids()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (_ROOM_BYTES, resource.RLIM_INFINITY))
        demo.fail("there is no room for a snapshot on the disk when the refresh begins")
        demo.start_refresh()
        demo.wait_for(Kind.ALARM, "message: job refresh: ")
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        demo.request_refresh("room is made on the disk")
        demo.wait_for(Kind.RECOVERY, "message: job refresh over: ")
        _wait_until_served(demo)
        return demo.finish()


def _cut_short(whole: Path, target: Path) -> None:
    """Copy a history without all events but those of its first day, and without most profiles."""
    shutil.copytree(whole, target, ignore=shutil.ignore_patterns("events"))
    views = EVENTS.relative_to(HISTORY) / "views"
    day = min(path.name for path in (whole / views).iterdir())
    shutil.copytree(whole / views / day, target / views / day)
    profiles = target / "profiles.jsonl"
    lines = profiles.read_text().splitlines(keepends=True)
    profiles.write_text("".join(lines[: len(lines) // 5]))


def _wait_until_served(demo: Demo) -> None:
    generation = current(demo.store)
    served = rf"worker \d+ serves generation {generation}\b"
    demo.wait_until(lambda: demo.server.count_in_log(served), "the lists are not served")
    demo.timeline.record(Kind.RECOVERY, f"generation {generation} is served")
