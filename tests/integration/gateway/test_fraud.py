"""The routes of rings, neighbourhoods and addresses, over HTTP to a fraud process."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from gateway.app import create_app
from gateway.settings import GatewaySettings
from services.common.client import ClientSettings, connect
from services.common.telemetry import Telemetry, TelemetrySettings
from tests.integration.fraud.test_service import Fraud, batch, event

TENANT = {"X-Usher-Tenant": "acme"}
MEMBERS = [f"member{number}" for number in range(6)]


@pytest_asyncio.fixture
async def client(short_tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway before a fraud process that has seen six accounts share a device, a card and a sign-up address."""
    fraud = Fraud(short_tmp_path)
    telemetry = Telemetry("gateway", TelemetrySettings(), None)
    target = ClientSettings(fraud.env["USHER_FRAUD_SERVER_ADDRESS"], timeout=20.0)
    async with fraud.running() as stub, connect(target, telemetry=telemetry) as channel:
        events = [event(f"e{number}", member, device="dev_A") for number, member in enumerate(MEMBERS)]
        await stub.AssessEvents(batch(fraud, *events))
        # A ring is looked for when the next event of one of them comes.
        await stub.AssessEvents(batch(fraud, event("next", "member3", device="dev_A", seconds=9)))
        for guest in ("ann", "bob"):
            await stub.AssessEvents(batch(fraud, event(f"at-{guest}", guest, address="198.51.100.7")))
        settings = GatewaySettings(ingest=target, fraud=target, request_timeout=20.0)
        app = create_app(settings, channel, telemetry, fraud_channel=channel)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", headers=TENANT
        ) as opened:
            yield opened


async def test_a_ring_is_listed_shown_drawn_and_dismissed(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/api/v1/rings")).json()
    [ring] = listed["rings"]
    assert sorted(ring["members"]) == MEMBERS
    assert ring["flagged"]
    assert listed["next_page_token"] == ""
    url = f"/api/v1/rings/{ring['ring_id']}"

    shown = (await client.get(url)).json()
    assert shown["ring"]["ring_id"] == ring["ring_id"]
    assert {finding["code"] for finding in shown["ring"]["findings"]} >= {"shared_devices", "shared_payments"}
    assert sorted(shown["neighbourhood"]["accounts"]) == MEMBERS

    drawn = await client.get(f"{url}/picture")
    assert drawn.headers["content-type"] == "image/svg+xml"
    texts = {
        element.text
        for element in ElementTree.fromstring(drawn.text).iter("{http://www.w3.org/2000/svg}text")
    }
    assert texts >= set(MEMBERS)
    painted = await client.get(f"{url}/picture", params={"format": "png"})
    assert painted.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(painted.content)) as image:
        assert image.size == (1800, 1800)
        colours = image.convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert (0xB3, 0x26, 0x1E) in {colour for _, colour in colours}, "the device"

    verdict = {"status": "RING_STATUS_DISMISSED", "decided_by": "ann", "note": "a shared flat"}
    said = await client.post(f"{url}/status", json=verdict)
    assert said.status_code == 200, said.text
    assert said.json()["ring"]["status"] == "RING_STATUS_DISMISSED"
    assert (await client.get("/api/v1/rings")).json()["rings"] == []
    [dismissed] = (await client.get("/api/v1/rings", params={"status": "dismissed"})).json()["rings"]
    assert (dismissed["decided_by"], dismissed["note"]) == ("ann", "a shared flat")


async def test_a_neighbourhood_and_an_address(client: httpx.AsyncClient) -> None:
    found = (await client.get("/api/v1/neighbourhoods/member0")).json()
    assert sorted(found["neighbourhood"]["accounts"]) == MEMBERS
    assert found["groups"][0]["ring_id"].startswith("ring_")
    address = (await client.get("/api/v1/addresses/198.51.100.7")).json()
    assert address["accounts"] == 2
    alone = await client.get("/api/v1/neighbourhoods/nobody")
    assert (alone.status_code, alone.json()["reason"]) == (404, "ACCOUNT_UNTIED")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason"),
    [
        ("GET", "/api/v1/rings/ring_0000000000000000", None, 404, "RING_UNKNOWN"),
        ("GET", "/api/v1/rings?minimum_score=2", None, 422, "PARAMETER_INVALID"),
        ("GET", "/api/v1/rings?status=odd", None, 422, "PARAMETER_INVALID"),
        ("GET", "/api/v1/rings?colour=red", None, 422, "PARAMETER_INVALID"),
        ("GET", "/api/v1/rings/ring_0000000000000000/picture?format=gif", None, 422, "PARAMETER_INVALID"),
        ("GET", "/api/v1/addresses/nowhere", None, 400, "ADDRESS_INVALID"),
        (
            "POST",
            "/api/v1/rings/ring_0000000000000000/status",
            {"status": "RING_STATUS_OPEN"},
            400,
            "DECIDED_BY_MISSING",
        ),
        (
            "POST",
            "/api/v1/rings/ring_0000000000000000/status",
            {"status": "PERHAPS", "decided_by": "ann"},
            422,
            "ENVELOPE_INVALID",
        ),
    ],
)
async def test_what_cannot_be_is_refused_by_name(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, str] | None, status: int, reason: str
) -> None:
    answer = await client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
