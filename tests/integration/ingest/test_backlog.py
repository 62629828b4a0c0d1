"""What waits too long and a disk that fills: told to alerts once, refused with a delay, and over when it is over."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from typing import NamedTuple

import pytest

from services.common.errors import ResourceExhausted
from services.ingest import backlog
from tests.fakes import TENANT, FakeMesh, Front, event, now_ms, running_ingest, until
from usher.alerts.v1 import alerts_pb2
from usher.ingest.v1 import flow_pb2, ingest_pb2

PATIENCE = 60.0


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def told(mesh: FakeMesh) -> Counter[tuple[str, str, str, int]]:
    """(tenant, kind, entity, severity) of the messages that alerts was told."""
    return Counter(
        (one.tenant, one.kind, one.entity, one.severity)
        for one in mesh.alerts.messages.values()
        if one.kind.partition(".")[0] in ("ingest", "source", "subscriber")
    )


def metric(front: Front, name: str) -> float:
    value = front.app._telemetry.registry.get_sample_value(name)
    assert value is not None
    return value


async def test_an_event_that_waits_too_long_is_told_once(mesh: FakeMesh, url: str) -> None:
    mesh.scoring.gate = asyncio.Event()
    async with running_ingest(url, mesh, peer_timeout=120.0, oldest_pending_alert_seconds=0.2) as front:
        (result,) = await front.submit([event("e1")])
        assert result.status == ingest_pb2.EVENT_STATUS_ACCEPTED
        wanted = (TENANT, "ingest.backlog", "ingest", alerts_pb2.SEVERITY_HIGH)
        await until(lambda: told(mesh)[wanted] == 1, PATIENCE)
        assert metric(front, "usher_pending_events") == 1
        assert metric(front, "usher_oldest_pending_seconds") > 0.2
        # While it lasts it is not told again.
        await front.app._backlog.measure()
        await front.app._outbox.settle()
        assert told(mesh) == Counter({wanted: 1})

        mesh.scoring.gate.set()
        await until(lambda: metric(front, "usher_pending_events") == 0, PATIENCE)
        assert (await front.books()).pending == 0
        assert metric(front, "usher_oldest_pending_seconds") == 0


async def test_a_full_disk_refuses_with_a_delay_and_decides_what_was_accepted(
    mesh: FakeMesh, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [1 << 40]
    monkeypatch.setattr(backlog.shutil, "disk_usage", lambda folder: Usage(1 << 41, 0, free[0]))
    mesh.scoring.gate = asyncio.Event()
    async with running_ingest(sqlite_url, mesh, peer_timeout=120.0, disk_reserve_bytes=1 << 30) as front:
        await front.submit([event("e1")])
        free[0] = (1 << 30) - 1
        await until(lambda: metric(front, "usher_disk_free_bytes") == free[0], PATIENCE)
        for call in (front.submit([event("e2")]), front.decide([event("e2")])):
            with pytest.raises(ResourceExhausted) as refused:
                await call
            assert refused.value.reason == "DISK_FULL"
            assert refused.value.retry_after == 30.0
        # What was accepted before is decided all the same.
        mesh.scoring.gate.set()
        await until(lambda: metric(front, "usher_pending_events") == 0, PATIENCE)
        assert (await front.decision("e1")).event_id == "e1"
        wanted = ("usher", "ingest.disk", "ingest", alerts_pb2.SEVERITY_CRITICAL)
        await until(lambda: told(mesh)[wanted] == 1, PATIENCE)

        free[0] = 1 << 40
        await until(lambda: metric(front, "usher_disk_free_bytes") == free[0], PATIENCE)
        assert (await front.decide([event("e2")]))[0].HasField("decision")
        books = await front.books()
        assert (books.decided, dict(books.refused_by_reason)) == (2, {"DISK_FULL": 2})
        assert books.balanced
        # A second time is told a second time.
        free[0] = 0
        await until(lambda: told(mesh)[wanted] == 2, PATIENCE)


async def test_the_disk_is_looked_at_before_the_first_call(mesh: FakeMesh, sqlite_url: str) -> None:
    real = shutil.disk_usage("/").total
    async with running_ingest(sqlite_url, mesh, disk_reserve_bytes=real * 1024) as front:
        with pytest.raises(ResourceExhausted) as refused:
            await front.decide([event("e1")])
        assert refused.value.reason == "DISK_FULL"
        assert (await front.books()).refused == 1


async def report(front: Front, name: str, **fields: object) -> None:
    one = flow_pb2.SourceReport(tenant=TENANT, name=name, instance="one", kind="kafka", **fields)  # type: ignore[arg-type]
    await front.flow.ReportSource(flow_pb2.ReportSourceRequest(report=one))


async def test_sources_that_lag_or_fall_silent(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh, oldest_pending_alert_seconds=60.0) as front:
        await report(front, "quick", lag_ms=59_000)
        await report(front, "slow", lag_ms=61_000, lag_records=5)
        await report(front, "over", lag_ms=61_000, waiting_for="ENDED")
        silent = flow_pb2.SourceReport(tenant=TENANT, name="silent", instance="one", kind="redis")
        silent.report_time.FromMilliseconds(now_ms() - 121_000)
        flow = front.app._flow
        await flow.database.run(
            flow.put_report, TENANT, "silent", "one", now_ms() - 121_000, silent.SerializeToString()
        )
        lag = (TENANT, "source.lag", "slow.one", alerts_pb2.SEVERITY_HIGH)
        quiet = (TENANT, "source.silent", "silent.one", alerts_pb2.SEVERITY_HIGH)
        await until(lambda: told(mesh) == Counter({lag: 1, quiet: 1}), PATIENCE)
        registry = front.app._telemetry.registry
        assert registry.get_sample_value("usher_sources_lag_seconds", {"kind": "kafka"}) == 61.0


async def test_a_subscriber_that_lags(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh, oldest_pending_alert_seconds=0.2) as front:
        for name in ("slow", "quick"):
            await front.flow.AckDecisions(flow_pb2.AckDecisionsRequest(tenant=TENANT, subscriber=name))
        # Of another tenant: no concern of these.
        await front.decide([event("other")], "beta")
        await front.app._backlog.measure()
        assert metric(front, "usher_subscribers_lag_seconds") == 0
        (result,) = await front.decide([event("e1")])
        position = result.decision.position
        request = flow_pb2.AckDecisionsRequest(tenant=TENANT, subscriber="quick", position=position)
        await front.flow.AckDecisions(request)
        wanted = (TENANT, "subscriber.lag", "slow", alerts_pb2.SEVERITY_HIGH)
        await until(lambda: told(mesh)[wanted] == 1, PATIENCE)
        assert metric(front, "usher_subscribers_lag_seconds") > 0.2
        # On a slow machine the other one may have lagged for a moment, too; by now it does not.
        flow = front.app._flow
        behind = await flow.database.read(flow.untold, 0)
        assert [(tenant, name) for tenant, name, _ in behind] == [(TENANT, "slow")]

        request.subscriber = "slow"
        await front.flow.AckDecisions(request)
        await front.app._backlog.measure()
        assert metric(front, "usher_subscribers_lag_seconds") == 0
