"""`POST /admin/…`: the actions of an operator, behind a bearer token.

    rollback {"why", "to"?}    pin {"why", "to"?}    unpin {"why"}
    takedown {"why", "items"}  train {"why"}

A process of its own answers these, so that recommendations never wait for them. What
verifies a snapshot first may take minutes, and another process answers that: a takedown
never waits for a rollback.
"""

import hmac
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import falcon

from serve.resources.params import bad, json_body
from store.errors import NotAnItemError, StoreBusyError, StoreError, WriteError
from store.publish import pin, rollback, unpin
from store.refresh_request import request_refresh
from store.takedown import take_down

Body = Mapping[str, Any]
Act = Callable[[Path, Body], dict[str, Any]]

_RETRY_SECONDS: Final = 1
_MAX_GENERATION: Final = (1 << 63) - 1  # a name of hundreds of digits is not a valid file name


class TokenCheck:
    """Falcon middleware: answers 401 to requests without the token."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    def process_request(self, req: falcon.Request, _: falcon.Response) -> None:
        """Compare the `Authorization` header in constant time."""
        sent = req.get_header("Authorization", default="").encode("utf-8", "replace")
        if not hmac.compare_digest(sent, self._expected):
            raise falcon.HTTPUnauthorized(
                title="unauthorized",
                description="send the token: `Authorization: Bearer …`",
                challenges=["Bearer"],
            )


class Action:
    """One action on the store."""

    def __init__(self, store: Path, act: Act) -> None:
        self._store = store
        self._act = act

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Act, and answer with the result as JSON."""
        body = json_body(req)
        try:
            resp.media = self._act(self._store, body)
        except StoreBusyError as error:
            raise falcon.HTTPServiceUnavailable(
                title="store is busy", description=str(error), retry_after=_RETRY_SECONDS
            ) from error
        except NotAnItemError as error:
            raise bad("malformed items", str(error)) from error
        except WriteError as error:
            raise falcon.HTTPInsufficientStorage(
                title="store cannot be written", description=str(error)
            ) from error
        except StoreError as error:
            raise falcon.HTTPConflict(
                title="rejected, nothing changed", description=str(error)
            ) from error


def _rollback(store: Path, body: Body) -> dict[str, Any]:
    return {"generation": rollback(store, _why(body), _generation(body))}


def _pin(store: Path, body: Body) -> dict[str, Any]:
    return {"generation": pin(store, _why(body), _generation(body))}


def _unpin(store: Path, body: Body) -> dict[str, Any]:
    return {"generation": unpin(store, _why(body))}


def _takedown(store: Path, body: Body) -> dict[str, Any]:
    items = body.get("items")
    if not isinstance(items, list) or not items or not all(type(i) is str for i in items):
        raise bad("malformed items", "items must be a list of item ids")
    return {"taken_down": sorted(take_down(store, items, _why(body)))}


def _train(store: Path, body: Body) -> dict[str, Any]:
    request_refresh(store, _why(body))
    return {"requested": "the scheduler, `python -m cron`, starts the refresh within seconds"}


ACTIONS: Final[Mapping[str, Act]] = {
    "rollback": _rollback,
    "pin": _pin,
    "unpin": _unpin,
    "takedown": _takedown,
    "train": _train,
}


def _why(body: Body) -> str:
    why = body.get("why")
    if not isinstance(why, str) or not why.strip():
        raise bad("malformed why", "why must be a text: the reason, for the journal")
    return why.encode(errors="replace").decode()  # JSON can hold what a file cannot


def _generation(body: Body) -> int | None:
    to = body.get("to")
    if to is not None and (type(to) is not int or not 1 <= to <= _MAX_GENERATION):
        raise bad("malformed to", "to must be the number of a generation")
    return to
