"""Lists over HTTP, to a running ingest."""

from __future__ import annotations

from pathlib import Path

import httpx

from gateway.app import create_app
from gateway.settings import GatewaySettings
from services.common.client import ClientSettings, connect
from services.common.telemetry import Telemetry, TelemetrySettings
from tests.fakes import TENANT, FakeMesh, event, running_ingest, until
from usher.decision.v1 import decision_pb2


async def test_entries_are_looked_at_set_shown_and_lifted(short_tmp_path: Path) -> None:
    telemetry = Telemetry("gateway", TelemetrySettings(), None)
    async with FakeMesh(short_tmp_path) as mesh:
        mesh.scoring.list_addresses = {"e1"}
        mesh.scoring.outcomes = {"e1": decision_pb2.OUTCOME_ALLOW_WITH_CAUTION}
        async with running_ingest(f"{short_tmp_path}/ingest.db", mesh) as front:
            await front.decide([event("e0", "u2", ip_address="9.9.9.9")])
            await front.decide([event("e1", "u1", ip_address="9.9.9.9", event_type="login")])
            target = ClientSettings(f"unix:{short_tmp_path}/ingest.sock", timeout=20.0)
            async with connect(target, telemetry=telemetry) as channel:
                settings = GatewaySettings(ingest=target, request_timeout=20.0, default_tenant=TENANT)
                transport = httpx.ASGITransport(app=create_app(settings, channel, telemetry))
                async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:

                    async def in_force() -> bool:
                        shown = (await client.get("/api/v1/lists")).json()["entries"]
                        return [one["proposed"] for one in shown] == [False]

                    await until(in_force)
                    [automatic] = (await client.get("/api/v1/lists", params={"kind": "block"})).json()[
                        "entries"
                    ]
                    assert {one["user_id"] for one in automatic["affected"]["accounts"]} == {"u1", "u2"}
                    assert (automatic["affected"]["watching"], automatic["automatic"]) == ("1", True)

                    about = {"entity_kind": "user", "entity": "u2"}
                    seen = (await client.get("/api/v1/lists/preview", params=about)).json()
                    assert [one["user_id"] for one in seen["accounts"]] == ["u2"]
                    mine = {
                        "kind": "LIST_KIND_BLOCK",
                        "entity_kind": "LISTED_ENTITY_USER",
                        "entity": "u2",
                        "reason": "case 7",
                        "actor": "ann",
                    }
                    answer = await client.post("/api/v1/lists", json=mine)
                    assert answer.status_code == 201, answer.text
                    entry_id = answer.json()["entry"]["entry_id"]
                    [blocked] = await front.decide([event("e2", "u2")])
                    assert blocked.decision.outcome == decision_pb2.OUTCOME_BLOCK
                    lift = {"entry_id": entry_id, "actor": "bob", "reason": "mistake"}
                    lifted = await client.post("/api/v1/lists/lift", json=lift)
                    assert lifted.json()["entry"]["lifted_by"] == "bob"
                    for params in ({"kind": "colour"}, {"limit": "0"}, {"odd": "1"}):
                        refused = await client.get("/api/v1/lists", params=params)
                        assert (refused.status_code, refused.json()["reason"]) == (422, "PARAMETER_INVALID")
                    bad = await client.post("/api/v1/lists", json={**mine, "reason": ""})
                    assert bad.json()["reason"] == "LIST_ENTRY_INVALID"
