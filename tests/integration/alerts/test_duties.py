"""Duties arrive at alerts from those who notice them, are told without naming a person, and open an incident."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.common.policy import build_default
from tests import harness
from tests.fakes import TENANT, FakeMesh, event, running_ingest, until
from tests.integration.alerts.process import Process, running
from tests.unit.alerts.messages import message
from usher.alerts.v1 import alerts_pb2
from usher.compliance.v1 import records_pb2, records_pb2_grpc

DAY_S = 86_400


@asynccontextmanager
async def running_compliance(folder: Path, alerts: str) -> AsyncIterator[Any]:
    """A real compliance whose outbox leads to `alerts`; gives its channel."""
    policy = folder / "policy"
    build_default(policy)
    socket = folder / "c.sock"
    env = {key: value for key, value in os.environ.items() if not key.startswith("USHER_")}
    env |= {
        "USHER_COMPLIANCE_SERVER_ADDRESS": f"unix:{socket}",
        "USHER_COMPLIANCE_SERVER_DRAIN_NOTICE": "0.05",
        "USHER_COMPLIANCE_DATABASE_URL": f"sqlite:///{folder}/c.db",
        "USHER_COMPLIANCE_POLICY_DIR": str(policy),
        "USHER_COMPLIANCE_RECORDS_KEYS_DIR": str(folder),
        "USHER_COMPLIANCE_RECORDS_LEDGER_COPY": str(folder / "erasures.jsonl"),
        # Nothing is asked of the others here.
        **{f"USHER_COMPLIANCE_{one}_TARGET": alerts for one in ("INGEST", "SCORING", "FRAUD", "ALERTS")},
    }
    process = harness.Process("compliance", "services.compliance", socket, env, folder / "c.log")
    process.start()
    try:
        await asyncio.to_thread(process.wait_serving)
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            yield channel
    finally:
        await asyncio.to_thread(process.stop)


async def alerts_of(alerts: Process, tenant: str, *kinds: str) -> dict[str, alerts_pb2.Alert]:
    """The alerts of these kinds, once each is there."""
    found: dict[str, alerts_pb2.Alert] = {}

    async def there() -> bool:
        listed = await alerts.list_(tenant=tenant)
        found.update({one.kind: one for one in listed.alerts if one.kind in kinds})
        return found.keys() == set(kinds)

    await until(there, 60.0)
    return found


async def incidents_of(alerts: Process, tenant: str) -> set[tuple[str, str]]:
    request = alerts_pb2.ListIncidentsRequest(tenant=tenant)
    answer = await alerts.stub.ListIncidents(request, timeout=20)
    return {(one.entity_kind, one.entity) for one in answer.incidents}


async def test_breach_deadlines_and_overdue_subject_requests_arrive_from_compliance(
    short_tmp_path: Path,
) -> None:
    folder = short_tmp_path
    async with (
        running(folder, f"sqlite:///{folder}/a.db") as alerts,
        running_compliance(folder, alerts.env["USHER_ALERTS_SERVER_ADDRESS"]) as channel,
    ):
        await alerts.raise_(message("warm", tenant="other"))
        breach = records_pb2.Breach(tenant="acme", description="a copy was lost", affected={"DE": 3})
        breach.aware_time.FromSeconds(int(time.time()) - 30 * DAY_S)
        breach.risk = records_pb2.BREACH_RISK_HIGH
        register = records_pb2.RegisterBreachRequest(breach=breach, actor="ann")
        registered = (
            await records_pb2_grpc.BreachServiceStub(channel).RegisterBreach(register, timeout=20)
        ).breach
        ask = records_pb2.OpenSubjectRequestRequest(
            tenant="acme",
            user_id="jane.doe",
            right=records_pb2.SUBJECT_RIGHT_ACCESS,
            jurisdiction="DE",
            actor="ann",
        )
        ask.received_time.FromSeconds(int(time.time()) - 200 * DAY_S)
        requests = records_pb2_grpc.SubjectRequestServiceStub(channel)
        opened = (await requests.OpenSubjectRequest(ask, timeout=20)).request

        found = await alerts_of(alerts, "acme", "breach.overdue", "request.overdue")

        late, waits = found["breach.overdue"], found["request.overdue"]
        assert (late.entity_kind, late.entity) == ("breach", registered.breach_id)
        assert late.severity == alerts_pb2.SEVERITY_CRITICAL
        assert (waits.entity_kind, waits.entity) == ("subject_request", opened.request_id)
        assert waits.severity == alerts_pb2.SEVERITY_HIGH
        assert await incidents_of(alerts, "acme") == {
            ("breach", registered.breach_id),
            ("subject_request", opened.request_id),
        }
        told = {line["kind"]: line for line in await alerts.until_told(3)}
        assert told["breach.overdue"]["entity"] == registered.breach_id, "what names no person is shown"
        assert "jane.doe" not in str(alerts.lines)


async def test_books_that_do_not_balance_arrive_from_ingest(short_tmp_path: Path) -> None:
    folder = short_tmp_path / "m"
    folder.mkdir()
    mesh = FakeMesh(folder)
    env = {"USHER_ALERTS_SERVER_ADDRESS": mesh.target("alerts")}
    async with running(short_tmp_path, f"sqlite:///{short_tmp_path}/a.db", **env) as alerts:
        await alerts.raise_(message("warm", tenant="other"))
        for name in ("compliance", "scoring", "fraud"):
            await mesh.start(name)
        try:
            async with running_ingest(f"sqlite:///{short_tmp_path}/i.db", mesh) as front:
                await front.decide([event("e1")])
                with front.app._database.begin() as connection:
                    connection.exec_driver_sql("UPDATE counters SET n = n + 1 WHERE name = 'decided'")
                assert await front.app.audit() == [TENANT]
                assert await front.app.audit() == [TENANT]
                found = await alerts_of(alerts, TENANT, "duty.accounting")
        finally:
            for name in ("compliance", "scoring", "fraud"):
                await mesh.stop(name)
        assert (found["duty.accounting"].count, found["duty.accounting"].entity) == (1, "ingest")
        assert await incidents_of(alerts, TENANT) == {("service", "ingest")}


@pytest.mark.parametrize(
    ("kind", "entity_kind", "entity"),
    [
        ("duty.drift", "service", "scoring"),
        ("duty.fairness", "group", "address_class.vpn"),
        ("duty.retention_failed", "duty", "retention"),
    ],
)
async def test_drift_fairness_and_retention_open_one_incident_while_they_last(
    short_tmp_path: Path, kind: str, entity_kind: str, entity: str
) -> None:
    url = f"sqlite:///{short_tmp_path}/a.db"
    async with running(short_tmp_path, url) as alerts:
        about = {"kind": kind, "entity_kind": entity_kind, "entity": entity, "severity": 3}
        first, again, later = await alerts.raise_(
            message(f"{kind}.{entity}.1", **about),  # type: ignore[arg-type]
            message(f"{kind}.{entity}.1", **about),  # type: ignore[arg-type]
            message(f"{kind}.{entity}.2", minutes=300, **about),  # type: ignore[arg-type]
        )
        assert again.status == alerts_pb2.RAISE_STATUS_DUPLICATE
        assert first.alert_id == later.alert_id, "one alert while it lasts"
        assert await incidents_of(alerts, "acme") == {(entity_kind, entity)}
        [line] = await alerts.until_told(1)
        assert (line["kind"], line["entity"]) == (kind, entity)
