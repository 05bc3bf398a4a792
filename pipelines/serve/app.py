"""The HTTP side of the reward service."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.requests import ClientDisconnect

from vlmloom.components.contracts.sample import Reward
from vlmloom.components.contracts.suite import Suite
from vlmloom.pipelines.scoring.limited import Limits
from vlmloom.pipelines.scoring.line import Line
from vlmloom.pipelines.scoring.pool import Pool, opened
from vlmloom.pipelines.scoring.scorer import Scorer, told
from vlmloom.pipelines.serve.metrics import Metrics
from vlmloom.registry.errors import UserError, one_line

MOST_BYTES = 16 << 20
"""Of a request."""
ARRIVING = 30.0
"""Seconds that a request may take to arrive."""


class Service:
    """What judges behind the HTTP side: a pool of processes for rules, threads for judges that wait.

    Args:
        suite: its name or path; None where requests name verifiers alone.
        built: the same suite, built.
        verifiers: see `Scorer`.
        workers: processes.
        capacity: lines that may be under way or wait; further ones are told to come again.
        limits: the time that an answer may take.
        judges: lines that may wait for judges at once.
    """

    def __init__(
        self,
        *,
        suite: str | None,
        built: Suite | None,
        verifiers: Mapping[str, Any],
        limits: Limits,
        workers: int = 2,
        capacity: int = 256,
        judges: int = 16,
    ) -> None:
        self.scorer = Scorer(built, verifiers)
        self.capacity, self.limits = capacity, limits
        self.metrics = Metrics()
        self.pool = Pool(workers, partial(opened, suite, dict(verifiers)), start="forkserver")
        self.judges = asyncio.Semaphore(judges)
        self.workers = workers
        self.under_way = 0

    async def score(self, line: Line) -> list[Reward]:
        """The rewards of a line, in the order of its answers."""
        if self.scorer.waits(line):
            async with self.judges:
                return await asyncio.to_thread(lambda: list(self.scorer.rewards(line)))
        return await asyncio.wrap_future(self.pool.submit(line, self.limits.of(line)))

    def retry_after(self) -> int:
        """Seconds until there may be room, from 1 to 60."""
        return min(60, max(1, math.ceil(self.metrics.pace() * self.under_way / self.workers)))

    def gauges(self) -> dict[str, float]:
        """What is under way."""
        return {
            "under_way": self.under_way,
            "capacity": self.capacity,
            "workers": self.pool.ready,
            "workers_busy": self.pool.busy,
            "workers_replaced": self.pool.replaced,
        }


def make_app(service: Service) -> FastAPI:
    """`POST /score`, `GET /health`, `GET /metrics`."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        # All requests have been answered by now, so that nothing waits for the processes.
        await asyncio.to_thread(service.pool.close)

    app = FastAPI(title="vlmloom rewards", lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)

    def answer(status: int, content: dict[str, Any], **headers: str) -> JSONResponse:
        service.metrics.request(status)
        return JSONResponse(content, status, {name.replace("_", "-"): said for name, said in headers.items()})

    @app.post("/score")
    async def score(request: Request) -> JSONResponse:
        arrived = time.monotonic()
        if service.under_way >= service.capacity:
            wait = service.retry_after()
            said = f"{service.under_way} lines are under way; come again in {wait} seconds"
            return answer(429, {"error": said}, Retry_After=str(wait))
        service.under_way += 1
        try:
            body = bytearray()
            try:
                async with asyncio.timeout(ARRIVING):
                    async for piece in request.stream():
                        body += piece
                        if len(body) > MOST_BYTES:
                            return answer(413, {"error": f"the request is larger than {MOST_BYTES:,} bytes"})
            except ClientDisconnect:
                return answer(499, {"error": "the client left before its request had arrived"})
            except TimeoutError:
                return answer(408, {"error": f"the request did not arrive within {ARRIVING:g} seconds"})
            try:
                line = Line.read(json.loads(bytes(body)))
                service.scorer.check(line)
            except UserError as error:
                return answer(400, {"error": one_line(error)})
            except (ValueError, RecursionError) as error:
                return answer(400, {"error": f"the request is no JSON: {one_line(error)}"})
            rewards = await service.score(line)
            seconds = time.monotonic() - arrived
            by = line.verifier or line.task
            service.metrics.scored(by, line.source, line.group, rewards, seconds)
            return answer(
                200, {"rewards": [told(reward) for reward in rewards], "seconds": round(seconds, 6)}
            )
        finally:
            service.under_way -= 1

    @app.get("/health")
    async def health() -> JSONResponse:
        ready = service.pool.ready > 0
        said = {"status": "ok" if ready else "starting", **service.gauges()}
        return JSONResponse(said, 200 if ready else 503)

    @app.get("/metrics")
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(
            service.metrics.text(service.gauges()), media_type="text/plain; version=0.0.4"
        )

    return app
