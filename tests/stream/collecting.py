"""Collectors for tests: opened on a folder, stepped by hand, judged by what they leave."""

import contextlib
import random
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from batch.events.ingest import ingest
from batch.events.partitions import partition_files
from batch.settings import BatchSettings
from stream.collect.command import open_collector
from stream.collect.file_source import FileSource
from stream.collect.folder import CollectorFolder
from stream.collect.ledger import read_state
from stream.settings import StreamSettings

ROOT = Path(__file__).resolve().parents[2]
MAX_LINE_BYTES = 1 << 19


def made_lines(n_lines, seed=7, n_broken=0):
    """Return lines of all kinds over three days, `n_broken` of them broken."""
    rng = random.Random(seed)
    lines = []
    for number in range(n_lines):
        at = f"2026-03-0{rng.randint(1, 3)}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:07"
        user, item = rng.randint(1, 50), f"m{rng.randint(1, 30)}+1999"
        lines.append(
            rng.choice(
                (
                    f"{at},{user},GET /data/m/{item}/{rng.randint(0, 120)}.mpg",
                    f"{at},{user},GET /data/m/{item}/{rng.randint(0, 120)}.mpg",
                    f"{at},{user},GET /rate/{item}={rng.randint(1, 5)}",
                    f"{at},{number},GET /create_account",
                    f"{at},{user},recommendation request host:8082, status 200, "
                    f"result: {item}, {rng.randint(1, 99)} ms",
                )
            )
        )
    for number in rng.sample(range(n_lines), n_broken):
        lines[number] = lines[number].replace(",", " ,", 1)
    return [line.encode() for line in lines]


def batch_settings(tmp_path, **changes):
    return BatchSettings(quarantine=str(tmp_path / "quarantine"), **changes)


def stream_settings(tmp_path, **changes):
    """Return settings without a port, by which nothing is flushed before a test says so."""
    changes = {"metrics_port": 0, "min_free_mib": 0.0, "flush_seconds": 3600.0, **changes}
    return StreamSettings(events=str(tmp_path / "events"), **changes)


@contextlib.contextmanager
def opened(tmp_path, files=(), **changes):
    """Open a collector of files."""
    settings = stream_settings(tmp_path, **changes)
    with open_collector(settings, batch_settings(tmp_path)) as (collector, upkeep):
        for path in files:
            source = FileSource(path, collector.ledger, collector, MAX_LINE_BYTES)
            collector.sources.append(source)
        yield collector, upkeep


def collect_all(collector):
    """Collect until the sources have nothing more."""
    while collector.step():
        pass


def collect_files(tmp_path, *files, **changes):
    """Collect all that files have, flush it, and end."""
    with opened(tmp_path, files, **changes) as (collector, _):
        collect_all(collector)
        collector.flush()


def ledger_state(tmp_path):
    return read_state(CollectorFolder(tmp_path / "events").ledger)


def rows_of(events, kind):
    """Return the folded rows of one type of event, from days' files and segments."""
    files = [path for path in partition_files(events) if path.parts[-3] == kind]
    rows = [
        tuple(row.values()) for path in files for row in pq.ParquetFile(path).read().to_pylist()
    ]
    if kind != "views":
        return sorted(set(rows), key=repr)
    folded: dict = {}
    for user, item, minutes, first, last in rows:
        key = user, item, first.date()
        old = folded.get(key, (minutes, first, last))
        folded[key] = max(minutes, old[0]), min(first, old[1]), max(last, old[2])
    return sorted((*key, *value) for key, value in folded.items())


def all_rows(events):
    return {kind: rows_of(events, kind) for kind in ("views", "ratings", "accounts", "answers")}


def bulk_rows(tmp_path, lines):
    """Return what the bulk parser makes of the same lines, and how many it rejects."""
    log = tmp_path / "bulk.log"
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    settings = BatchSettings(
        events=(str(log),), quarantine=str(tmp_path / "bulk-quarantine"), max_rejected_share=1.0
    )
    result = ingest(settings, tmp_path / "bulk-events")
    return all_rows(tmp_path / "bulk-events"), Counter(result.rejected)


def quarantined(tmp_path):
    """Return the fields of all quarantined lines."""
    return [
        tuple(line.split(b"\t", 3))
        for path in sorted((tmp_path / "quarantine").glob("*.tsv"))
        for line in path.read_bytes().split(b"\n")[:-1]
    ]


def check_nothing_lost(tmp_path, lines):
    """The ledger has each line once; rows and quarantine are those of the bulk parser."""
    state = ledger_state(tmp_path)
    rows, rejected = bulk_rows(tmp_path, lines)
    assert state.gaps == []
    assert (state.accepted + state.quarantined, state.quarantined) == (
        len(lines),
        rejected.total(),
    )
    assert all(len(ranges) == 1 for ranges in state.ranges.values())
    assert all_rows(tmp_path / "events") == rows
    assert Counter(line[0].decode() for line in quarantined(tmp_path)) == rejected
    assert not [*CollectorFolder(tmp_path / "events").pending.iterdir()]
