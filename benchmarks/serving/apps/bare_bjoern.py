"""bjoern alone: one constant answer, or one lookup.

python -m benchmarks.serving.apps.bare_bjoern PORT              a static list
python -m benchmarks.serving.apps.bare_bjoern PORT recs.mdb     the user's list
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any

import bjoern

from benchmarks.serving.apps.lookup import open_users

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_PREFIX_LENGTH = len("/recommend/")


def static(body: bytes) -> Application:
    """Return an application with one constant answer."""
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]

    def answer(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", headers)
        return [body]

    return answer


def looking_up(get: Callable[[bytes], bytes | None]) -> Application:
    """Return an application of one lookup: the upper limit of any server on bjoern."""

    def answer(env: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = get(env["PATH_INFO"][_PREFIX_LENGTH:].encode("latin-1"))
        if body is None:
            start_response("404 Not Found", [("Content-Length", "0")])
            return [b""]
        start_response(
            "200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        )
        return [body]

    return answer


def main() -> None:
    """Serve until killed."""
    port, *recs = sys.argv[1:]
    application = looking_up(open_users(recs[0])) if recs else static(sys.stdin.buffer.read())
    bjoern.run(application, "127.0.0.1", int(port))


if __name__ == "__main__":
    main()
