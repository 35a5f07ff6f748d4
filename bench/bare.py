"""The least that Litestar answers with JSON: one route, on uvicorn as it ships.

``python -m bench.bare PORT [quiet]``; with "quiet" no line is written for a request.
"""

import sys

import uvicorn
from litestar import Litestar, get

# As long as a profile.
ANSWER = {"text": "x" * 240}


@get("/bare")
async def bare() -> dict[str, str]:
    """Nothing but an answer."""
    return ANSWER


app = Litestar([bare], openapi_config=None, logging_config=None)

if __name__ == "__main__":
    uvicorn.run(
        app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log="quiet" not in sys.argv
    )
