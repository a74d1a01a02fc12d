"""`/recommend/{user_id}` for requests that the hot path does not answer, and its POST form."""

import logging
from collections.abc import Sequence
from typing import Any

import falcon
import lmdb

from serve.resources.params import Query, bad, json_body, n_items_of, user_id_of
from serve.worker.fallback import Answer
from serve.worker.headers import ARM_HEADER
from serve.worker.served import Served
from serve.worker.state import WorkerState
from store.ids import USER_ID_RULE, is_user_id

log = logging.getLogger(__name__)

_RETRY_SECONDS = 5
_SHOWN_FIELDS = ("title", "year", "genres")


class Recommend:
    """One line of item ids; `?n=`, `?history=`, `?format=json`."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state

    def on_get(self, req: falcon.Request, resp: falcon.Response, user_id: str) -> None:
        if not is_user_id(user_id):
            raise bad("malformed user id", USER_ID_RULE)
        query = Query.of(req)
        served = _of_user(self._state.served, user_id)  # read once: a tick may swap it at any line
        answer = best_list(self._state, served, user_id, query.history)
        names = answer.names[: query.n]
        set_source_headers(resp, served, answer.source)
        _set_closed_shard(resp, served, user_id, answer.source)
        if query.n_ignored:
            resp.set_header("X-Marquee-Ignored", f"{query.n_ignored} history ids")
        if query.as_json:
            resp.media = described(served, user_id, answer.source, names)
        else:
            resp.content_type = falcon.MEDIA_TEXT
            resp.data = b",".join(names)

    on_head = on_get  # Falcon leaves out the body and keeps its length


class Recommendations:
    """The same list as JSON, by POST."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = json_body(req)
        user_id, n = user_id_of(body), n_items_of(body, "n_recommendations")
        served = _of_user(self._state.served, user_id)
        answer = best_list(self._state, served, user_id)
        set_source_headers(resp, served, answer.source)
        _set_closed_shard(resp, served, user_id, answer.source)
        resp.media = described(served, user_id, answer.source, answer.names[:n])


def best_list(
    state: WorkerState, served: Served | None, user_id: str, history: Sequence[bytes] = ()
) -> Answer:
    """Return a user's list, or the best fallback.

    Raises:
        falcon.HTTPServiceUnavailable: Neither a snapshot nor an `emergency_list` is available.
    """
    if served:
        user = user_id.encode()
        answer = served.answer(user, history, _recent(state, served, user))
        if not answer.names:  # they have seen everything: repeated items are better than none
            answer = served.answer(user)
        if answer.names:
            return answer
    emergency = [name.encode() for name in state.settings.emergency_list]
    if names := [name for name in emergency if name not in state.hidden]:
        return Answer("static", names)
    raise falcon.HTTPServiceUnavailable(
        title="no list to serve yet",
        description="nothing has been published: run `python -m batch refresh`",
        retry_after=_RETRY_SECONDS,
    )


def set_source_headers(resp: falcon.Response, served: Served | None, source: str) -> None:
    """Set the headers that name an answer's source, generation and arm."""
    resp.context["source"] = source
    resp.set_header("X-Marquee-Source", source)
    if served:
        resp.set_header("X-Marquee-Generation", str(served.generation))
        if served.arm:
            resp.context["arm_row"] = served.other_row
            resp.set_header(ARM_HEADER, served.arm)


def _set_closed_shard(
    resp: falcon.Response, served: Served | None, user_id: str, source: str
) -> None:
    """Name the user's shard where another machine has it, and so maybe a list."""
    shard = served.snapshot.closed_shard_of(user_id.encode()) if served else None
    if shard is not None and source != "fresh":
        resp.context["source"] = "closed_shard"
        resp.set_header("X-Marquee-Closed-Shard", str(shard))


def described(
    served: Served | None, user_id: str, source: str, names: Sequence[bytes]
) -> dict[str, Any]:
    """Return a list as JSON, with the catalogue data of each item."""
    return {
        "user_id": user_id,
        "source": source,
        "generation": served.generation if served else None,
        "items": [described_item(served, name) for name in names],
    }


def described_item(served: Served | None, name: bytes) -> dict[str, Any]:
    """Return an item with the catalogue data that clients show."""
    about = (served.items.about(name) if served else None) or {}
    return {"item_id": name.decode()} | {key: about[key] for key in _SHOWN_FIELDS if key in about}


def _of_user(served: Served | None, user_id: str) -> Served | None:
    """Return what the arm of a user is served."""
    return served.of_user(user_id.encode()) if served else None


def _recent(state: WorkerState, served: Served, user_id: bytes) -> list[bytes]:
    """Look up recent views, only for a user without a list: the hot path stays one lookup."""
    if state.recent is None or served.get(user_id):
        return []
    try:
        return state.recent.get(user_id)
    except lmdb.Error as error:
        log.warning("recent views disabled, will reopen: %s", error)
        state.recent.close()  # LMDB must not have a file open twice
        state.recent = None  # the next tick opens it again
        return []
