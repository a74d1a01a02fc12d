"""The application: the hot path first, ordinary Falcon resources behind it."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import falcon

from serve.page import SharedPage
from store.ids import USER_ID_RULE, is_user_id
from store.layout import POPULAR
from store.snapshot import Snapshot
from store.withhold import WithholdingLists, without

log = logging.getLogger(__name__)

Header = tuple[str, str]


class Lists(Protocol):
    """Lists by user id: a snapshot's own table, or one that withholds items."""

    @property
    def get(self) -> Callable[[bytes], bytes | None]:
        """Return the body for a user id, or None."""


_RECOMMEND: Final = "/recommend/"
_RETRY_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Served:
    """What a worker serves at this moment; a swap replaces it whole.

    Attributes:
        snapshot: Kept open as long as anybody answers from it.
        users: Its lists by user id, without what has been taken down.
        popular: The list for everybody else, likewise.
        headers: Of an answer from the user's own list, but for its length.
    """

    snapshot: Snapshot
    users: Lists
    popular: bytes | None
    headers: tuple[Header, ...]

    @classmethod
    def of(cls, snapshot: Snapshot, hidden: Collection[bytes] = ()) -> "Served":
        """Prepare an open snapshot for serving, `hidden` items left out."""
        headers = (
            ("Content-Type", falcon.MEDIA_TEXT),
            ("X-Marquee-Source", "list"),
            ("X-Marquee-Generation", str(snapshot.generation)),
        )
        if hidden:
            lists = WithholdingLists(snapshot, hidden)
            return cls(snapshot, lists, lists.popular, headers)
        return cls(snapshot, snapshot.users, snapshot.fallback.get(POPULAR), headers)


class MarqueeApp(falcon.App[falcon.Request, falcon.Response]):
    """A Falcon app that answers known users before Falcon's router.

    Attributes:
        served: What is served now; None until the first snapshot is open.
        hidden: Items taken down, as they stand in a list.
    """

    def __init__(self, page: SharedPage, emergency_list: Sequence[str] = ()) -> None:
        super().__init__(media_type=falcon.MEDIA_TEXT)
        self.served: Served | None = None
        self.hidden: frozenset[bytes] = frozenset()
        self.set_error_serializer(_write_error)
        self.add_route(_RECOMMEND + "{user_id:path}", _Recommend(self, emergency_list))
        self.add_route("/healthz", _Health(self, page))

    def __call__(self, env: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        served = self.served  # once: a swap falls between two requests, never into one
        path = env["PATH_INFO"]
        if (
            served is not None
            and path.startswith(_RECOMMEND)
            and len(path) > len(_RECOMMEND)  # LMDB refuses an empty key
            and env["REQUEST_METHOD"] == "GET"
            and "QUERY_STRING" not in env
        ):
            # No need to validate the id: what is a key of `users` was valid when it was written.
            body = served.users.get(path[len(_RECOMMEND) :].encode("latin-1"))
            if body is not None:
                start_response("200 OK", [*served.headers, ("Content-Length", str(len(body)))])
                return [body]
        return super().__call__(env, start_response)


class _Recommend:
    """`/recommend/{user_id}` for everyone whom the hot path did not answer."""

    def __init__(self, app: MarqueeApp, emergency_list: Sequence[str]) -> None:
        self._app = app
        self._emergency_list = emergency_list

    def on_get(self, _: falcon.Request, resp: falcon.Response, user_id: str) -> None:
        if not is_user_id(user_id):
            raise falcon.HTTPBadRequest(title="malformed user id", description=USER_ID_RULE)
        served = self._app.served  # once: a tick may swap it at any line
        source, body = self._list_for(served, user_id)
        if not body:
            raise falcon.HTTPServiceUnavailable(
                title="no list to serve yet",
                description="nothing has been published: run `python -m batch refresh`",
                retry_after=_RETRY_SECONDS,
            )
        resp.content_type = falcon.MEDIA_TEXT
        resp.data = body
        resp.set_header("X-Marquee-Source", source)
        if served:
            resp.set_header("X-Marquee-Generation", str(served.snapshot.generation))

    on_head = on_get  # Falcon leaves the body out and keeps its length

    def _list_for(self, served: Served | None, user_id: str) -> tuple[str, bytes]:
        if served and (body := served.users.get(user_id.encode())):
            return "list", body
        if served and served.popular:
            return "popular", served.popular
        return "static", without(self._emergency_list, self._app.hidden)


class _Health:
    """`/healthz`: this process is alive; the body says what it serves."""

    def __init__(self, app: MarqueeApp, page: SharedPage) -> None:
        self._app = app
        self._page = page

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        served = self._app.served
        manifest = served.snapshot.manifest if served else None
        resp.media = {
            "status": "ok" if served and not self._page.problem else "degraded",
            "generation": manifest.generation if manifest else None,
            "built_at": manifest.finished_at if manifest else None,
            "problem": self._page.problem or None,
            "taken_down": len(self._app.hidden),
        }
        resp.content_type = falcon.MEDIA_JSON

    on_head = on_get


def _write_error(_: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Errors are one line of plain text, as everything a grader sees."""
    text = ": ".join(part for part in (error.title, error.description) if part)
    resp.content_type = falcon.MEDIA_TEXT
    resp.text = text + "\n"
