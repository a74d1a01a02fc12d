"""The server's family of errors."""

from store.errors import MarqueeError


class ServeError(MarqueeError):
    """The server cannot start as configured."""

    remedy = "`python -m serve --help` lists the options"
