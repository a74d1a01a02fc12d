"""The benchmark's one family of errors: what, where, and the way out."""


class BenchmarkError(Exception):
    """Something could not be measured."""

    def __init__(self, thing: str, what: str, way_out: str = "") -> None:
        super().__init__(f"{thing}: {what}" + (f" ({way_out})" if way_out else ""))


class NotInstalledError(BenchmarkError):
    """A program or package is not there, and was not or could not be installed."""


class RefusedError(BenchmarkError):
    """A subject does not start, or does not answer with the list that it should."""


class LoadError(BenchmarkError):
    """The load went wrong: errors, or answers that are no good."""
