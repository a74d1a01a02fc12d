"""Views sorted into days on disk, so that a history of any size needs the memory of one day.

folder/day-0000.views   records of VIEW in the order in which they were drawn, by user
"""

from pathlib import Path

import numpy as np

from batch.arrays import Records
from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.parallel import in_order
from benchmarks.simulator.world.views import VIEW, ViewSource


class Spill:
    """Views of a history, by the day on which they begin.

    Args:
        folder: Empty directory; the caller removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.n_views = 0

    def fill(self, source: ViewSource) -> None:
        """Draw all views and sort them into days."""
        for views in in_order(source.draw, source.blocks()):
            self.n_views += len(views)
            day = (views["began"] // DAY_SECONDS).astype(np.uint16)
            order = np.argsort(day, kind="stable")  # radix: 16 bits
            days, begins = np.unique(day[order], return_index=True)
            for one, rows in zip(days.tolist(), np.split(order, begins[1:]), strict=True):
                with self._path(one).open("ab") as file:
                    views[rows].tofile(file)

    def day(self, day: int) -> Records:
        """Return the views that begin on a day, in order of time; none if there is no such day."""
        path = self._path(day)
        if not path.exists():
            return np.empty(0, VIEW)
        views = np.fromfile(path, VIEW)
        return views[np.argsort(views["began"], kind="stable")]

    def _path(self, day: int) -> Path:
        return self._folder / f"day-{day:04d}.views"
