"""The history: days of what the users of a world watched and rated, and who and what there is.

DIR/events/            one log a day, or Parquet by kind and day
DIR/catalogue.jsonl    answers of the movie API
DIR/profiles.jsonl     answers of the user API
DIR/broken.tsv         what noise has broken, if there was any
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
from benchmarks.simulator.log_formats import EDITIONS, Edition
from benchmarks.simulator.world.catalogue import write_catalogue
from benchmarks.simulator.world.profiles import write_profiles
from benchmarks.simulator.world.truth import Truth
from benchmarks.simulator.world.views import ViewSource
from benchmarks.simulator.world.world import World

DEFAULT_EDITION: Final = "2022"


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """How a history is written.

    Attributes:
        views_per_user: Mean number; None: as measured, which grows with the days.
        is_parquet: Tables instead of lines; they know no noise.
        edition: Of the lines.
        answers_share: Of the views before which a request was answered.
        noise: What breaks.
    """

    views_per_user: float | None = None
    is_parquet: bool = False
    edition: Edition = EDITIONS[DEFAULT_EDITION]
    answers_share: float = 0.0
    noise: Noise = field(default_factory=Noise)


@dataclass(frozen=True, slots=True)
class Written:
    """What a history holds.

    Attributes:
        n_views: Different pairs of a user and an item.
        n_events: Lines, or rows.
    """

    n_views: int
    n_events: int


def write_history(world: World, folder: Path, options: HistoryOptions) -> Written:
    """Write a whole history; what an earlier one left in `folder` is replaced.

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
        common = (truth, spill, options.edition, options.answers_share, folder)
        if options.is_parquet:
            n_events = TableWriter(*common).write()
        else:
            n_events = LogWriter(*common, options.noise).write()
    return Written(spill.n_views, n_events)


def _remove_earlier(folder: Path) -> None:
    """Remove what `write_history` makes and a shorter history would not replace."""
    (folder / BROKEN).unlink(missing_ok=True)
    for log in (folder / "events").glob("????-??-??.log"):
        log.unlink()
    for kind in KINDS:
        shutil.rmtree(folder / "events" / kind, ignore_errors=True)
