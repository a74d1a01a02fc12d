"""`/similar/{item_id}`: the items nearest to one item."""

import falcon

from serve.resources.errors import not_found
from serve.resources.params import Query, bad
from serve.resources.recommend import described_item, set_source_headers
from serve.worker.state import WorkerState
from store.ids import ITEM_ID_RULE, is_item_id


class Similar:
    """One line of item ids, nearest first; `?n=`, `?format=json`."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state

    def on_get(self, req: falcon.Request, resp: falcon.Response, item_id: str) -> None:
        if not is_item_id(item_id):
            raise bad("malformed item id", ITEM_ID_RULE)
        query = Query.of(req)
        served = self._state.served
        names = served.similar(item_id.encode()) if served else None
        if names is None:
            raise not_found("unknown item", f"{item_id} is not in the served catalogue")
        set_source_headers(resp, served, "similar")
        if query.as_json:
            items = [described_item(served, name) for name in names[: query.n]]
            generation = served.generation if served else None
            resp.media = {"item_id": item_id, "generation": generation, "items": items}
        else:
            resp.content_type = falcon.MEDIA_TEXT
            resp.data = b",".join(names[: query.n])

    on_head = on_get
