"""The app of the pages: static files, and JSON behind a guard.

GET ─► who asks? ─► operator: the token, or pages = "open" and a loopback name as host
         └─ others: pages, status, generations, search; 401 for users' data
"""

import hmac
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import falcon

from serve.contract import PROBLEM_HEADERS
from serve.pages.generations import all_generations, compared
from serve.pages.opened import OpenedSnapshot, OpenedSnapshots
from serve.pages.params import generation_of, text_of
from serve.pages.reasons import AskedList, Reasons
from serve.pages.reports import ReportPage, Tickets
from serve.pages.service import service
from serve.pages.user_list import user_list
from serve.pages.verdicts import ReportVerdicts, verdicts_in_service
from serve.resources.errors import not_found, write_error, write_unexpected
from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings, is_loopback
from serve.status_paths import StatusPaths
from store.errors import StoreError
from store.explain import arm_of, list_in
from store.ids import ITEM_ID_RULE, USER_ID_RULE, is_item_id, is_user_id

App = falcon.App[falcon.Request, falcon.Response]
Answer = Callable[[falcon.Request], dict[str, Any]]

_STATIC: Final = Path(__file__).parent / "static"
_TYPES: Final = {".html": falcon.MEDIA_HTML, ".css": "text/css", ".js": "text/javascript"}
_PAGES: Final = {"/": "lists.html", "/status": "status.html", "/generations": "generations.html"}
_HEADERS: Final = PROBLEM_HEADERS | {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # an address holds a user id
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_MAX_FOUND: Final = 20


def pages_app(
    store: Path, token: str, settings: ServeSettings, scoreboard: Scoreboard, paths: StatusPaths
) -> App:
    """Return the app of `/`, `/status`, `/generations` and what lies below `/pages/`."""
    app = falcon.App(media_type=falcon.MEDIA_JSON)
    app.set_error_serializer(write_error)
    app.add_error_handler(Exception, write_unexpected)
    files = {path.name: _StaticFile(path) for path in _STATIC.iterdir() if path.suffix in _TYPES}
    for route, name in _PAGES.items():
        app.add_route(route, files[name])
    for name, file in files.items():
        app.add_route(f"/pages/{name}", file)
    guard = _Guard(token, is_open=settings.pages == "open")
    tickets = Tickets()
    app.add_route("/pages/report", ReportPage(store, tickets, _HEADERS))
    data = _PageData(store, settings, scoreboard, paths, guard)
    app.add_route("/pages/data/report", _Data(lambda req: _report(req, tickets), guard))
    for name, answer in data.public.items():
        app.add_route(f"/pages/data/{name}", _Data(answer, None))
    for name, answer in data.guarded.items():
        app.add_route(f"/pages/data/{name}", _Data(answer, guard))
    return app


class _StaticFile:
    """One file, read at the start."""

    def __init__(self, path: Path) -> None:
        self._body = path.read_bytes()
        self._type = _TYPES[path.suffix]

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        resp.set_headers(_HEADERS)
        resp.content_type = self._type
        resp.data = self._body

    on_head = on_get


class _Guard:
    """Who may read users' data."""

    def __init__(self, token: str, *, is_open: bool) -> None:
        self._expected = f"Bearer {token}".encode() if token else b""
        self._is_open = is_open

    def admits(self, req: falcon.Request) -> bool:
        """Return whether a request has the token or needs none.

        A page of another site can lead its own name to a loopback address (DNS rebinding), so
        open pages answer to names of loopback alone.
        """
        if self._is_open and is_loopback(req.host):
            return True
        sent = req.get_header("Authorization", default="").encode("utf-8", "replace")
        return bool(self._expected) and hmac.compare_digest(sent, self._expected)

    def check(self, req: falcon.Request) -> None:
        """Refuse a request without the token.

        Raises:
            falcon.HTTPUnauthorized.
        """
        if not self.admits(req):
            raise falcon.HTTPUnauthorized(
                title="unauthorized",
                description="users' data needs the token: `Authorization: Bearer …`",
                challenges=["Bearer"],
            )


class _Data:
    """One JSON resource."""

    def __init__(self, answer: Answer, guard: _Guard | None) -> None:
        self._answer = answer
        self._guard = guard

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        if self._guard:
            self._guard.check(req)
        resp.set_headers(_HEADERS)
        try:
            resp.media = self._answer(req)
        except StoreError as error:
            raise not_found("not readable", str(error)) from error

    on_head = on_get


class _PageData:
    """What the pages show, by the last part of the path."""

    def __init__(
        self,
        store: Path,
        settings: ServeSettings,
        scoreboard: Scoreboard,
        paths: StatusPaths,
        guard: _Guard,
    ) -> None:
        self._store = store
        self._settings = settings
        self._scoreboard = scoreboard
        self._paths = paths
        self._guard = guard
        self._snapshots = OpenedSnapshots(store)
        self._why = Reasons(store, settings.fresh_hours)
        self._verdicts = ReportVerdicts(store)
        self.public: Mapping[str, Answer] = {
            "status": self._status,
            "generations": lambda _: all_generations(store, self._verdicts),
            "search": self._search,
        }
        self.guarded: Mapping[str, Answer] = {
            "list": self._list,
            "reasons": self._reasons,
            "film": self._film,
            "compare": self._compare,
        }

    def _status(self, req: falcon.Request) -> dict[str, Any]:
        is_operator = self._guard.admits(req)
        parts = self._settings, self._scoreboard, self._paths
        found = service(self._store, *parts, is_operator=is_operator)
        return found | {
            "is_operator": is_operator,
            "lists": verdicts_in_service(self._verdicts, found),
        }

    def _list(self, req: falcon.Request) -> dict[str, Any]:
        user_id, arm, served, opened = self._of_user(req)
        found = user_list(self._store, opened, user_id, self._settings.fresh_hours)
        return found | {"arm": arm, "served": served}

    def _reasons(self, req: falcon.Request) -> dict[str, Any]:
        user_id, _, _, opened = self._of_user(req)
        answer = list_in(self._store, opened.snapshot, user_id, self._settings.fresh_hours)
        if answer.source not in ("fresh", "list"):
            raise not_found("no list", f"user {user_id} has no list of their own to be explained")
        generation = opened.snapshot.manifest.generation
        asked = AskedList(user_id, generation, answer.made_at, tuple(answer.items))
        return self._why.get(asked, opened.about)

    def _of_user(self, req: falcon.Request) -> tuple[str, str | None, int, OpenedSnapshot]:
        """Return the user, their arm, the generation that serves them, and the one asked for."""
        user_id = text_of(req, "user", is_user_id, USER_ID_RULE)
        served = self._served()
        arm = arm_of(self._store, user_id, served)
        served = arm.generation if arm else served
        opened = self._snapshots.get(generation_of(req, "generation", served))
        opened.snapshot.check_user(user_id)
        return user_id, arm.name if arm else None, served, opened

    def _film(self, req: falcon.Request) -> dict[str, Any]:
        item_id = text_of(req, "item", is_item_id, ITEM_ID_RULE)
        opened = self._snapshots.get(generation_of(req, "generation", self._served()))
        if opened.snapshot.items.get(item_id.encode()) is None:
            raise not_found("unknown item", f"{item_id} is not in this generation")
        near = opened.neighbours(item_id)
        return opened.about(item_id) | {
            "generation": opened.snapshot.manifest.generation,
            "n_lists": opened.n_lists(item_id),
            "n_users": opened.snapshot.manifest.counts.get("recs.mdb/users"),
            "neighbours": [opened.about(name) for name in near],
        }

    def _search(self, req: falcon.Request) -> dict[str, Any]:
        words = req.get_param("q", default="").lower().split()
        opened = self._snapshots.get(self._served())
        found = [
            item_id
            for text, item_id in opened.titles
            if words and all(word in text for word in words)
        ]
        return {
            "n_found": len(found),
            "items": [opened.about(item_id) for item_id in found[:_MAX_FOUND]],
        }

    def _compare(self, req: falcon.Request) -> dict[str, Any]:
        before, after = (generation_of(req, name, self._served()) for name in ("before", "after"))
        found = compared(self._snapshots.get(before), self._snapshots.get(after))
        return {"before": before, "after": after} | found

    def _served(self) -> int:
        generation = self._scoreboard.generation
        if not generation:
            raise not_found("no snapshot", "no snapshot is served: run `python -m batch refresh`")
        return generation


def _report(req: falcon.Request, tickets: Tickets) -> dict[str, Any]:
    generation = generation_of(req, "generation")
    ticket = tickets.make(generation)
    return {"address": f"/pages/report?generation={generation}&ticket={ticket}"}
