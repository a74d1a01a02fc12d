"""FastAPI over Redis, as a careful engineer writes it: async, pooled, bytes straight through.

REDIS_SOCKET=socket uvicorn --loop uvloop --http httptools benchmarks.serving.apps.fastapi_redis:app
"""

import os

import redis.asyncio  # type: ignore[import-not-found]  # only in the peers' own venv
from fastapi import FastAPI, HTTPException, Response  # type: ignore[import-not-found]

client = redis.asyncio.Redis(unix_socket_path=os.environ["REDIS_SOCKET"])
app = FastAPI()


async def recommend(user_id: str) -> Response:
    """Answer with the user's list; a Response of its own spares FastAPI the JSON."""
    body = await client.get(user_id)
    if body is None:
        raise HTTPException(status_code=404)
    return Response(body, media_type="text/plain")


app.add_api_route("/recommend/{user_id}", recommend)
