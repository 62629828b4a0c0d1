"""Confirmations over HTTP, to a running ingest."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from gateway.app import create_app
from gateway.settings import GatewaySettings
from services.common.client import ClientSettings, connect
from services.common.telemetry import Telemetry, TelemetrySettings
from tests.fakes import TENANT, FakeMesh, event, running_ingest

CONFIRMED = {
    "event_id": "e1",
    "action": "ACTION_KIND_SUPPRESS_PROCESSING",
    "purpose": "targeted_advertising",
    "result": "ENFORCEMENT_RESULT_CARRIED_OUT",
    "component": "ads",
    "enforced_time": "2026-11-01T12:00:00Z",
}


async def test_a_caller_confirms_and_reads_back(short_tmp_path: Path) -> None:
    telemetry = Telemetry("gateway", TelemetrySettings(), None)
    async with FakeMesh(short_tmp_path) as mesh:
        mesh.compliance.suppressed = {"u1"}
        async with running_ingest(f"{short_tmp_path}/ingest.db", mesh) as front:
            await front.decide([event("e1", "u1")])
            target = ClientSettings(f"unix:{short_tmp_path}/ingest.sock", timeout=20.0)
            async with connect(target, telemetry=telemetry) as channel:
                settings = GatewaySettings(ingest=target, request_timeout=20.0, default_tenant=TENANT)
                transport = httpx.ASGITransport(app=create_app(settings, channel, telemetry))
                async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                    url = "/api/v1/enforcements"
                    odd = {**CONFIRMED, "event_id": "nothing"}
                    answer = await client.post(url, json={"enforcements": [CONFIRMED, odd]})
                    assert answer.status_code == 200, answer.text
                    statuses = [one["status"] for one in answer.json()["outcomes"]]
                    assert statuses == ["ENFORCEMENT_STATUS_RECORDED", "ENFORCEMENT_STATUS_UNKNOWN"]
                    [kept] = (await client.get(url, params={"event_id": "e1"})).json()["enforcements"]
                    assert kept.pop("recorded_time")
                    assert kept == {**CONFIRMED, "reference": ""}
                    none = await client.post(url, json={"enforcements": []})
                    assert (none.status_code, none.json()["reason"]) == (400, "ENFORCEMENTS_MISSING")
                    malformed = await client.post(
                        url, content=b"{", headers={"content-type": "application/json"}
                    )
                    assert malformed.json()["reason"] == "MALFORMED_JSON"


@pytest.mark.parametrize("field", ["limit=0", "limit=x", "colour=red"])
async def test_parameters_are_checked(short_tmp_path: Path, field: str) -> None:
    telemetry = Telemetry("gateway", TelemetrySettings(), None)
    target = ClientSettings(f"unix:{short_tmp_path}/nobody.sock")
    async with connect(target, telemetry=telemetry) as channel:
        transport = httpx.ASGITransport(app=create_app(GatewaySettings(ingest=target), channel, telemetry))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answer = await client.get(f"/api/v1/enforcements?{field}")
            assert answer.json()["reason"] == "PARAMETER_INVALID"
