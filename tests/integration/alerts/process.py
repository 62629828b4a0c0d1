"""The alerts service as a process of its own, for tests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from usher.alerts.v1 import alerts_pb2, alerts_pb2_grpc

ROOT = Path(__file__).parents[3]


class Process:
    """`python -m services.alerts` with its log read along."""

    def __init__(self, folder: Path, url: str, **env: str) -> None:
        self.folder = folder
        self.env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}",
            "USHER_ALERTS_SERVER_ADDRESS": f"unix:{folder}/a.sock",
            "USHER_ALERTS_SERVER_DRAIN_NOTICE": "0.05",
            "USHER_ALERTS_DATABASE_URL": url,
            "USHER_ALERTS_DATABASE_UNSAFE_FSYNC": "true",
            "USHER_ALERTS_DELIVERY_CLAIM_SECONDS": "1",
            "USHER_ALERTS_DELIVERY_TIMEOUT_SECONDS": "0.5",
            "USHER_ALERTS_DELIVERY_POLL_SECONDS": "0.1",
            **env,
        }
        self.lines: list[dict[str, Any]] = []
        self.told = asyncio.Event()

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.alerts",
            cwd=self.folder,
            env=self.env,
            stderr=asyncio.subprocess.PIPE,
        )
        self.reader = asyncio.create_task(self._read())
        self.channel = grpc.aio.insecure_channel(self.env["USHER_ALERTS_SERVER_ADDRESS"])
        self.stub: Any = alerts_pb2_grpc.AlertsServiceStub(self.channel)

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(json.loads(line) if line.startswith(b"{") else {"message": line.decode()})
            self.told.set()

    def tellings(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("logger") == "usher.alerts.channel.log"]

    async def until_told(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(20):
            while len(self.tellings()) < count:
                self.told.clear()
                await self.told.wait()
        return self.tellings()

    async def raise_(self, *messages: alerts_pb2.AlertMessage) -> list[alerts_pb2.RaiseResult]:
        answer = await self.stub.RaiseAlerts(
            alerts_pb2.RaiseAlertsRequest(messages=messages), timeout=20, wait_for_ready=True
        )
        return list(answer.results)

    async def list_(self, **fields: Any) -> alerts_pb2.ListAlertsResponse:
        request = alerts_pb2.ListAlertsRequest(**{"tenant": "acme", **fields})
        answer: alerts_pb2.ListAlertsResponse = await self.stub.ListAlerts(request, timeout=20)
        return answer

    async def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), 20)
        await self.reader
        await self.channel.close()
        return code


@asynccontextmanager
async def running(folder: Path, url: str, **env: str) -> AsyncIterator[Process]:
    process = Process(folder, url, **env)
    await process.start()
    try:
        yield process
    finally:
        await process.end(signal.SIGKILL)
