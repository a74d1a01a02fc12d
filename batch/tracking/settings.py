"""The `[tracking]` section of `marquee.toml`."""

import math
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_MAX_SECONDS: Final = 3600.0
_URL: Final = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """The section `[tracking]`: systems that record each refresh, beside the store.

    Attributes:
        mlflow: URL of an MLflow server that gets a run and a model version for each refresh;
            empty: none.
        experiment: Name of the experiment of these runs.
        model: Name of the registered model.
        alias: Alias of the model version that is served.
        openlineage: File, or URL, that gets OpenLineage events of each refresh; empty: none.
        namespace: Namespace of the job in these events.
        path: Directory of what has not been delivered yet.
        timeout_seconds: Maximum time that a refresh waits at its end for the MLflow server.
    """

    mlflow: str = ""
    experiment: str = "marquee"
    model: str = "marquee"
    alias: str = "production"
    openlineage: str = ""
    namespace: str = "marquee"
    path: str = "var/tracking"
    timeout_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.mlflow and not is_url(self.mlflow):
            raise ValueError("mlflow must be the URL of a server, http://HOST:PORT or https://…")
        for key in ("mlflow", "openlineage"):
            if is_url(value := getattr(self, key)) and not _is_plain(value):
                raise ValueError(
                    f"{key} must be a valid URL without user and password; "
                    "batch/README.md names the variables of the environment for these"
                )
        for key in ("experiment", "model", "alias", "namespace", "path"):
            if not getattr(self, key).strip():
                raise ValueError(f"{key} must not be empty")
        if not 0 < self.timeout_seconds <= _MAX_SECONDS or math.isnan(self.timeout_seconds):
            raise ValueError(
                f"timeout_seconds must be above 0 and at most {_MAX_SECONDS:.0f}, "
                f"not {self.timeout_seconds}"
            )


def is_url(text: str) -> bool:
    """Return whether a target is an HTTP URL, not a file."""
    return text.startswith(_URL)


def _is_plain(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if it is not a number
    except ValueError:
        return False
    return bool(parts.hostname) and "@" not in parts.netloc
