"""Drills of the server: workers that crash, a takedown, a machine that is lost."""

import contextlib
import os
import shutil
import signal
import struct
from pathlib import Path
from typing import Final

from benchmarks.drill.answers import answer_of, holds_item
from benchmarks.drill.demo import N_USERS, WHY, Impact, run, serving, write_lists
from benchmarks.drill.timeline import Kind, Timeline
from benchmarks.harness.processes import processes_of
from benchmarks.harness.servers import MarqueeServer
from benchmarks.resilience.lists import write_snapshot
from benchmarks.scenarios.rehearsal.settings import STORE
from store.layout import CHECKSUMS, DATA_FILES, MANIFEST, RECS, snapshot_folder
from store.manifest import sha256
from store.publish import publish, writing

_BACKUP: Final = "backup"
_HUGE: Final = (64 << 20) >> 16  # upper half of a length behind the end of the file
_N_ANSWERS: Final = 50  # in a row, by new connections, so that every worker answers some


def worker_crash_loop(folder: Path, timeline: Timeline) -> Impact:
    """Publish a snapshot whose lists crash every worker that reads one."""
    write_lists(folder)
    with serving(folder, timeline, {}) as demo:
        demo.fail("a snapshot is published whose pages are damaged under valid checksums")
        generation = _publish_damaged(demo.store)
        demo.wait_for(Kind.ALARM, "healthz: ")
        demo.act("the server falls back to the generation served before, by itself")
        demo.command("store", "rollback", "--why", WHY)
        demo.wait_for(Kind.RECOVERY, "healthz: ok")
        n_workers = len(demo.server.wait_for_workers())
        demo.timeline.record(
            Kind.RECOVERY, f"{n_workers} workers serve, none of them generation {generation}"
        )
        return demo.finish()


def takedown_request(folder: Path, timeline: Timeline) -> Impact:
    """Take an item down that a rights holder names, and look for it in answers."""
    write_lists(folder)
    with serving(folder, timeline, {}) as demo:
        item = answer_of(demo.server.address, 1)[0]
        demo.fail(f"item {item} is in lists, and must not be")
        timeline.record(Kind.ALARM, "the rights holder asks for it")
        demo.command("store", "takedown", item, "--why", WHY)
        users = [n % N_USERS for n in range(1, _N_ANSWERS + 1)]
        demo.wait_until(
            lambda: not any(holds_item(demo.server.address, user, item) for user in users),
            "the item is still shown",
        )
        timeline.record(Kind.RECOVERY, f"none of {_N_ANSWERS} answers in a row holds it")
        return demo.finish()


def lost_machine(folder: Path, timeline: Timeline) -> Impact:
    """Kill every process of the server at once, and remove its store."""
    write_lists(folder)
    run(folder, "store", "--store", str(STORE), "push", _BACKUP)
    with serving(folder, timeline, {}) as demo:
        demo.fail("the machine is gone: all processes at once, and the disk with the store")
        _lose(demo.server, demo.store)
        demo.wait_for(Kind.ALARM, "healthz: no answer")
        demo.command("store", "pull", _BACKUP)
        demo.act("a server is started at the same address")
        port = demo.server.address.port
        other = folder / "other"
        other.mkdir()
        with MarqueeServer(demo.store, other, "--workers", "2", port=port):
            demo.wait_for(Kind.RECOVERY, "healthz: ok")
            answered = demo.clients.n_requests - demo.clients.n_failed
            demo.wait_until(
                lambda: demo.clients.n_requests - demo.clients.n_failed > answered,
                "clients get no lists",
            )
            timeline.record(Kind.RECOVERY, "clients get lists again")
            return demo.finish()


def _lose(server: MarqueeServer, store: Path) -> None:
    while left := processes_of(server.process.pid):  # a process may have had a child meanwhile
        for one in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
    shutil.rmtree(store)


def _publish_damaged(store: Path) -> int:
    """Publish a snapshot in which the length of every user's list leaves the file."""
    generation = write_snapshot(store, N_USERS, flip=False)
    folder = snapshot_folder(store, generation)
    recs = bytearray((folder / RECS).read_bytes())
    for user in range(N_USERS):
        key = b"%d" % user
        # A node of a leaf: two halves of the length of its value, flags, length of the key, key.
        at = recs.index(struct.pack("<HH", 0, len(key)) + key)
        struct.pack_into("<H", recs, at - 2, _HUGE)
    (folder / RECS).write_bytes(recs)
    lines = [f"{sha256(folder / name)}  {name}\n" for name in sorted((*DATA_FILES, MANIFEST))]
    (folder / CHECKSUMS).write_text("".join(lines))
    with writing(store):
        publish(store, generation, WHY)
    return generation
