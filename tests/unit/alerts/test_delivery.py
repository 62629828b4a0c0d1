"""The loop from store to channels, on a store in memory and a clock that moves when told to."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.alerts import faults
from services.alerts.channels import Delivery, LogChannel
from services.alerts.delivery import Deliverer, backoff_seconds
from services.alerts.grouping import Grouping
from services.alerts.settings import DeliverySettings
from services.common.clock import ManualClock
from services.common.config import ConfigError
from services.common.telemetry import JsonFormatter, Telemetry, TelemetrySettings
from tests.unit.alerts.messages import NOON_MS, TRACEPARENT, message
from usher.alerts.v1 import alerts_pb2


def delivery(number: int = 1, **fields: object) -> Delivery:
    grouping = Grouping(1, {}, [])
    grouping.take(message(**fields), 0)  # type: ignore[arg-type]
    (telling,) = grouping.tellings()
    return Delivery(
        number,
        telling.telling_id,
        "log",
        telling.change,
        telling.severity,
        telling.traceparent,
        0,
        grouping.changed[telling.alert_id],
    )


@dataclass
class MemoryStore:
    due: list[Delivery]
    done: list[int] = field(default_factory=list)
    again: list[tuple[int, int]] = field(default_factory=list)
    recorded: asyncio.Event = field(default_factory=asyncio.Event)

    async def claim(self, limit: int, now_ms: int, claim_ms: int) -> list[Delivery]:
        taken, self.due = self.due[:limit], self.due[limit:]
        return taken

    async def delivered(self, delivery_ids: Sequence[int], now_ms: int) -> None:
        self.done.extend(delivery_ids)
        self.recorded.set()

    async def put_off(self, delivery_id: int, due_ms: int) -> None:
        self.again.append((delivery_id, due_ms))


@dataclass
class Recorder:
    failing: set[int] = field(default_factory=set)
    hanging: set[int] = field(default_factory=set)
    seen: list[int] = field(default_factory=list)
    name: str = "log"

    async def deliver(self, delivery: Delivery) -> None:
        if delivery.delivery_id in self.failing:
            raise OSError("the recipient's address stands here")
        if delivery.delivery_id in self.hanging:
            await asyncio.sleep(60)
        self.seen.append(delivery.delivery_id)


def deliverer(
    store: MemoryStore, channel: Recorder, telemetry: Telemetry | None = None, **settings: float
) -> Deliverer:
    return Deliverer(
        store,
        {"log": channel},
        DeliverySettings(**settings),  # type: ignore[arg-type]
        telemetry=telemetry or Telemetry("alerts", TelemetrySettings(), None),
        clock=ManualClock(NOON_MS),
    )


async def test_what_is_due_goes_out_in_order_and_is_recorded() -> None:
    store, channel = MemoryStore([delivery(1), delivery(2), delivery(3)]), Recorder()

    assert await deliverer(store, channel).deliver_due() == 3
    assert channel.seen == store.done == [1, 2, 3]


async def test_a_failure_is_put_off_and_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    store, channel = MemoryStore([delivery(1), delivery(2)]), Recorder(failing={1})
    with caplog.at_level(logging.WARNING):
        await deliverer(store, channel).deliver_due()

    assert store.done == [2]
    assert store.again == [(1, NOON_MS + 1000)]
    assert [record.__dict__["error"] for record in caplog.records] == ["OSError"]
    assert "address" not in caplog.text


async def test_a_channel_that_hangs_is_given_up_on() -> None:
    store, channel = MemoryStore([delivery(1), delivery(2)]), Recorder(hanging={1})
    await deliverer(store, channel, timeout_seconds=0.05).deliver_due()

    assert store.done == [2]
    assert [number for number, _ in store.again] == [1]


def test_waits_double_up_to_five_minutes() -> None:
    assert [backoff_seconds(attempts) for attempts in (0, 1, 2, 8, 9, 1000)] == [1, 2, 4, 256, 300, 300]


async def test_the_loop_wakes_when_told_and_delivers_once_more_when_stopped() -> None:
    store, channel = MemoryStore([]), Recorder()
    loop = deliverer(store, channel, poll_seconds=30.0)
    loop.start()
    await asyncio.sleep(0)
    store.due.append(delivery(1))
    loop.wake()
    async with asyncio.timeout(5):
        await store.recorded.wait()
    store.due.append(delivery(2))
    await loop.stop()

    assert channel.seen == [1, 2]


async def test_the_delivery_is_the_last_edge_of_the_messages_trace() -> None:
    exporter = InMemorySpanExporter()
    # Nothing is sampled at the head: only what is kept is exported.
    telemetry = Telemetry("alerts", TelemetrySettings(sample_ratio=0.0), exporter)
    unsampled = TRACEPARENT[:-2] + "00"
    await deliverer(MemoryStore([delivery(traceparent=unsampled)]), Recorder(), telemetry).deliver_due()
    telemetry.shutdown()

    (span,) = exporter.get_finished_spans()
    assert span.name == "alerts.deliver"
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == TRACEPARENT[3:35]
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == TRACEPARENT[36:52]


def log_lines(
    items: list[Delivery], caplog: pytest.LogCaptureFixture, key: bytes = b"k"
) -> list[dict[str, object]]:
    logger = logging.getLogger("usher.test.channel")
    with caplog.at_level(logging.INFO, logger.name):
        for item in items:
            asyncio.run(LogChannel(logger, key).deliver(item))
    return [json.loads(JsonFormatter("alerts").format(record)) for record in caplog.records]


def test_the_log_line_tells_the_alert_without_naming_the_person(caplog: pytest.LogCaptureFixture) -> None:
    item = delivery(entity="jane.doe@example.org", severity=alerts_pb2.SEVERITY_HIGH)
    (line,) = log_lines([item], caplog)

    assert line["message"] == "alert opened"
    assert line["telling_id"] == item.telling_id
    assert line["alert_id"] == item.alert.alert_id
    assert (line["kind"], line["severity"], line["count"]) == ("decision.block", "high", 1)
    assert line["reasons"] == [101]
    assert line["first_time"] == "2026-11-22T12:00:00Z"
    assert "jane.doe" not in json.dumps(line)


def test_the_same_person_has_the_same_mark_under_the_same_key(caplog: pytest.LogCaptureFixture) -> None:
    first, second, third = log_lines([delivery(), delivery(kind="ring"), delivery(entity="u2")], caplog)
    caplog.clear()
    (elsewhere,) = log_lines([delivery()], caplog, b"other")

    assert first["entity"] == second["entity"]
    assert len({str(line["entity"]) for line in (first, third, elsewhere)}) == 3


def test_services_are_named(caplog: pytest.LogCaptureFixture) -> None:
    (line,) = log_lines([delivery(entity_kind="service", entity="scoring")], caplog)

    assert line["entity"] == "scoring"


@pytest.mark.parametrize(
    "env",
    [
        {"USHER_CRASH_AT": "alerts.raise.after_commit"},
        {"USHER_CRASH_AT": "alerts.nowhere", "USHER_FAULTS": "1"},
    ],
)
def test_crash_points_are_refused_outside_tests_and_when_unknown(env: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        faults.arm(env)


def test_crash_points_of_other_services_are_left_to_them() -> None:
    faults.arm({"USHER_CRASH_AT": "commit.inside", "USHER_FAULTS": "1"})
    faults.crash_point("commit.inside")


@pytest.mark.parametrize(
    "values", [{"batch": 0}, {"poll_seconds": 0.0}, {"claim_seconds": 4.0, "timeout_seconds": 3.0}]
)
def test_delivery_settings_out_of_bounds_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        DeliverySettings(**values)  # type: ignore[arg-type]
