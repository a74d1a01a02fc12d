"""The OpenAPI description, and a page to try the endpoints."""

import hashlib
import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import falcon

from serve.contract import PROBLEM_HEADERS

_FOLDER = Path(__file__).parent


class Description:
    """`/openapi.json`."""

    def __init__(self, *, has_admin: bool, has_events: bool, has_pages: bool) -> None:
        document = json.loads((_FOLDER / "openapi.json").read_text(encoding="utf-8"))
        if not has_events:
            del document["paths"]["/events"]
        if not has_pages:
            paths = document["paths"].items()
            document["paths"] = {path: methods for path, methods in paths if not _is_page(methods)}
        if not has_admin:
            paths = document["paths"].items()
            document["paths"] = {
                path: methods
                for path, methods in paths
                if not any("security" in method for method in methods.values())
            }
            del document["components"]["securitySchemes"]
        self._body = json.dumps(document).encode()

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        resp.set_headers(PROBLEM_HEADERS)
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._body

    on_head = on_get


class TryPage:
    """`/try`, and `/` without the pages: one page without external files."""

    def __init__(self) -> None:
        self._body = (_FOLDER / "try.html").read_bytes()
        rules = {"script": _hashes(self._body, b"script"), "style": _hashes(self._body, b"style")}
        allowed = "; ".join(f"{kind}-src {hashes}" for kind, hashes in rules.items())
        self._headers = PROBLEM_HEADERS | {
            "Content-Security-Policy": f"default-src 'none'; {allowed}; connect-src 'self'; "
            "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        }

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        resp.set_headers(self._headers)
        resp.content_type = falcon.MEDIA_HTML
        resp.data = self._body

    on_head = on_get


def _is_page(methods: dict[str, Any]) -> bool:
    return "pages" in methods.get("get", {}).get("tags", ())


def _hashes(page: bytes, tag: bytes) -> str:
    """Return the elements of that tag, as a Content-Security-Policy names what it allows."""
    found = re.findall(b"<%s>(.*?)</%s>" % (tag, tag), page, re.DOTALL)
    return " ".join(
        f"'sha256-{b64encode(hashlib.sha256(text).digest()).decode()}'" for text in found
    )
