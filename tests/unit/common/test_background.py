"""Background tasks: begun again, told in health, ended."""

from __future__ import annotations

import asyncio
import logging

import pytest

from services.common import background
from services.common.background import Background
from services.common.errors import FailedPrecondition, Unavailable
from services.common.telemetry import TelemetrySettings, start_telemetry


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "AGAIN_S", 0.0)
    monkeypatch.setattr(background, "STEADY_S", 3600.0)


async def test_a_task_that_fails_is_begun_again_and_told_until_it_is_steady(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun, steady = 0, asyncio.Event()

    async def task() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise RuntimeError("nobody foresaw this")
        steady.set()
        await asyncio.Event().wait()

    tasks = Background(logging.getLogger("background"))
    tasks.check()
    tasks.start({"lists": task})
    async with asyncio.timeout(60):
        await steady.wait()
    assert begun == 3
    assert [str(one.exc_info[1]) for one in caplog.records if one.exc_info] == ["nobody foresaw this"] * 2
    with pytest.raises(Unavailable, match="lists") as failing:
        tasks.check()
    assert failing.value.reason == "CHORE_FAILED"
    monkeypatch.setattr(background, "STEADY_S", 0.0)
    tasks.check()
    await tasks.stop()


async def test_one_that_fails_costs_the_others_nothing() -> None:
    ran = asyncio.Event()

    async def fails() -> None:
        raise RuntimeError("always")

    async def works() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        ran.set()
        await asyncio.Event().wait()

    tasks = Background(logging.getLogger("background"))
    tasks.start({"fails": fails, "works": works})
    async with asyncio.timeout(60):
        await ran.wait()
    with pytest.raises(Unavailable, match="fails"):
        tasks.check()
    await tasks.stop()


async def test_one_that_returns_is_not_begun_again() -> None:
    begun = 0

    async def returns() -> None:
        nonlocal begun
        begun += 1

    tasks = Background(logging.getLogger("background"))
    tasks.start({"returns": returns})
    for _ in range(20):
        await asyncio.sleep(0)
    assert begun == 1
    with pytest.raises(FailedPrecondition, match="returns") as ended:
        tasks.check()
    assert ended.value.reason == "CHORE_ENDED"
    await tasks.stop()


async def test_stopping_cancels_and_waits() -> None:
    ended = False

    async def task() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended = True

    tasks = Background(logging.getLogger("background"))
    tasks.start({"task": task})
    await asyncio.sleep(0)
    assert tasks.running
    await tasks.stop()
    assert ended
    assert not tasks.running
    tasks.check()


async def test_failures_are_counted_by_task() -> None:
    registry = start_telemetry("background", TelemetrySettings()).registry

    def failures(task: str) -> float:
        return registry.get_sample_value("usher_background_failures_total", {"task": task}) or 0.0

    begun, steady, before = 0, asyncio.Event(), failures("counted")

    async def task() -> None:
        nonlocal begun
        begun += 1
        if begun < 4:
            raise RuntimeError("again")
        steady.set()
        await asyncio.Event().wait()

    tasks = Background(logging.getLogger("background"))
    tasks.start({"counted": task})
    async with asyncio.timeout(60):
        await steady.wait()
    assert failures("counted") == before + 3
    assert failures("another") == 0.0
    await tasks.stop()
