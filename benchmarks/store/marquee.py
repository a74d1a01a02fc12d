"""Marquee's store, through the product's writer and reader."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import lmdb

import store.manifest
from benchmarks.harness.snapshots import ABOUT, WHY
from benchmarks.store.subjects import Get, Records
from store.layout import FACTORS, INDEX, RECS, snapshot_folder
from store.progress import Advance, ignore
from store.publish import publish, writing
from store.snapshot import open_snapshot
from store.writer import SnapshotWriter

_GENERATION = 1


class Marquee:
    """A snapshot with the lists in table `users` of `recs.mdb`, and empty other tables."""

    name = "marquee"
    version = f"py-lmdb {lmdb.__version__}, LMDB {'.'.join(map(str, lmdb.version()))}"
    configuration = (
        "SnapshotWriter (append, fsync of every file and directory); "
        "open_snapshot(verified=True), Table.get"
    )

    def missing(self) -> str | None:
        """Return None: it is the product itself."""
        return None

    def write(self, folder: Path, records: Records) -> dict[str, float]:
        """Build, finish and publish one snapshot; "write" excludes the checksums."""
        with writing(folder), SnapshotWriter(folder) as writer, _checksums_timed() as seconds:
            start = time.perf_counter()
            writer.table(RECS, "users", records)
            for name in ("spares", "similar", "fallback", "profiles", "items", "rows"):
                writer.table(RECS, name, [])
            writer.table(FACTORS, "biases", [])
            writer.path(INDEX).touch()
            table_seconds = time.perf_counter() - start
            writer.finish(parameters={}, **ABOUT)
            whole = time.perf_counter() - start
            checksums = sum(seconds)
            publish(folder, _GENERATION, WHY)
            published = time.perf_counter() - start
        return {
            "write": whole - checksums,
            "write_with_checksums": whole,
            "write_and_publish": published,
            "table": table_seconds,
            "sync": whole - checksums - table_seconds,
            "checksums": checksums,
            "publish": published - whole,
            **_checked(folder),
        }

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Get]:
        """Open as a worker does: the supervisor has just verified the snapshot."""
        with open_snapshot(folder, _GENERATION, verified=True) as snapshot:
            yield snapshot.users.get

    def files(self, folder: Path) -> list[Path]:
        """Return the one file that a lookup maps."""
        return [snapshot_folder(folder, _GENERATION) / RECS]


def _checked(folder: Path) -> dict[str, float]:
    start = time.perf_counter()
    store.manifest.verify(snapshot_folder(folder, _GENERATION))
    verified = time.perf_counter()
    open_snapshot(folder, _GENERATION).close()
    return {"verify": verified - start, "open_and_verify": time.perf_counter() - verified}


@contextlib.contextmanager
def _checksums_timed() -> Iterator[list[float]]:
    """Yield the seconds of each checksum; the peers compute none."""
    seconds: list[float] = []
    sha256 = store.manifest.sha256

    def timed(path: Path, advance: Advance = ignore) -> str:
        start = time.perf_counter()
        digest = sha256(path, advance)
        seconds.append(time.perf_counter() - start)
        return digest

    with mock.patch("store.manifest.sha256", timed):
        yield seconds
