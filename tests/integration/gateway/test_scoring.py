"""The routes of drift, segments and features, over HTTP to a scoring server."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from gateway.app import create_app
from gateway.settings import GatewaySettings
from services.common.client import ClientSettings, connect
from services.common.policy import PolicySetCache
from services.common.server import ServerSettings, Service, start_server
from services.common.telemetry import Telemetry, TelemetrySettings
from services.scoring import drift, features
from services.scoring.engine import Engines
from services.scoring.model import OUTPUTS
from services.scoring.servicer import ScoringServicer
from tests.integration.scoring.test_drifting import a_set
from usher.policy.v1 import policy_pb2, policy_pb2_grpc
from usher.scoring.v1 import scoring_pb2_grpc


class Active(policy_pb2_grpc.PolicyServiceServicer):
    """Says which set is in force."""

    def __init__(self, policy_set: str) -> None:
        self.policy_set = policy_set

    async def GetActivePolicySet(
        self, request: policy_pb2.GetActivePolicySetRequest, context: Any
    ) -> policy_pb2.GetActivePolicySetResponse:
        manifest = policy_pb2.PolicySetManifest(policy_set=self.policy_set)
        return policy_pb2.GetActivePolicySetResponse(manifest=manifest)


class Edge:
    """A gateway before scoring."""

    def __init__(self, http: httpx.AsyncClient, engines: Engines, policy_set: str) -> None:
        self.http = http
        self.engines = engines
        self.policy_set = policy_set


@pytest_asyncio.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    policy_set = a_set(tmp_path)
    engines = Engines(PolicySetCache(tmp_path))
    telemetry = Telemetry("scoring", TelemetrySettings(), None)
    services = [
        Service(
            scoring_pb2_grpc.add_ScoringServiceServicer_to_server,
            ScoringServicer(engines),
            "usher.scoring.v1.ScoringService",
        ),
        Service(
            policy_pb2_grpc.add_PolicyServiceServicer_to_server,
            Active(policy_set),
            "usher.policy.v1.PolicyService",
        ),
    ]

    async def healthy() -> None:
        return None

    settings = ServerSettings(address="127.0.0.1:0", drain_notice=0.0)
    async with start_server(settings, services, healthy=healthy, telemetry=telemetry, callers={}) as server:
        target = ClientSettings(server.target, timeout=60.0)
        async with connect(target, telemetry=telemetry) as channel:
            app = create_app(
                GatewaySettings(ingest=target, scoring=target, request_timeout=60.0),
                channel,
                Telemetry("gateway", TelemetrySettings(), None),
                scoring_channel=channel,
            )
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
                yield Edge(http, engines, policy_set)


async def test_drift_is_refused_told_as_little_and_then_in_order(edge: Edge) -> None:
    nothing = await edge.http.get("/api/v1/scoring/drift")
    assert (nothing.status_code, nothing.json()["reason"]) == (409, "NO_ENGINE")

    engine = await edge.engines.get(edge.policy_set)
    assert engine.drift is not None
    assert (await edge.http.get("/api/v1/scoring/drift")).json() == {
        "policy_set": edge.policy_set,
        "rows": "0",
        "has_snapshot": True,
        "columns": [],
    }

    rng = np.random.default_rng(3)
    rows = rng.random((4_000, features.WIDTH)).astype(np.float32)
    rows[:, 7] += 5.0
    engine.drift.add(rows, rng.random((4_000, len(OUTPUTS))).astype(np.float32))
    told = (await edge.http.get("/api/v1/scoring/drift")).json()
    assert told["rows"] == "4000"
    assert {one["name"] for one in told["columns"]} == set(drift.COLUMNS)
    assert told["columns"][0]["name"] == features.NAMES[7]
    # All rows fall in the last of ten bins of a tenth each; an empty bin counts as 1e-4.
    expected = (1 - 0.1) * math.log(1 / 0.1) + 9 * (1e-4 - 0.1) * math.log(1e-4 / 0.1)
    assert told["columns"][0]["psi"] == pytest.approx(expected, rel=0.02)
    assert [one["psi"] for one in told["columns"]] == sorted(
        (one["psi"] for one in told["columns"]), reverse=True
    )
    assert told["columns"][1]["psi"] < 0.1, "the others are as in training"


async def test_segments_and_features_of_the_set_in_force(edge: Edge) -> None:
    told = (await edge.http.get("/api/v1/scoring/segments")).json()["segments"]
    by_name = {one["segment"]: one for one in told}
    assert by_name["SEGMENT_SUSPICIOUS"]["threshold"] == 3.0
    assert by_name["SEGMENT_SUSPICIOUS"]["second_factor"] == "always"
    assert by_name["SEGMENT_POWER"]["new_devices_allowed"] is True
    listed = (await edge.http.get("/api/v1/scoring/features")).json()["features"]
    assert [one["name"] for one in listed] == list(features.NAMES)

    named = await edge.http.get("/api/v1/scoring/segments", params={"policy_set": edge.policy_set})
    assert named.json()["segments"] == told
    unknown = await edge.http.get("/api/v1/scoring/features", params={"policy_set": "ps_" + "0" * 32})
    assert unknown.json()["reason"] == "POLICY_SET_UNKNOWN"


@pytest.mark.parametrize("route", ["drift", "segments", "features"])
async def test_what_is_asked_wrongly_is_refused(edge: Edge, route: str) -> None:
    wrong = await edge.http.get(f"/api/v1/scoring/{route}", params={"colour": "red"})
    assert (wrong.status_code, wrong.json()["reason"]) == (422, "PARAMETER_INVALID")
    posted = await edge.http.post(f"/api/v1/scoring/{route}")
    assert posted.status_code == 405
