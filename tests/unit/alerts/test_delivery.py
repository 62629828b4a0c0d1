"""The loop from store to channels, on a store in memory and a clock that moves when told to."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.alerts import faults, tables
from services.alerts.channels import LogChannel, RefusedError, Sent
from services.alerts.delivery import Deliverer
from services.alerts.grouping import Grouping
from services.alerts.rules import parse
from services.alerts.settings import DEFAULT_RULES, DeliverySettings
from services.alerts.store_deliveries import Exchange, Result
from services.alerts.tellings import Delivery
from services.common.clock import ManualClock
from services.common.config import ConfigError
from services.common.telemetry import JsonFormatter, Telemetry, TelemetrySettings
from tests.unit.alerts.messages import NOON_MS, TRACEPARENT, message
from usher.alerts.v1 import alerts_pb2


def delivery(number: int = 1, **fields: object) -> Delivery:
    grouping = Grouping(parse(DEFAULT_RULES.read_text()), {}, [])
    grouping.take(message(**fields), 0)  # type: ignore[arg-type]
    (telling,) = grouping.candidates()
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
    results: list[Result] = field(default_factory=list)
    recorded: asyncio.Event = field(default_factory=asyncio.Event)
    limits: list[int] = field(default_factory=list)

    async def exchange(
        self, channel: str, results: Sequence[Result], limit: int, now_ms: int, lease_ms: int
    ) -> Exchange:
        self.results += results
        self.limits.append(limit)
        if results:
            self.recorded.set()
        taken, self.due = self.due[:limit], self.due[limit:]
        return Exchange(taken, 0)

    def ended(self, state: int) -> list[int]:
        return [one.delivery_id for one in self.results if one.state == state]


@dataclass
class Recorder:
    failing: set[int] = field(default_factory=set)
    hanging: set[int] = field(default_factory=set)
    busy: set[int] = field(default_factory=set)
    seen: list[int] = field(default_factory=list)
    kind: str = "log"

    async def deliver(self, delivery: Delivery) -> Sent:
        if delivery.delivery_id in self.busy:
            raise RefusedError(429, "slow down", 120.0)
        if delivery.delivery_id in self.failing:
            raise OSError("the recipient's address stands here")
        if delivery.delivery_id in self.hanging:
            await asyncio.sleep(60)
        self.seen.append(delivery.delivery_id)
        return Sent(202, "taken")


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
    assert channel.seen == store.ended(tables.DELIVERED) == [1, 2, 3]
    assert {(one.status, one.response) for one in store.results} == {(202, "taken")}


async def test_a_failure_is_put_off_and_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    store, channel = MemoryStore([delivery(1), delivery(2)]), Recorder(failing={1})
    with caplog.at_level(logging.WARNING):
        await deliverer(store, channel).deliver_due()

    assert store.ended(tables.DELIVERED) == [2]
    (again,) = [one for one in store.results if one.state == tables.PENDING]
    assert again.delivery_id == 1
    assert NOON_MS + 1_000 <= again.due_ms <= NOON_MS + 2_000
    assert [record.__dict__["error"] for record in caplog.records] == ["OSError"]
    assert "address" not in caplog.text


async def test_a_channel_that_hangs_is_given_up_on() -> None:
    store, channel = MemoryStore([delivery(1), delivery(2)]), Recorder(hanging={1})
    await deliverer(store, channel, timeout_seconds=0.05).deliver_due()

    assert store.ended(tables.DELIVERED) == [2]
    assert store.ended(tables.PENDING) == [1]


async def test_the_other_ends_delay_is_respected_and_its_answer_kept() -> None:
    store = MemoryStore([delivery(1)])
    await deliverer(store, Recorder(busy={1})).deliver_due()

    (again,) = store.results
    assert (again.status, again.response, again.due_ms) == (429, "slow down", NOON_MS + 120_000)


async def test_after_the_last_try_it_is_a_dead_letter() -> None:
    store = MemoryStore([delivery(1)._replace(attempts=11)])
    await deliverer(store, Recorder(failing={1})).deliver_due()

    assert store.ended(tables.DEAD) == [1]


async def test_a_channel_that_hangs_delays_no_other() -> None:
    stores = {name: MemoryStore([delivery(1)]) for name in ("dead", "well")}

    class Both:
        async def exchange(self, channel: str, *args: object) -> Exchange:
            return await stores[channel].exchange(channel, *args)  # type: ignore[arg-type]

    loops = Deliverer(
        Both(),
        {"dead": Recorder(hanging={1}), "well": Recorder()},
        DeliverySettings(timeout_seconds=0.5, claim_seconds=1.0),
        telemetry=Telemetry("alerts", TelemetrySettings(), None),
        clock=ManualClock(NOON_MS),
    )
    loops.start()
    async with asyncio.timeout(60):
        await stores["well"].recorded.wait()
        assert not stores["dead"].recorded.is_set()
        await loops.stop()
    assert stores["dead"].ended(tables.PENDING) == [1]


async def test_the_loop_wakes_when_told_and_delivers_once_more_when_stopped() -> None:
    store, channel = MemoryStore([]), Recorder()
    loop = deliverer(store, channel, poll_seconds=3600.0)
    loop.start()
    await asyncio.sleep(0)
    store.due.append(delivery(1))
    loop.wake()
    async with asyncio.timeout(60):
        await store.recorded.wait()
    store.due.append(delivery(2))
    await loop.stop()

    assert channel.seen == [1, 2]


async def drained(store: MemoryStore, channel: Recorder, **settings: float) -> None:
    """Runs the loop until everything that is due went out."""
    loop = deliverer(store, channel, **settings)
    loop.start()
    await loop.stop()


async def test_a_channel_that_gets_through_is_claimed_ahead_for_and_another_is_not() -> None:
    store = MemoryStore([delivery(number) for number in range(1, 30)])
    await drained(store, Recorder(), in_flight=2)
    assert store.limits[0] == 2, "nothing is known of it yet"
    assert max(store.limits) > 2
    assert store.ended(tables.DELIVERED) == list(range(1, 30))

    failing = MemoryStore([delivery(number) for number in range(1, 10)])
    await drained(failing, Recorder(failing=set(range(1, 10))), in_flight=2)
    assert max(failing.limits) <= 2


async def test_of_what_is_claimed_the_gravest_goes_out_first() -> None:
    levels = {1: 2, 2: 1, 3: 4, 4: 4}
    store = MemoryStore([delivery(0), *(delivery(n, severity=level) for n, level in levels.items())])
    channel = Recorder()
    loop = deliverer(store, channel, in_flight=1)
    [line] = loop._lines
    line._getting_through = True
    loop.start()
    await loop.stop()
    assert channel.seen == [3, 4, 0, 1, 2]


async def test_what_waited_for_most_of_its_claim_is_given_back_untried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0

    class Slow(Recorder):
        async def deliver(self, delivery: Delivery) -> Sent:
            nonlocal now
            now += 11.0  # of a claim of 20 s, of which a try may take 10 s
            return await super().deliver(delivery)

    monkeypatch.setattr("services.alerts.delivery.time.monotonic", lambda: now)
    store, channel = MemoryStore([delivery(1), delivery(2), delivery(3)]), Slow()
    loop = deliverer(store, channel, in_flight=1)
    [line] = loop._lines
    line._getting_through = True
    loop.start()
    await loop.stop()
    assert channel.seen == [1]
    assert [(one.delivery_id, one.state, one.tried) for one in store.results if not one.tried] == [
        (2, tables.PENDING, False),
        (3, tables.PENDING, False),
    ]


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
    "values", [{"in_flight": 0}, {"poll_seconds": 0.0}, {"claim_seconds": 4.0, "timeout_seconds": 3.0}]
)
def test_delivery_settings_out_of_bounds_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        DeliverySettings(**values)  # type: ignore[arg-type]
