"""Settings of the report: section `[report]` of `marquee.toml`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """Settings of the report of a refresh.

    Attributes:
        online: Directory of the online figures by hour, as `[online] path`; it need not exist.
    """

    online: str = "var/online"

    def __post_init__(self) -> None:
        if not self.online:
            raise ValueError('online must name a directory, not ""')
