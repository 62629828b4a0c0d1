"""Routes of alerts and incidents, over a real alerts service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway import alerts as routes
from gateway.app import create_app
from gateway.settings import GatewaySettings
from services.common.client import ClientSettings, connect
from services.common.telemetry import Telemetry, TelemetrySettings
from tests.integration.alerts.process import running
from usher.alerts.v1 import alerts_pb2, alerts_pb2_grpc


@pytest_asyncio.fixture
async def client(short_tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running(short_tmp_path, f"sqlite:///{short_tmp_path}/a.db") as alerts:
        await alerts.channel.channel_ready()
        outer = Telemetry("gateway", TelemetrySettings(), None)
        target = ClientSettings(f"unix:{short_tmp_path}/a.sock", timeout=20.0)
        async with connect(target, telemetry=outer) as channel:
            gateway = GatewaySettings(
                ingest=target, alerts=target, request_timeout=20.0, default_tenant="acme"
            )
            app = create_app(gateway, channel, outer, None, channel)
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as opened:
                yield opened


ALERT = {
    "event_id": "e1",
    "kind": "takeover",
    "entity_kind": "user",
    "entity": "u1",
    "severity": "SEVERITY_CRITICAL",
    "summary": "somebody else signed in",
    "subjects": [{"kind": "device", "value": "d7"}],
}


async def send(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/api/v1/alerts/send", json={**ALERT, **fields})


async def test_alerts_are_sent_found_and_acted_on(client: httpx.AsyncClient) -> None:
    first, again = await send(client), await send(client)
    assert (first.status_code, again.status_code) == (201, 200)
    await send(client, event_id="e2", entity="u2", severity="SEVERITY_LOW", subjects=[])
    alert_id = first.json()["alert_id"]

    recent = (await client.get("/api/v1/alerts/recent", params={"limit": 10})).json()
    assert {one["entity"] for one in recent["alerts"]} == {"u1", "u2"}
    found = (await client.get("/api/v1/alerts", params={"subject": "device=d7"})).json()["alerts"]
    assert [one["alert_id"] for one in found] == [alert_id]
    queue = (await client.get("/api/v1/alerts/queue", params={"capacity": 1})).json()
    assert (queue["within_capacity"], queue["alerts"][0]["entity"]) == (1, "u1")

    act = {"act": "ALERT_ACT_ACKNOWLEDGE", "actor": "ann", "selection": {"kind": "takeover"}}
    look = (await client.post("/api/v1/alerts/act", json={**act, "preview": True})).json()
    assert look["changed"] == "2"
    assert (await client.post("/api/v1/alerts/act", json=act)).json()["changed"] == "2"
    one = (await client.get(f"/api/v1/alerts/{alert_id}")).json()
    assert one["alert"]["state"] == "ALERT_STATE_ACKNOWLEDGED"
    assert one["deliveries"][0]["channel"] == "log"
    other = await client.get("/api/v1/alerts", headers={"x-usher-tenant": "zeta"})
    assert other.json()["alerts"] == []


async def test_incidents_are_worked_on(client: httpx.AsyncClient) -> None:
    await send(client)
    (incident,) = (await client.get("/api/v1/incidents")).json()["incidents"]
    number = incident["number"]
    done = await client.post(
        f"/api/v1/incidents/{number}",
        json={"actor": "ann", "state": "INCIDENT_STATE_RESOLVED", "note": "account closed"},
    )
    assert done.json()["incident"]["state"] == "INCIDENT_STATE_RESOLVED"
    told = (await client.get(f"/api/v1/incidents/{number}")).json()
    assert [line["what"] for line in told["timeline"]][:3] == ["opened", "note", "state"]
    again = await client.post(
        f"/api/v1/incidents/{number}", json={"actor": "ann", "state": "INCIDENT_STATE_ACKNOWLEDGED"}
    )
    assert (again.status_code, again.json()["reason"]) == (409, "INCIDENT_STATE")
    assert (await client.get("/api/v1/incidents/INC-2026-99999")).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/api/v1/alerts/send", {"kind": "x"}, "MESSAGE_INVALID"),
        ("/api/v1/alerts/send", {"colour": 1}, "ENVELOPE_INVALID"),
        ("/api/v1/alerts/send", [], "ENVELOPE_INVALID"),
        ("/api/v1/alerts/act", {"act": "ALERT_ACT_RESOLVE", "actor": "ann"}, "SELECTION_INVALID"),
        ("/api/v1/alerts/act", {"act": "ALERT_ACT_RESOLVE", "alert_ids": ["x"]}, "ACTOR_MISSING"),
        ("/api/v1/alerts/snooze", {"snooze": {}}, "SNOOZE_INVALID"),
    ],
)
async def test_what_is_wrong_is_named(client: httpx.AsyncClient, path: str, body: Any, reason: str) -> None:
    answer = await client.post(path, json=body)
    assert (answer.status_code, answer.json()["reason"]) in [(400, reason), (422, reason)]


async def test_the_stream_tells_changes_from_a_place_on(short_tmp_path: Path) -> None:
    async with running(short_tmp_path, f"sqlite:///{short_tmp_path}/a.db") as alerts:
        await alerts.channel.channel_ready()
        outer = Telemetry("gateway", TelemetrySettings(), None)
        async with connect(
            ClientSettings(f"unix:{short_tmp_path}/a.sock", timeout=20.0), telemetry=outer
        ) as channel:
            stub = alerts_pb2_grpc.AlertsServiceStub(channel)
            ending = asyncio.Event()
            watch = alerts_pb2.WatchAlertsRequest(tenant="acme", after_changed=0)
            feed = routes.feed(stub.WatchAlerts(watch), ending)
            assert await anext(feed) == b": usher\n\n"
            await alerts.raise_(alerts_pb2.AlertMessage(tenant="acme", event_id="e", kind="k", entity="u1"))
            async with asyncio.timeout(20):
                while b"event: alerts" not in (piece := await anext(feed)):
                    assert b"alive" in piece
                assert b'"entity":"u1"' in piece
                ending.set()
                while b"event: end" not in (piece := await anext(feed)):
                    assert b"event: a" in piece
            assert b"DRAINING" in piece
