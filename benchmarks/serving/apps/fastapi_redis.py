"""FastAPI over Redis, with care: async, pooled connections, bytes passed through.

REDIS_SOCKET=socket uvicorn --loop uvloop --http httptools benchmarks.serving.apps.fastapi_redis:app
"""

import os

import redis.asyncio  # type: ignore[import-not-found]  # only in the peers' venv
from fastapi import FastAPI, HTTPException, Response  # type: ignore[import-not-found]

client = redis.asyncio.Redis(unix_socket_path=os.environ["REDIS_SOCKET"])
app = FastAPI()


async def recommend(user_id: str) -> Response:
    """Answer with the user's list; an explicit Response avoids FastAPI's JSON encoding."""
    body = await client.get(user_id)
    if body is None:
        raise HTTPException(status_code=404)
    return Response(body, media_type="text/plain")


app.add_api_route("/recommend/{user_id}", recommend)
