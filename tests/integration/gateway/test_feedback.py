"""The routes of what was learnt, over HTTP to a real ingest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest_asyncio

from gateway.app import create_app
from gateway.settings import GatewaySettings
from services.common.client import ClientSettings, connect
from services.common.feedback_policy import FeedbackPolicy
from services.common.telemetry import Telemetry, TelemetrySettings
from tests.fakes import TENANT, FakeMesh, Front, event, running_ingest
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import feedback_pb2


@pytest_asyncio.fixture
async def both(tmp_path: Path, short_tmp_path: Path) -> AsyncIterator[tuple[Front, httpx.AsyncClient]]:
    telemetry = Telemetry("gateway", TelemetrySettings(), None)
    async with FakeMesh(short_tmp_path) as mesh:
        mesh.scoring.outcomes = {f"e{i}": decision_pb2.OUTCOME_BLOCK for i in range(3)}
        async with running_ingest(f"sqlite:///{tmp_path}/ingest.db", mesh) as front:
            target = ClientSettings(f"unix:{short_tmp_path}/ingest.sock", timeout=60.0)
            async with connect(target, telemetry=telemetry) as channel:
                app = create_app(GatewaySettings(ingest=target, request_timeout=60.0), channel, telemetry)
                transport = httpx.ASGITransport(app=app)
                async with httpx.AsyncClient(
                    transport=transport, base_url="http://127.0.0.1", headers={"X-Usher-Tenant": TENANT}
                ) as http:
                    yield front, http


async def test_report_sample_and_control_group(both: tuple[Front, httpx.AsyncClient]) -> None:
    front, http = both
    missing = await http.get("/api/v1/feedback/report")
    assert (missing.status_code, missing.json()["reason"]) == (404, "REPORT_NOT_FOUND")
    playback = 1 << event_pb2.EVENT_CLASS_PLAYBACK
    front.app._policy.feedback = FeedbackPolicy(1.0, 2, 1_000, playback, 1.0)
    await front.decide([event(f"e{i}", f"u{i}") for i in range(5)])
    report = feedback_pb2.FeedbackReport(tenant=TENANT, events=5, sampled=2, control_group=2)
    report.time.seconds = 1_000
    report.groups.add(dimension="country", group="NL", alarming=True).held_up.of = 5
    await front.feedback.PutFeedbackReport(feedback_pb2.PutFeedbackReportRequest(report=report))

    told = (await http.get("/api/v1/feedback/report")).json()["report"]
    assert told["groups"][0]["alarming"] is True
    assert told["time"] == "1970-01-01T00:16:40Z"
    drawn = (await http.get("/api/v1/feedback/sample")).json()["decisions"]
    assert [one["event_id"] for one in drawn] == ["e3", "e4"]
    control = (await http.get("/api/v1/feedback/control")).json()
    assert (control["share"], control["at_most_an_hour"], control["control_group"]) == (1.0, 2, "2")
    assert control["classes"] == ["EVENT_CLASS_PLAYBACK"]
    assert [one["taken"] for one in control["hours"]] == [2]
    wrong = await http.get("/api/v1/feedback/control", params={"hour": "1"})
    assert (wrong.status_code, wrong.json()["reason"]) == (422, "PARAMETER_INVALID")
