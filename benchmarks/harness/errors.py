"""The errors of the benchmarks."""

import importlib.util

from store.errors import MarqueeError


class BenchmarkError(MarqueeError):
    """Something could not be measured."""

    remedy = "`--help` lists the options"


class NotInstalledError(BenchmarkError):
    """A program or package is missing, and was not or could not be installed."""


class RefusedError(BenchmarkError):
    """A subject does not start, or does not answer with the right list."""

    remedy = "its log says why"


class LoadError(BenchmarkError):
    """The load failed: connection errors, or answers that are not valid."""

    remedy = "the server's log says why"


def check_pyspark() -> None:
    """Raise NotInstalledError if PySpark is missing."""
    if importlib.util.find_spec("pyspark") is None:
        raise NotInstalledError("PySpark", "is not installed", "pip install 'marquee[spark]'")
