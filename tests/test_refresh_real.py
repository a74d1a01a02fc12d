"""The refresh on real files, of every kind."""

import gzip
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from store.check import broken_records
from store.snapshot import open_snapshot
from tests.refreshes import run_refresh, users_served_seen_items


def seen_in(*paths: Path) -> dict[str, set[str]]:
    """Return each user's items, read without the parsers of the batch."""
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for path in paths:
        for user, item in _pairs(path):
            seen[user].add(item)
    return dict(seen)  # an unknown user of the snapshot is an error


def _pairs(path: Path):
    if path.suffix == ".parquet":
        yield from zip(*(column.to_pylist() for column in pq.read_table(path)), strict=True)
        return
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", errors="replace") as lines:
        for line in lines:
            if path.suffix != ".log":
                if " " not in line:  # a damaged line is rejected: its item is not seen
                    yield tuple(re.split("[\\t,]", line.strip())[:2])
            elif found := re.search(r",(\d+),GET /(?:data/m|rate)/([^/=]+)[/=]", line):
                yield found.groups()


API = ("api/movies-2025.jsonl.gz", "api/movie-catalogue-2022.csv")


@dataclass(frozen=True)
class RealInput:
    """Real files, and figures of the summary that they must give.

    Attributes:
        events, catalogue, profiles: Paths under the folder of real data.
        figures: Values of the summary.
        dropped: Dropped events by reason.
        n_rejected: Number of rejected lines.
    """

    events: tuple[str, ...]
    catalogue: tuple[str, ...]
    profiles: tuple[str, ...]
    figures: dict[str, int]
    dropped: dict[str, int] = field(default_factory=dict)
    n_rejected: int = 0


REAL = {
    "noisy log": RealInput(
        ("stream/kafka-2022-11-noisy-50k.log",), API, ("api/users-2022.csv",),
        {"n_events": 50_000, "n_users": 29_719, "n_users_without": 62},
        {"item outside the catalogue": 107},
        51,
    ),
    "290k users": RealInput(
        ("stream/views-290k-users.tsv.gz",), API, (),
        {"n_events": 404_884, "n_users": 289_761, "n_users_without": 66, "n_interactions": 404_740},
        {"item outside the catalogue": 144},
    ),
    "ml-latest-small": RealInput(
        ("ml-latest-small/ratings.csv",), ("ml-latest-small/movies.csv",), (),
        {"n_users": 610}, n_rejected=1,  # line 522 of this copy has an address after its time
    ),
    "ml-100k": RealInput(
        ("ml-100k/u.data",), ("ml-100k/u.item",), ("ml-100k/u.user",),
        {"n_users": 943, "n_items": 1_682, "n_interactions": 100_000},
    ),
    "ml-1m": RealInput(
        ("ml-1m/pairs.parquet",), ("ml-1m/movies.dat",), ("ml-1m/users.dat",),
        {"n_users": 6_040, "n_items": 3_883, "n_interactions": 1_000_209},
    ),
}  # fmt: skip


ALONE = {"290k users": pytest.mark.alone}


@pytest.mark.parametrize(
    "real",
    [pytest.param(real, id=name, marks=ALONE.get(name, ())) for name, real in REAL.items()],
)
def test_real_files_give_valid_lists(shared_data, tmp_path, monkeypatch, capsys, real):
    """Every user with an existing item gets a valid list of unseen items."""
    monkeypatch.chdir(tmp_path)
    arguments = [
        part
        for option in ("events", "catalogue", "profiles")
        if (names := getattr(real, option))
        for part in (f"--{option}", *(shared_data / name for name in names))
    ]
    config = tmp_path / "fast.toml"
    config.write_text(  # quality does not count here
        '[batch]\nmodel = "als"\niterations = 3\nn_factors = 32\nn_trees = 10\n'
    )
    summary = run_refresh(capsys, *arguments, "--store", "store", "--config", config)
    assert {key: summary[key] for key in real.figures} == real.figures
    assert summary["dropped"] == real.dropped
    assert sum(summary["rejected"].values()) == real.n_rejected
    seen = seen_in(*(shared_data / name for name in real.events))
    with open_snapshot(Path("store"), 1) as snapshot:
        assert list(broken_records(snapshot)) == []
        assert snapshot.manifest.counts["recs.mdb/users"] == real.figures["n_users"]
        assert users_served_seen_items(snapshot, seen) == []
