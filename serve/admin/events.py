"""`POST /events`: JSON lines of views, ratings and accounts, for services without Kafka.

    body ─► lines of the stream ─► spool, synced ─► 202 {"accepted": 998, "rejected": 2, …}
                                     └─ python -m stream collect

Faulty lines keep no other line from being stored: a forwarder that drops or repeats what is
refused would lose or hold back good events. Only a body without any event is refused.
"""

from datetime import UTC, datetime
from typing import Final

import falcon

from serve.admin.event_lines import EventFault, StreamLines, stream_lines
from serve.resources.params import bad
from store.errors import SpoolFullError, StoreBusyError, WriteError
from store.spool import Spool

_RETRY_SECONDS: Final = 10
_MAX_FAULTS: Final = 100  # named in an answer
_N_IN_PROBLEM: Final = 3


class TokenIsValid:
    """The question of nginx before it takes a body: the middleware has checked the token."""

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        """Answer 204."""
        resp.status = falcon.HTTP_NO_CONTENT


class PostedEvents:
    """`/events`.

    Args:
        spool: Spool of the events.
        max_body_bytes: Limit of a body; nginx has the same.
    """

    def __init__(self, spool: Spool, max_body_bytes: int) -> None:
        self._spool = spool
        self._max_body_bytes = max_body_bytes

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Store the events, and answer when they are on disk."""
        found = stream_lines(self._body(req), datetime.now(UTC))
        if not found.lines:
            raise _nothing_accepted(found)
        try:
            self._spool.append("".join(found.lines).encode("ascii"))
        except (SpoolFullError, StoreBusyError) as error:
            raise falcon.HTTPServiceUnavailable(
                title="events cannot be stored now",
                description=str(error),
                retry_after=_RETRY_SECONDS,
            ) from error
        except WriteError as error:
            raise falcon.HTTPInsufficientStorage(
                title="events cannot be written", description=str(error)
            ) from error
        resp.status = falcon.HTTP_ACCEPTED
        resp.media = {
            "accepted": len(found.lines),
            "rejected": len(found.faults),
            "faults": [fault._asdict() for fault in found.faults[:_MAX_FAULTS]],
        }

    def _body(self, req: falcon.Request) -> bytes:
        length = req.content_length or 0
        if length > self._max_body_bytes:
            raise falcon.HTTPContentTooLarge(
                title="body too large", description=f"send at most {self._max_body_bytes} bytes"
            )
        body: bytes = req.bounded_stream.read(length)
        return body


def _nothing_accepted(found: StreamLines) -> falcon.HTTPBadRequest:
    if not found.faults:
        return bad("no events", "send one JSON object a line, such as " + _EXAMPLE)
    some = "; ".join(map(_named, found.faults[:_N_IN_PROBLEM]))
    rest = len(found.faults) - _N_IN_PROBLEM
    return bad("no valid event", some + (f"; and {rest} more" if rest > 0 else ""))


def _named(fault: EventFault) -> str:
    return f"line {fault.line}: {fault.why}"


_EXAMPLE: Final = '{"type": "view", "user_id": "42", "item_id": "alien+1979", "minute": 16}'
