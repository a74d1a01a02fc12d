"""Response headers of lists, made once for each arm, source and length."""

from typing import Final

import falcon

Header = tuple[str, str]
ARM_HEADER: Final = "X-Marquee-Arm"
_LENGTH: Final = "Content-Length"


class Headers(dict[int, list[Header]]):
    """Headers of a user's own list by body length; a million users share a thousand lengths."""

    def __init__(
        self, generation: int, source: str, *, hide_source: bool = False, arm: str = ""
    ) -> None:
        in_arm = ((ARM_HEADER, arm),) if arm else ()
        self._common: tuple[Header, ...] = (
            ("Content-Type", falcon.MEDIA_TEXT),
            ("X-Marquee-Source", source),
            ("X-Marquee-Generation", str(generation)),
            *in_arm,
        )
        self._length = _LENGTH
        if hide_source:  # in the order and letters of Falcon, which answers unknown users
            self._common = (
                ("x-marquee-generation", str(generation)),
                *((name.lower(), value) for name, value in in_arm),
                ("content-type", falcon.MEDIA_TEXT),
            )
            self._length = _LENGTH.lower()

    def __missing__(self, n_bytes: int) -> list[Header]:
        made = self[n_bytes] = [*self._common, (self._length, str(n_bytes))]
        return made
