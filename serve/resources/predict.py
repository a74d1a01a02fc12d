"""`/predict`: the predicted rating of an item by a user."""

import falcon

from serve.resources.errors import not_found
from serve.resources.params import item_id_of, json_body, user_id_of
from serve.resources.recommend import set_source_headers
from serve.worker.state import WorkerState


class Predict:
    """A rating within the data's scale, and which data it is based on."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = json_body(req)
        user_id, movie_id = user_id_of(body), item_id_of(body, "movie_id")
        served = self._state.served
        if served is None:
            raise not_found("no ratings", "nothing has been published yet")
        served = served.of_user(user_id.encode())
        prediction = served.ratings().predict(user_id.encode(), movie_id.encode())
        if prediction is None:
            raise not_found("no ratings", "the data of the served snapshot contains no ratings")
        set_source_headers(resp, served, "predict")
        resp.media = {
            "user_id": user_id,
            "movie_id": movie_id,
            "rating": round(prediction.rating, 3),
            "scale": prediction.scale,
            "basis": prediction.basis,
            "generation": served.generation,
        }
