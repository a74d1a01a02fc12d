"""The errors of the benchmarks."""

from store.errors import MarqueeError


class BenchmarkError(MarqueeError):
    """Something could not be measured."""

    remedy = "`--help` lists the options"


class NotInstalledError(BenchmarkError):
    """A program or package is not there, and was not or could not be installed."""


class RefusedError(BenchmarkError):
    """A subject does not start, or does not answer with the list that it should."""


class LoadError(BenchmarkError):
    """The load went wrong: errors, or answers that are not valid."""
