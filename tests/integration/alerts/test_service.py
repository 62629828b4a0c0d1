"""The alerts service as a process of its own: over gRPC, through crashes and restarts."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import grpc
import pytest

from services.common.errors import from_rpc_error
from tests.integration.alerts.process import Process, running
from tests.unit.alerts.messages import TRACEPARENT, message
from usher.alerts.v1 import alerts_pb2

GROUPED, OPENED = alerts_pb2.RAISE_STATUS_GROUPED, alerts_pb2.RAISE_STATUS_OPENED
DUPLICATE, INVALID = alerts_pb2.RAISE_STATUS_DUPLICATE, alerts_pb2.RAISE_STATUS_INVALID


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
