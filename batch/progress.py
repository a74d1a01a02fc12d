"""Progress callbacks, which every long computation takes and may be left out."""


def noop(*_: object) -> None:
    """Ignore the progress that is reported."""
