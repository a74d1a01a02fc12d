"""The application: the hot path first, Falcon's resources behind it."""

from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import Any, Final
from zlib import crc32

import falcon
import lmdb

from serve.counting import ANSWERS, UNTIMED_MASK, Counts, add_time, answer_kind
from serve.processes import abort_on_corruption
from serve.resources.description import Description, TryPage
from serve.resources.errors import write_error, write_unexpected
from serve.resources.metrics import Metrics
from serve.resources.predict import Predict
from serve.resources.recommend import Recommend, Recommendations
from serve.resources.similar import Similar
from serve.resources.status import Health, ModelStatus, Ready
from serve.worker.state import WorkerState
from store.assignment import BUCKET_MASK
from store.fresh import FILTER_MASK, FILTER_SHIFT

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

_RECOMMEND: Final = "/recommend/"
_ID_AT: Final = len(_RECOMMEND)


def make_app(state: WorkerState) -> WsgiApp:
    """Return a worker's WSGI application (PEP 3333)."""
    return add_hot_path(make_falcon_app(state), state)


def add_hot_path(app: falcon.App[falcon.Request, falcon.Response], state: WorkerState) -> WsgiApp:
    """Return an application that answers known users itself, and all else by `app`.

    A closure, since its variables cost less per request than attributes of `self`.
    """
    answer_by_falcon = app.__call__

    def answer(env: Environ, start_response: StartResponse) -> Iterable[bytes]:
        served = state.served  # read once: a swap falls between two requests, never into one
        path = env["PATH_INFO"]
        user_id = path[_ID_AT:]
        if (
            served is not None
            and user_id  # LMDB refuses an empty key
            and path.startswith(_RECOMMEND)
            and env["REQUEST_METHOD"] == "GET"
            and "QUERY_STRING" not in env
        ):
            # No need to validate the id: a key of `users` was valid when it was written.
            key = user_id.encode()
            arms = served.arm_by_bucket  # None without an experiment
            served = served if arms is None else served.in_arm[arms[crc32(key) & BUCKET_MASK]]
            row, fresh_row = served.rows
            began = 0 if (row[ANSWERS] + fresh_row[ANSWERS]) & UNTIMED_MASK else perf_counter_ns()
            fresh = served.fresh
            try:
                if (
                    fresh is not None
                    and fresh.filter[(number := crc32(key)) & FILTER_MASK]
                    >> (number >> FILTER_SHIFT)
                    & 1
                ):
                    value = fresh.get(key)
                    if value is not None and (body := fresh.body(key, number, value)) is not None:
                        start_response("200 OK", fresh.headers[len(body)])
                        fresh_row[ANSWERS] += 1
                        if began:
                            add_time(fresh_row, perf_counter_ns() - began)
                        return [body]
                body = served.get(key)
            except lmdb.Error as error:
                if fresh is not None:  # closed by a tick, or damaged: once more without it
                    served.fresh = None
                    return answer(env, start_response)
                abort_on_corruption(error)
            if body is not None:
                start_response("200 OK", served.headers[len(body)])
                row[ANSWERS] += 1
                if began:
                    add_time(row, perf_counter_ns() - began)
                return [body]
        return answer_by_falcon(env, start_response)

    return answer


def make_falcon_app(state: WorkerState) -> falcon.App[falcon.Request, falcon.Response]:
    """Return the Falcon app of all routes."""
    app = falcon.App(media_type=falcon.MEDIA_JSON, middleware=[_Counting(state.counts)])
    if state.settings.hide_source:
        app.add_middleware(_HiddenSource())
    app.set_error_serializer(write_error)
    app.add_error_handler(Exception, write_unexpected)
    for route, resource in {
        _RECOMMEND + "{user_id:path}": Recommend(state),
        "/recommendations": Recommendations(state),
        "/similar/{item_id:path}": Similar(state),
        "/predict": Predict(state),
        "/model/status": ModelStatus(state),
        "/healthz": Health(state),
        "/readyz": Ready(state),
        "/metrics": Metrics(state),
        "/openapi.json": Description(
            has_admin=bool(state.settings.token()),
            has_events=state.settings.spool_mib > 0,
            has_pages=state.settings.pages != "off",
        ),
        "/": (try_page := TryPage()),  # without the pages; `/try` beside them
        "/try": try_page,
    }.items():
        # Compiled now, not at the first request of every worker.
        app.add_route(route, resource, compile=True)
    return app


class _Counting:
    """Falcon middleware: counts the answers that the hot path did not give."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def process_request(self, req: falcon.Request, _: falcon.Response) -> None:
        req.context.began = perf_counter_ns()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, _resource: object, _succeeded: bool
    ) -> None:
        nanoseconds = perf_counter_ns() - req.context.began
        self._counts.add(answer_kind(resp.context.get("source"), resp.status_code), nanoseconds)
        if row := resp.context.get("arm_row"):
            row[ANSWERS] += 1
            add_time(row, nanoseconds)


class _HiddenSource:
    """Falcon middleware: leaves out of answers what shows whether a user is known."""

    def process_response(
        self, _: falcon.Request, resp: falcon.Response, _resource: object, _succeeded: bool
    ) -> None:
        resp.delete_header("X-Marquee-Source")
        if isinstance(resp.media, dict):
            for key in ("source", "basis"):
                resp.media.pop(key, None)
