"""The alerts service as a process of its own: over gRPC, through crashes and restarts."""

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
import pytest

from services.common.errors import from_rpc_error
from tests.unit.alerts.messages import TRACEPARENT, message
from usher.alerts.v1 import alerts_pb2, alerts_pb2_grpc

ROOT = Path(__file__).parents[3]
GROUPED, OPENED = alerts_pb2.RAISE_STATUS_GROUPED, alerts_pb2.RAISE_STATUS_OPENED
DUPLICATE, INVALID = alerts_pb2.RAISE_STATUS_DUPLICATE, alerts_pb2.RAISE_STATUS_INVALID


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
        self.channel = grpc.aio.insecure_channel(f"unix:{self.folder}/a.sock")
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


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, short_tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{short_tmp_path}/alerts.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


async def test_a_call_is_kept_told_and_its_repeat_is_a_duplicate(short_tmp_path: Path, url: str) -> None:
    async with running(short_tmp_path, url) as alerts:
        sent = [
            message("e1", entity="jane.doe"),
            message("e2", kind="NOT A KIND"),
            message("e3", entity="jane.doe"),
        ]
        first = await alerts.raise_(*sent)
        again = await alerts.raise_(*sent)

        assert [result.status for result in first] == [OPENED, INVALID, GROUPED]
        assert [result.status for result in again] == [DUPLICATE, INVALID, DUPLICATE]
        assert first[1].error.startswith("kind: WORD_INVALID")
        (told,) = await alerts.until_told(1)
        assert told["alert_id"] == first[0].alert_id
        assert told["trace_id"] == TRACEPARENT[3:35]
        assert not any("jane.doe" in json.dumps(line) for line in alerts.lines)

        assert await alerts.end() == 0
        assert len(alerts.tellings()) == 1
    async with running(short_tmp_path, url) as alerts:
        assert [result.status for result in await alerts.raise_(*sent)] == [DUPLICATE, INVALID, DUPLICATE]
        (listed,) = (await alerts.list_()).alerts
        assert (listed.count, list(listed.delivered_to)) == (2, ["log"])
        assert alerts.tellings() == []


@pytest.mark.parametrize("point", ["alerts.raise.after_commit", "alerts.deliver.claimed"])
async def test_killed_between_commit_and_delivery_it_delivers_after_the_restart(
    short_tmp_path: Path, url: str, point: str
) -> None:
    async with running(short_tmp_path, url, USHER_FAULTS="1", USHER_CRASH_AT=point) as alerts:
        # The answer may or may not have left before the crash; what counts is what follows.
        (outcome,) = await asyncio.gather(alerts.raise_(message()), return_exceptions=True)
        assert isinstance(outcome, list | grpc.aio.AioRpcError)
        assert await asyncio.wait_for(alerts.process.wait(), 20) == -signal.SIGKILL
        await alerts.reader
        assert alerts.tellings() == []
    async with running(short_tmp_path, url) as alerts:
        (told,) = await alerts.until_told(1)
        (again,) = await alerts.raise_(message())

        assert again.status == DUPLICATE
        assert told["alert_id"] == again.alert_id
        assert told["trace_id"] == TRACEPARENT[3:35]
        assert await alerts.end() == 0
        assert len(alerts.tellings()) == 1


async def test_killed_after_delivery_it_tells_again_under_the_same_id(short_tmp_path: Path, url: str) -> None:
    async with running(short_tmp_path, url, USHER_FAULTS="1", USHER_CRASH_AT="alerts.deliver.sent") as alerts:
        await asyncio.gather(alerts.raise_(message()), return_exceptions=True)
        assert await asyncio.wait_for(alerts.process.wait(), 20) == -signal.SIGKILL
        await alerts.reader
        (before,) = alerts.tellings()
    async with running(short_tmp_path, url) as alerts:
        (after,) = await alerts.until_told(1)

    assert after["telling_id"] == before["telling_id"]


async def test_killed_before_the_commit_nothing_was_taken(short_tmp_path: Path, url: str) -> None:
    faulty = {"USHER_FAULTS": "1", "USHER_CRASH_AT": "alerts.raise.before_commit"}
    async with running(short_tmp_path, url, **faulty) as alerts:
        with pytest.raises(grpc.aio.AioRpcError):
            await alerts.raise_(message())
        assert await asyncio.wait_for(alerts.process.wait(), 20) == -signal.SIGKILL
    async with running(short_tmp_path, url) as alerts:
        (result,) = await alerts.raise_(message())
        assert result.status == OPENED


async def test_pages_and_wrong_calls(short_tmp_path: Path) -> None:
    async with running(short_tmp_path, f"sqlite:///{short_tmp_path}/alerts.db") as alerts:
        await alerts.raise_(*(message(f"e{number}", entity=f"u{number}") for number in range(5)))
        seen: list[str] = []
        page = await alerts.list_(page_size=2)
        while True:
            seen += [alert.entity for alert in page.alerts]
            if not page.next_page_token:
                break
            token = page.next_page_token
            page = await alerts.list_(page_size=2, page_token=token)
        assert sorted(seen) == [f"u{number}" for number in range(5)]

        wrong = [
            (alerts.raise_(), "MESSAGES_MISSING"),
            (alerts.raise_(*[message()] * 1001), "TOO_MANY_MESSAGES"),
            (alerts.list_(tenant=""), "TENANT_INVALID"),
            (alerts.list_(page_size=-1), "PAGE_SIZE_INVALID"),
            (alerts.list_(page_token=token, minimum_severity=3), "PAGE_TOKEN_INVALID"),
            (alerts.list_(minimum_severity=9), "SEVERITY_UNKNOWN"),
        ]
        for call, reason in wrong:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert from_rpc_error(caught.value).reason == reason


async def test_a_crash_point_without_the_switch_is_refused_at_start(short_tmp_path: Path) -> None:
    process = Process(
        short_tmp_path, f"sqlite:///{short_tmp_path}/a.db", USHER_CRASH_AT="alerts.deliver.sent"
    )
    await process.start()

    assert await asyncio.wait_for(process.process.wait(), 20) == 2
    assert await process.end() == 2
    assert "USHER_FAULTS" in " ".join(line["message"] for line in process.lines)
