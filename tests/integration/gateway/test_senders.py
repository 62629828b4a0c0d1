"""Keys and limits at the gateway, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from gateway.app import IDEMPOTENT, create_app
from gateway.senders import PER_MINUTE
from gateway.serving import GatewayServer
from gateway.settings import GatewaySettings
from services.common.client import ClientSettings, connect
from services.common.telemetry import Telemetry, TelemetrySettings
from tests.integration.gateway.test_gateway import FakeIngest, ingest

__all__ = ["ingest"]
EVENT = {
    "event_id": "e1",
    "user_id": "u",
    "device_id": "d",
    "event_type": "play",
    "timestamp": "2026-11-01T00:00:00Z",
    "region": "NL",
    "ip_address": "192.0.2.1",
}


@asynccontextmanager
async def running(target: str, **fields: Any) -> AsyncIterator[httpx.AsyncClient]:
    settings = GatewaySettings(ingest=ClientSettings(target=target), port=0, drain_notice=0.0, **fields)
    telemetry = Telemetry("gateway", TelemetrySettings(log_level="ERROR", sample_ratio=0.0), None)
    stop = asyncio.Event()
    async with connect(settings.ingest, telemetry=telemetry, idempotent=IDEMPOTENT) as channel:
        server = GatewayServer(create_app(settings, channel, telemetry), settings, telemetry)
        serving = asyncio.create_task(server.serve_until(stop))
        await server.listening.wait()
        async with httpx.AsyncClient(base_url=f"http://{server.addresses[0]}", trust_env=False) as client:
            yield client
        stop.set()
        await serving


@pytest.mark.parametrize("header", [{"X-API-Key": "usk_a_b"}, {"Authorization": "Bearer usk_a_b"}])
async def test_a_key_goes_on_to_ingest(ingest: tuple[FakeIngest, str], header: dict[str, str]) -> None:
    fake, target = ingest
    async with running(target) as client:
        assert (await client.post("/events", json=EVENT, headers=header)).status_code == 202
        assert fake.metadata["x-api-key"] == "usk_a_b"
        await client.get("/api/v1/accounting")
        assert "x-api-key" not in fake.metadata
        await client.get("/api/v1/decisions/e1", headers={"Authorization": "Bearer eyJhbGciOi"})
        assert "x-api-key" not in fake.metadata


async def test_two_keys_are_none_and_odd_ones_do_not_break(ingest: tuple[FakeIngest, str]) -> None:
    fake, target = ingest
    async with running(target) as client:
        headers = [("X-API-Key", "usk_a_b"), ("X-API-Key", "usk_c_d")]
        assert (await client.post("/events", json=EVENT, headers=headers)).status_code == 202
        assert fake.metadata["x-api-key"] == "usk_a_b,usk_c_d"
        odd = {b"X-API-Key": "usk_ä".encode("latin-1")}
        assert (await client.post("/events", json=EVENT, headers=odd)).status_code == 202
        assert fake.metadata["x-api-key"] == "invalid"


async def test_with_keys_required_only_pages_and_health_go_without(ingest: tuple[FakeIngest, str]) -> None:
    fake, target = ingest
    async with running(target, keys_required=True) as client:
        for answer in (
            await client.post("/events", json=EVENT),
            await client.post("/api/v1/decisions", json=EVENT),
            await client.get("/api/v1/decisions"),
            await client.get("/api/v1/accounting"),
            await client.get("/api/v1/decision-stream"),
        ):
            assert (answer.status_code, answer.json()["reason"]) == (401, "KEY_MISSING")
            assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/api/v1/alerts", "/api/v1/failed-events", "/nowhere"):
            closed = await client.get(path, headers={"X-API-Key": "usk_a_b"})
            assert (closed.status_code, closed.json()["reason"]) == (403, "KEY_METHOD")
        assert not fake.calls
        for path in ("/", "/healthz", "/metrics", "/docs"):
            assert (await client.get(path)).status_code == 200
        keyed = await client.post("/events", json=EVENT, headers={"X-API-Key": "usk_a_b"})
        assert keyed.status_code == 202


async def test_a_route_has_its_limit_of_the_table(ingest: tuple[FakeIngest, str]) -> None:
    _, target = ingest
    async with running(target) as client:
        limit = PER_MINUTE["/metrics"]
        assert [(await client.get("/metrics")).status_code for _ in range(limit)] == [200] * limit
        # On a slow machine some more flow in meanwhile.
        for _ in range(3 * limit):
            refused = await client.get("/metrics")
            if refused.status_code == 429:
                break
        assert refused.json()["reason"] == "RATE_EXCEEDED"
        assert int(refused.headers["retry-after"]) == 1
        # Another route is another bucket.
        assert (await client.get("/")).status_code == 200
        assert (await client.post("/events", json=EVENT)).status_code == 202


def test_the_table_is_that_of_the_original() -> None:
    assert PER_MINUTE == {"/": 100, "/api": 1_000, "/metrics": 100, "/events": 10_000, "/token": 100}
