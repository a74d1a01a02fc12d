"""The application: the hot path first, ordinary Falcon resources behind it."""

from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import Any, Final

import falcon
import lmdb

from serve.counting import ANSWERS, NOT_TIMED, Counts, outcome
from serve.processes import abort_on_corruption
from serve.resources.description import Description, TryPage
from serve.resources.errors import write_error, write_unexpected
from serve.resources.metrics import Metrics
from serve.resources.predict import Predict
from serve.resources.recommend import Recommend, Recommendations
from serve.resources.similar import Similar
from serve.resources.status import Health, ModelStatus, Ready
from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.worker.served import Served
from store.recent import RecentViews

_RECOMMEND: Final = "/recommend/"
_ID_AT: Final = len(_RECOMMEND)


class MarqueeApp(falcon.App[falcon.Request, falcon.Response]):
    """A Falcon app that answers known users before Falcon's router.

    Attributes:
        served: What is served now; None until the first snapshot is open.
        recent: What users have watched since; None where nobody collects it.
        hidden: Items taken down, as they stand in a list.
        counts: Of this worker's answers.
        settings: Of the server.
        page: Shared with the supervisor and the other workers.
    """

    def __init__(self, page: Scoreboard, settings: ServeSettings, counts: Counts) -> None:
        super().__init__(media_type=falcon.MEDIA_JSON, middleware=[_Counting(counts)])
        self.served: Served | None = None
        self.recent: RecentViews | None = None
        self.hidden: frozenset[bytes] = frozenset()
        self.counts = counts
        self.settings = settings
        self.page = page
        self._own_lists = counts.own_lists
        self.set_error_serializer(write_error)
        self.add_error_handler(Exception, write_unexpected)
        for route, resource in {
            _RECOMMEND + "{user_id:path}": Recommend(self),
            "/recommendations": Recommendations(self),
            "/similar/{item_id:path}": Similar(self),
            "/predict": Predict(self),
            "/model/status": ModelStatus(self),
            "/healthz": Health(self),
            "/readyz": Ready(self),
            "/metrics": Metrics(self),
            "/openapi.json": Description(has_admin=bool(settings.token())),
            "/": TryPage(),
        }.items():
            # Compiled now, not at the first request of every worker.
            self.add_route(route, resource, compile=True)

    def __call__(self, env: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        served = self.served  # once: a swap falls between two requests, never into one
        path = env["PATH_INFO"]
        user_id = path[_ID_AT:]
        if (
            served is not None
            and user_id  # LMDB refuses an empty key
            and path.startswith(_RECOMMEND)
            and env["REQUEST_METHOD"] == "GET"
            and "QUERY_STRING" not in env
        ):
            # No need to validate the id: what is a key of `users` was valid when it was written.
            count = self._own_lists
            number = count[ANSWERS]
            began = 0 if number & NOT_TIMED else perf_counter_ns()
            try:
                body = served.get(user_id.encode())
            except lmdb.Error as error:
                abort_on_corruption(error)
            if body is not None:
                start_response("200 OK", served.headers[len(body)])
                count[ANSWERS] = number + 1
                if began:
                    self.counts.time_own_list(perf_counter_ns() - began)
                return [body]
        return super().__call__(env, start_response)


class _Counting:
    """Falcon middleware: counts what the hot path did not answer."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def process_request(self, req: falcon.Request, _: falcon.Response) -> None:
        req.context.began = perf_counter_ns()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, _resource: object, _succeeded: bool
    ) -> None:
        nanoseconds = perf_counter_ns() - req.context.began
        self._counts.add(outcome(resp.context.get("source"), resp.status_code), nanoseconds)
