"""Writing a history: days of views and ratings of a world's users, its catalogue and profiles.

DIR/events/            one log a day, or Parquet by kind and day
DIR/catalogue.jsonl    answers of the movie API
DIR/profiles.jsonl     answers of the user API
DIR/broken.tsv         lines broken by noise, if there is any
"""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.simulator.history.logs import BROKEN, LogWriter
from benchmarks.simulator.history.noise import Noise
from benchmarks.simulator.history.spill import Spill
from benchmarks.simulator.history.tables import KINDS, TableWriter
from benchmarks.simulator.log_formats import LOG_FORMATS, LogFormat
from benchmarks.simulator.world.catalogue import write_catalogue
from benchmarks.simulator.world.profiles import write_profiles
from benchmarks.simulator.world.truth import Truth
from benchmarks.simulator.world.views import ViewSource
from benchmarks.simulator.world.world import World

DEFAULT_LOG_FORMAT: Final = "2022"


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """How a history is written.

    Attributes:
        views_per_user: Mean number of views of a user; None: the measured one, which grows
            with the days.
        is_parquet: Whether tables are written instead of lines; tables have no noise.
        log_format: Format of the lines.
        answers_share: Share of the views before which a request was answered.
        noise: Kinds and rates of broken lines.
    """

    views_per_user: float | None = None
    is_parquet: bool = False
    log_format: LogFormat = LOG_FORMATS[DEFAULT_LOG_FORMAT]
    answers_share: float = 0.0
    noise: Noise = field(default_factory=Noise)


@dataclass(frozen=True, slots=True)
class WrittenHistory:
    """Size of a history.

    Attributes:
        n_views: Number of distinct pairs of a user and an item.
        n_events: Number of lines, or of rows.
    """

    n_views: int
    n_events: int


def write_history(world: World, folder: Path, options: HistoryOptions) -> WrittenHistory:
    """Write a whole history; files of an earlier one in `folder` are replaced.

    Raises:
        OSError: A file cannot be written.
    """
    events = folder / "events"
    events.mkdir(parents=True, exist_ok=True)
    _remove_earlier(folder)
    write_catalogue(world.items, world.seed, folder / "catalogue.jsonl")
    write_profiles(world.users, world.seed, folder / "profiles.jsonl")
    truth = Truth(world)
    with tempfile.TemporaryDirectory(prefix=".views-", dir=folder) as spill_folder:
        spill = Spill(Path(spill_folder))
        spill.fill(ViewSource(truth, options.views_per_user))
        common = (truth, spill, options.log_format, options.answers_share, folder)
        if options.is_parquet:
            n_events = TableWriter(*common).write()
        else:
            n_events = LogWriter(*common, options.noise).write()
    return WrittenHistory(spill.n_views, n_events)


def _remove_earlier(folder: Path) -> None:
    """Remove files of an earlier history that a shorter one would not replace."""
    (folder / BROKEN).unlink(missing_ok=True)
    for log in (folder / "events").glob("????-??-??.log"):
        log.unlink()
    for kind in KINDS:
        shutil.rmtree(folder / "events" / kind, ignore_errors=True)
