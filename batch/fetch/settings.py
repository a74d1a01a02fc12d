"""The `[fetch]` section of `marquee.toml`."""

import math
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """The section `[fetch]`: the APIs of users and movies, and the copies of their answers.

    Attributes:
        user_url: URL of the user API, to which `/ID,ID,…` is added: `http://HOST:8080/user`;
            empty: not asked.
        movie_url: URL of the movie API, such as `http://HOST:8080/movie`; empty: not asked.
        path: Directory of the copies, `movies.parquet` and `users.parquet`.
        rate: Maximum requests a second, to both APIs together.
        ids_per_request: Number of ids of a request, 1 to 200; older editions take 1.
        timeout_seconds: Maximum time of one try.
        retries: Number of further tries after one that failed, with pauses that double up to
            30 s; 10 outlast an outage of 90 s.
        max_age_days: Age in days from which an answer is asked for again.
    """

    user_url: str = ""
    movie_url: str = ""
    path: str = "var/api"
    rate: float = 10.0
    ids_per_request: int = 200
    timeout_seconds: float = 10.0
    retries: int = 10
    max_age_days: float = 7.0

    def __post_init__(self) -> None:
        for name in ("user_url", "movie_url"):
            if getattr(self, name) and not _is_base_url(getattr(self, name)):
                raise ValueError(f"{name} must be http://HOST/PATH or https://…, without ? and #")
        for name in ("rate", "timeout_seconds"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, and finite, not {getattr(self, name)}")
        if not 0 <= self.max_age_days < math.inf:
            raise ValueError(f"max_age_days must be 0 or more, and finite, not {self.max_age_days}")
        if self.retries < 0:
            raise ValueError(f"retries must be 0 or more, not {self.retries}")
        if not 1 <= self.ids_per_request <= 200:
            raise ValueError(f"ids_per_request must lie between 1 and 200: {self.ids_per_request}")
        if not self.path:
            raise ValueError("path must not be empty")


def _is_base_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if it is not a number
    except ValueError:
        return False
    is_http = parts.scheme in ("http", "https") and bool(parts.hostname)
    return is_http and not parts.query and not parts.fragment
