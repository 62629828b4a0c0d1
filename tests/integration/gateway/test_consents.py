"""The routes of the consent ledger, over HTTP to a served ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.app import create_app
from gateway.settings import GatewaySettings
from services.common.client import ClientSettings, connect
from services.common.clock import SystemClock
from services.common.db import DatabaseSettings, open_database
from services.common.migrations import migrate
from services.common.server import ServerSettings, Service, start_server
from services.common.telemetry import Telemetry, TelemetrySettings
from services.compliance.servicer_consents import ConsentServicer
from services.compliance.store_consents import ConsentStore
from usher.compliance.v1 import consent_pb2_grpc

GIVEN = {
    "act": "given",
    "purpose": "targeted_advertising",
    "source": "cmp",
    "effective_time": "2026-03-01T00:00:00Z",
    "scope": ["terminal_access"],
    "proof": {"consent_string": "1YNN", "sha256": "00" * 32},
}


@pytest_asyncio.fixture
async def client(short_tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    telemetry = Telemetry("test", TelemetrySettings(), None)
    async with open_database(DatabaseSettings(url=f"{short_tmp_path}/c.db"), schema="compliance") as database:
        await asyncio.to_thread(migrate, database, "compliance")
        service = Service(
            consent_pb2_grpc.add_ConsentServiceServicer_to_server,
            ConsentServicer(ConsentStore(database), telemetry.registry, SystemClock()),
            "usher.compliance.v1.ConsentService",
        )
        settings = ServerSettings(f"unix:{short_tmp_path}/c.sock", drain_notice=0.0)
        async with start_server(settings, [service], healthy=database.ping, telemetry=telemetry) as server:
            await server.wait_serving()
            outer = Telemetry("gateway", TelemetrySettings(), None)
            target = ClientSettings(server.target, timeout=20.0)
            async with connect(target, telemetry=outer) as channel:
                gateway = GatewaySettings(ingest=target, compliance=target, request_timeout=20.0)
                app = create_app(gateway, channel, outer, channel)
                transport = httpx.ASGITransport(app=app)
                async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as opened:
                    yield opened


async def record(client: httpx.AsyncClient, *records: dict[str, Any], **more: Any) -> httpx.Response:
    return await client.post("/api/v1/consents", json={"user_id": "ann", "records": list(records), **more})


async def test_recording_reading_and_verifying(client: httpx.AsyncClient) -> None:
    first = await record(client, GIVEN, request_id="r")
    again = await record(client, GIVEN, request_id="r")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["receipts"] == again.json()["receipts"]
    withdrawn = {"act": "withdrawn", "purpose": "targeted_advertising", "source": "account_settings"}
    assert (await record(client, withdrawn)).status_code == 201

    now = (await client.get("/api/v1/consents/ann")).json()
    assert [(state["purpose"], state["status"]) for state in now["states"]] == [
        ("targeted_advertising", "withdrawn")
    ]
    then = (await client.get("/api/v1/consents/ann", params={"time": "2026-04-01T00:00:00Z"})).json()
    assert then["states"][0]["status"] == "granted"
    assert then["states"][0]["record"] == GIVEN

    page = (await client.get("/api/v1/consents", params={"user_id": "ann", "limit": 1})).json()
    rest = (await client.get("/api/v1/consents", params={"page_token": page["next_page_token"]})).json()
    assert [entry["seq"] for entry in [*page["entries"], *rest["entries"]]] == [2, 1]
    assert rest["next_page_token"] is None
    verified = (await client.get("/api/v1/consents/verification")).json()
    assert (verified["checked"], verified["complete"], verified["broken_seq"]) == (2, True, None)
    # Another tenant sees nothing of it.
    other = await client.get("/api/v1/consents/ann", headers={"x-usher-tenant": "zeta"})
    assert other.json() == {"states": [], "ledger_version": 0}


@pytest.mark.parametrize(
    ("body", "status", "reason", "field"),
    [
        ({"user_id": "ann"}, 422, "ENVELOPE_INVALID", "records"),
        ({"user_id": "ann", "records": [], "more": 1}, 422, "ENVELOPE_INVALID", ""),
        ({"user_id": "ann", "records": []}, 400, "RECORDS_MISSING", ""),
        ({"user_id": "a b", "records": [GIVEN]}, 400, "USER_ID_INVALID", ""),
        (
            {"user_id": "ann", "records": [GIVEN | {"act": "agreed"}]},
            422,
            "CONSENT_RECORD_INVALID",
            "records[0].act",
        ),
        ({"user_id": "ann", "records": [GIVEN | {"x": 1}]}, 422, "CONSENT_RECORD_INVALID", "records[0].x"),
        (
            {"user_id": "ann", "records": [GIVEN | {"effective_time": "soon"}]},
            422,
            "CONSENT_RECORD_INVALID",
            "records[0].effective_time",
        ),
        (
            {"user_id": "ann", "records": [GIVEN, GIVEN | {"proof": {"consent_string": "CAAA"}}]},
            422,
            "CONSENT_RECORD_INVALID",
            "records[1].proof.consent_string",
        ),
    ],
)
async def test_what_is_wrong_is_told_by_field(
    client: httpx.AsyncClient, body: dict[str, Any], status: int, reason: str, field: str
) -> None:
    answer = await client.post("/api/v1/consents", json=body)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    if field:
        assert answer.json()["errors"][0]["field"] == field


async def test_parameters_are_checked(client: httpx.AsyncClient) -> None:
    for path in (
        "/api/v1/consents/ann?time=soon",
        "/api/v1/consents?limit=0",
        "/api/v1/consents/verification?x=1",
    ):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["reason"]) == (422, "PARAMETER_INVALID")
