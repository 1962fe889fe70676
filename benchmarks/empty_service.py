"""An empty FastAPI route, run as the service is: what any answer over HTTP costs.

python benchmarks/empty_service.py PORT
"""

import sys

from fastapi import FastAPI

from streamrec.serving import run
from streamrec.serving.settings import ServeConfig

app = FastAPI()


@app.get("/empty")
async def empty() -> dict[str, str]:
    return {}


if __name__ == "__main__":
    run.create_app = lambda settings: app
    run.serve(ServeConfig(port=int(sys.argv[1]), wait=True))
