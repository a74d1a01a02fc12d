"""The errors of the live simulator."""

from store.errors import MarqueeError


class LiveError(MarqueeError):
    """A part of the running simulator cannot do what it was asked for."""

    remedy = "`python -m benchmarks.simulator live --help` lists the options"


class StreamError(LiveError):
    """The stream cannot be opened, or lines were lost when it was closed."""


class ApiError(LiveError):
    """The APIs cannot be started."""


class TroubleError(LiveError):
    """Trouble that cannot be made: an unknown kind, a wrong key or value, a thing not there."""
