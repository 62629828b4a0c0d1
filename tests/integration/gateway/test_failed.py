"""Failed events and patterns of attack over HTTP and by the command, before a real ingest beside fakes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from gateway import schemas
from gateway.app import IDEMPOTENT, create_app
from gateway.serving import GatewayServer
from gateway.settings import GatewaySettings
from services.common.client import ClientSettings, connect
from tests.fakes import TENANT, FakeMesh, Front, event, quiet_telemetry, running_ingest
from tests.integration.cli.fake_ingest import run_plain
from tests.unit.gateway.schema_check import problems


class Running(NamedTuple):
    mesh: FakeMesh
    front: Front
    client: httpx.AsyncClient
    target: str


@pytest.fixture
async def running(short_tmp_path: Path, tmp_path: Path) -> AsyncIterator[Running]:
    async with FakeMesh(short_tmp_path) as mesh, running_ingest(f"sqlite:///{tmp_path}/i.db", mesh) as front:
        target = f"unix:{mesh.folder}/ingest.sock"
        settings = GatewaySettings(
            ingest=ClientSettings(target=target), port=0, drain_notice=0.0, default_tenant=TENANT
        )
        telemetry = quiet_telemetry("gateway")
        stop = asyncio.Event()
        async with connect(settings.ingest, telemetry=telemetry, idempotent=IDEMPOTENT) as channel:
            server = GatewayServer(create_app(settings, channel, telemetry), settings, telemetry)
            serving = asyncio.create_task(server.serve_until(stop))
            await asyncio.wait_for(server.listening.wait(), 10)
            port = int(server.addresses[0].rpartition(":")[2])
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
                yield Running(mesh, front, client, target)
            stop.set()
            await serving


async def test_over_http(running: Running) -> None:
    mesh, front, client, _ = running
    mesh.scoring.undecidable = {"e2": "MALFORMED_EVENT"}
    await front.decide([event("e1", user_id="../../etc/passwd"), event("e2"), event("e3", region="de")])

    listed = (await client.get("/api/v1/failed-events", params={"limit": 2})).json()
    assert [one["event_id"] for one in listed["failed_events"]] == ["e2", "e3"]
    rest = (
        await client.get("/api/v1/failed-events", params={"page_token": listed["next_page_token"]})
    ).json()
    assert [(one["event_id"], one["reason"]) for one in rest["failed_events"]] == [("e1", "SECURITY")]
    [attack] = rest["failed_events"]
    assert [(e["field"], e["reason"], e["stage"]) for e in attack["errors"]] == [
        ("user_id", "ATTACK_TRAVERSAL", "security")
    ]
    shown = (await client.get(f"/api/v1/failed-events/{attack['failed_id']}")).json()
    assert shown["event"]["user_id"] == "../../etc/passwd"
    for one in [*listed["failed_events"], attack, shown]:
        assert problems(one, schemas.FAILED_EVENT) == []

    mesh.scoring.undecidable = {}
    undecided = listed["failed_events"][0]["failed_id"]
    replayed = await client.post(
        "/api/v1/failed-events/replay", json={"failed_ids": [undecided, attack["failed_id"], "failed_x"]}
    )
    assert [one["status"] for one in replayed.json()["results"]] == ["decided", "failed", "refused"]
    assert replayed.json()["results"][0]["decision"]["event_id"] == "e2"
    again = await client.post("/api/v1/failed-events/replay", json={"failed_ids": [undecided]})
    assert [one["status"] for one in again.json()["results"]] == ["duplicate"]
    still = (await client.get("/api/v1/failed-events", params={"open": "true"})).json()
    assert [one["event_id"] for one in still["failed_events"]] == ["e3", "e1"]
    assert (await client.get("/api/v1/accounting")).json()["accounts"][0]["balanced"]


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ("{", 400, "MALFORMED_JSON"),
        ("[]", 422, "PARAMETER_INVALID"),
        ("{}", 422, "PARAMETER_INVALID"),
        ('{"failed_ids":[]}', 422, "PARAMETER_INVALID"),
        ('{"failed_ids":[1]}', 422, "PARAMETER_INVALID"),
        ('{"failed_ids":["a"],"accept_attacks":1}', 422, "PARAMETER_INVALID"),
        ('{"failed_ids":["a"],"more":1}', 422, "PARAMETER_INVALID"),
    ],
)
async def test_wrong_replays(running: Running, body: str, status: int, reason: str) -> None:
    answer = await running.client.post("/api/v1/failed-events/replay", content=body)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)


async def test_unknown_ones(running: Running) -> None:
    answer = await running.client.get("/api/v1/failed-events/failed_x")
    assert (answer.status_code, answer.json()["reason"]) == (404, "FAILED_EVENT_UNKNOWN")
    answer = await running.client.get("/api/v1/failed-events", params={"open": "perhaps"})
    assert (answer.status_code, answer.json()["reason"]) == (422, "PARAMETER_INVALID")


async def test_the_status_of_the_patterns(running: Running) -> None:
    before = (await running.client.get("/api/v1/security/validation-status")).json()
    assert problems(before, schemas.SECURITY) == []
    assert before["classes"]["sqli"]["patterns"] > 8
    await running.front.decide([event("e1", error_code="x' or '1'='1")])
    after = (await running.client.get("/api/v1/security/validation-status")).json()
    assert after["classes"]["sqli"]["hits"] > before["classes"]["sqli"]["hits"]


async def test_by_the_command(running: Running) -> None:
    mesh, front, _, target = running
    mesh.scoring.undecidable = {"e2": "MALFORMED_EVENT", "e3": "MALFORMED_EVENT"}
    await front.decide([event("e1", region="de"), event("e2"), event("e3")])
    where = ("--target", target, "--tenant", TENANT)

    status, out, told = await run_plain("failed", "list", *where)
    assert status == 0
    assert [line.split()[2:5] for line in out.splitlines()] == [
        ["UNDECIDABLE", "open", "e3"],
        ["UNDECIDABLE", "open", "e2"],
        ["INVALID_EVENT", "open", "e1"],
    ]
    assert "3 failed events" in told
    status, out, _ = await run_plain("failed", "list", "--reason", "INVALID_EVENT", "--json", *where)
    [invalid] = [json.loads(line) for line in out.splitlines()]
    status, out, _ = await run_plain("failed", "show", invalid["failed_id"], *where)
    assert json.loads(out)["event"]["region"] == "de"

    mesh.scoring.undecidable = {"e3": "MALFORMED_EVENT"}
    status, out, told = await run_plain(
        "failed", "replay", "--all", "--component", "scoring", "--json", *where
    )
    assert status == 1
    assert {(one["event_id"], one["status"]) for one in map(json.loads, out.splitlines())} == {
        ("e2", "decided"),
        ("e3", "failed"),
    }
    assert "1 decided, 1 failed" in told
    mesh.scoring.undecidable = {}
    status, out, _ = await run_plain("failed", "list", "--open", "--component", "scoring", "--json", *where)
    [waiting] = [json.loads(line) for line in out.splitlines()]
    assert waiting["replays"] == 1
    status, out, _ = await run_plain(
        "failed", "replay", "-", *where, stdin=waiting["failed_id"].encode() + b"\n"
    )
    assert status == 0
    assert out.split()[:3] == [waiting["failed_id"], "decided", "e3"]
    books = await front.books()
    assert (books.decided, books.failed, books.balanced) == (2, 1, True)


async def test_wrong_usage_of_the_command(running: Running) -> None:
    for arguments in (["replay"], ["replay", "failed_x", "--all"], ["replay", "failed_x", "--reason", "X"]):
        status, out, told = await run_plain("failed", *arguments, "--target", running.target)
        assert (status, out) == (2, "")
        assert told
    status, _, told = await run_plain("failed", "show", "failed_x", "--target", running.target)
    assert status == 2
    assert "FAILED_EVENT_UNKNOWN" in told or "no failed event" in told
