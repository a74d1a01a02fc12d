"""Work beside a benchmark, in a thread that runs while a `with` lasts."""

import abc
import threading
from types import TracebackType
from typing import Self


class Background(abc.ABC):
    """A context manager whose work runs in a thread of its own.

    A subclass works until `_is_over` is set.
    """

    def __init__(self) -> None:
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()

    @abc.abstractmethod
    def _run(self) -> None:
        """Work until `_is_over` is set."""
