"""The server's one family of errors: what, where, and the way out."""


class ServeError(Exception):
    """The server cannot start as it was asked to."""

    def __init__(self, thing: str, what: str, way_out: str) -> None:
        super().__init__(f"{thing}: {what} ({way_out})")
