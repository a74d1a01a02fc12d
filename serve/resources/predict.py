"""`/predict`: the rating that a user would give a film."""

from typing import TYPE_CHECKING

import falcon

from serve.resources.errors import not_found
from serve.resources.params import item_id_of, json_body, user_id_of
from serve.resources.recommend import set_source_headers

if TYPE_CHECKING:
    from serve.worker.app import MarqueeApp


class Predict:
    """A rating within the data's scale, and what it rests on."""

    def __init__(self, app: "MarqueeApp") -> None:
        self._app = app

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = json_body(req)
        user_id, movie_id = user_id_of(body), item_id_of(body, "movie_id")
        served = self._app.served
        if served is None:
            raise not_found("no ratings", "nothing has been published yet")
        prediction = served.ratings().predict(user_id.encode(), movie_id.encode())
        if prediction is None:
            raise not_found("no ratings", "the data that is served holds no ratings")
        set_source_headers(resp, served, "predict")
        resp.media = {
            "user_id": user_id,
            "movie_id": movie_id,
            "rating": round(prediction.rating, 3),
            "scale": prediction.scale,
            "basis": prediction.basis,
            "generation": served.generation,
        }
