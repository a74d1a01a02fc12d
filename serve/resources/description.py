"""The OpenAPI description, and a page to try the endpoints."""

import json
from pathlib import Path

import falcon

_FOLDER = Path(__file__).parent


class Description:
    """`/openapi.json`."""

    def __init__(self, *, has_admin: bool) -> None:
        document = json.loads((_FOLDER / "openapi.json").read_text(encoding="utf-8"))
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
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._body

    on_head = on_get


class TryPage:
    """`/`: one page without external files."""

    def __init__(self) -> None:
        self._body = (_FOLDER / "try.html").read_bytes()

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = falcon.MEDIA_HTML
        resp.data = self._body

    on_head = on_get
