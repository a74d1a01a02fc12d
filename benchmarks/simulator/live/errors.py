"""The live simulator's one family of errors: the thing, what is wrong, and the way out."""


class LiveError(Exception):
    """A part of the running simulator cannot do what it was asked for."""

    def __init__(self, thing: object, what: str, way_out: str = "") -> None:
        super().__init__(f"{thing}: {what}" + (f" ({way_out})" if way_out else ""))


class StreamError(LiveError):
    """The stream cannot be opened, or lines were lost when it was closed."""


class ApiError(LiveError):
    """The APIs cannot be started."""


class TroubleError(LiveError):
    """Trouble that cannot be made: an unknown kind, a wrong key or value, a thing not there."""
