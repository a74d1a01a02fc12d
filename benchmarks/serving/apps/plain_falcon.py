"""An ordinary Falcon resource with the same lookup, for bjoern and for Granian.

python -m benchmarks.serving.apps.plain_falcon PORT recs.mdb
RECS=recs.mdb granian --interface wsgi benchmarks.serving.apps.plain_falcon:granian --factory
"""

import os
import sys
from collections.abc import Callable

import falcon

from benchmarks.serving.apps.lookup import open_users

App = falcon.App[falcon.Request, falcon.Response]


class Recommend:
    """`/recommend/{user_id}`."""

    def __init__(self, get: Callable[[bytes], bytes | None]) -> None:
        self._get = get

    def on_get(self, _: falcon.Request, resp: falcon.Response, user_id: str) -> None:
        """Answer with the user's list."""
        body = self._get(user_id.encode())
        if body is None:
            raise falcon.HTTPNotFound
        resp.content_type = falcon.MEDIA_TEXT
        resp.data = body


def make_app(recs: str) -> App:
    """Return the application over one `recs.mdb`."""
    app = falcon.App()
    app.add_route("/recommend/{user_id}", Recommend(open_users(recs)))
    return app


def granian() -> App:
    """Return the application in a worker of Granian, which passes no arguments."""
    return make_app(os.environ["RECS"])


def main() -> None:
    """Serve on bjoern until killed."""
    import bjoern  # not installed in Granian's interpreter

    port, recs = sys.argv[1:]
    bjoern.run(make_app(recs), "127.0.0.1", int(port))


if __name__ == "__main__":
    main()
