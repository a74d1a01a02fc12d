"""The page of a refresh's report, behind tickets.

    GET /pages/data/report?generation=2      with the token ─► the address below
    GET /pages/report?generation=2&ticket=…                 ─► report.html, for a minute

A link cannot send the token, and a report names ten users. So a ticket stands in the address:
it is good for one generation, and made with a key of this process.
"""

import hmac
import secrets
import time
from pathlib import Path
from typing import Final

import falcon

from serve.pages.params import generation_of
from serve.resources.errors import not_found
from store.layout import REPORT_HTML, snapshot_folder
from store.parse import read_small

_SECONDS: Final = 60
_MAX_BYTES: Final = 1 << 24
_MAX_DIGITS: Final = 18  # of a time in seconds
_HEAD: Final = b"<body><header>"  # of a report's page
_WAY_BACK: Final = b'<p><a href="/generations">Back to the generations</a></p>'
_POLICY: Final = (  # its style is in the file; it has no script, and could run none
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class Tickets:
    """Tickets for reports, good for a minute."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def make(self, generation: int) -> str:
        """Return a ticket for the report of a generation."""
        return self._at(generation, int(time.time()) + _SECONDS)

    def is_valid(self, generation: int, ticket: str) -> bool:
        """Return whether a ticket is of this process, of this generation, and not too old."""
        until = ticket.partition("-")[0]
        if not (until.isascii() and until.isdecimal() and len(until) <= _MAX_DIGITS):
            return False
        expected = self._at(generation, int(until))
        return hmac.compare_digest(ticket.encode(), expected.encode()) and int(until) > time.time()

    def _at(self, generation: int, until: int) -> str:
        text = f"{generation} {until}".encode()
        return f"{until}-{hmac.new(self._key, text, 'sha256').hexdigest()}"


class ReportPage:
    """`/pages/report`: the file that the refresh wrote."""

    def __init__(self, store: Path, tickets: Tickets, headers: dict[str, str]) -> None:
        self._store, self._tickets = store, tickets
        self._headers = headers | {"Content-Security-Policy": _POLICY}

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the page, 403 without a valid ticket, or 404 without a report."""
        generation = generation_of(req, "generation")
        ticket: str = req.get_param("ticket", default="")
        if not self._tickets.is_valid(generation, ticket):
            raise falcon.HTTPForbidden(
                title="no valid ticket",
                description="open the report from /generations: an address is good for a minute",
            )
        try:
            body = read_small(snapshot_folder(self._store, generation) / REPORT_HTML, _MAX_BYTES)
        except (OSError, ValueError) as error:
            problem = f"generation {generation} has none that can be read"
            raise not_found("no report", f"{problem}: run `python -m batch report`") from error
        resp.set_headers(self._headers)
        resp.content_type = falcon.MEDIA_HTML
        # A report that is opened as a file has no way back: its link would lead nowhere.
        resp.data = body.replace(_HEAD, _HEAD + _WAY_BACK, 1)

    on_head = on_get
