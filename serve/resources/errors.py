"""Errors: one line of text under `/recommend/`, problem+json (RFC 9457) elsewhere."""

import logging
from typing import Any, NoReturn

import falcon
import lmdb

from serve.contract import PROBLEM_HEADERS
from serve.processes import abort_on_corruption

log = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"


def write_error(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Write the problem and its remedy into the body."""
    if req.path.startswith("/recommend/") and "format=json" not in req.query_string:
        text = ": ".join(part for part in (error.title, error.description) if part)
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = text + "\n"
        return
    resp.set_headers(PROBLEM_HEADERS)
    problem: dict[str, Any] = {"status": error.status_code, "title": error.title}
    if error.description:
        problem["detail"] = error.description
    resp.content_type = PROBLEM_JSON
    resp.data = falcon.media.JSONHandler().serialize(problem, PROBLEM_JSON)


def write_unexpected(
    req: falcon.Request, _: falcon.Response, error: Exception, _params: dict[str, Any]
) -> NoReturn:
    """Log the exception, and answer 500 without any detail of it."""
    if isinstance(error, lmdb.Error):
        abort_on_corruption(error)
    log.error("request failed: %s %.200s", req.method, ascii(req.path), exc_info=error)
    raise falcon.HTTPInternalServerError(title="internal error")


def not_found(title: str, description: str) -> falcon.HTTPNotFound:
    """Return a 404 that names what does not exist."""
    return falcon.HTTPNotFound(title=title, description=description)
