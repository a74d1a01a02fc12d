"""The errors of the live simulator."""

from store.errors import MarqueeError


class LiveError(MarqueeError):
    """A part of the live simulator cannot be started, or has failed."""

    remedy = "`python -m benchmarks.simulator live --help` lists the options"


class StreamError(LiveError):
    """The stream cannot be opened, or lines were lost when it was closed."""


class ApiError(LiveError):
    """The APIs cannot be started."""


class FaultError(LiveError):
    """A fault specification has an unknown kind, a wrong key or value, or an unknown item."""
