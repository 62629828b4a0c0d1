"""The routes of subject requests, breaches, retention, evidence and the audit log, over HTTP to a served compliance.

A small ingest stands beside it: it knows the policy set, keeps one decision and applies retention.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.app import create_app
from gateway.settings import GatewaySettings
from services.common import signed
from services.common.client import ClientSettings, connect
from services.common.db import Database
from services.common.telemetry import Telemetry, TelemetrySettings
from services.compliance.store_records import RecordStore
from tests.fakes import until
from tests.records import PACKS, Ingest, served_records
from usher.alerts.v1 import alerts_pb2
from usher.compliance.v1 import compliance_pb2, compliance_pb2_grpc, records_pb2
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import (
    labels_pb2,
)

ANN = {"x-usher-actor": "dpo@example"}


class Opened:
    """The gateway, and what stands behind it."""

    def __init__(self, http: httpx.AsyncClient, ingest: Ingest, law: Any, database: Database) -> None:
        self.database = database
        self.law = law
        self.http = http
        self.ingest = ingest

    async def get(self, path: str, status: int = 200, **params: Any) -> Any:
        answer = await self.http.get(f"/api/v1/{path}", params=params, headers=ANN)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def post(self, path: str, body: Any, status: int = 201) -> Any:
        answer = await self.http.post(f"/api/v1/{path}", json=body, headers=ANN)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest_asyncio.fixture
async def opened(short_tmp_path: Path) -> AsyncIterator[Opened]:
    outer = Telemetry("gateway", TelemetrySettings(), None)
    async with served_records(short_tmp_path) as served:
        target = ClientSettings(served.target, timeout=60.0)
        there = ClientSettings(served.ingest_target, timeout=60.0)
        async with connect(target, telemetry=outer) as channel, connect(there, telemetry=outer) as first:
            gateway = GatewaySettings(ingest=there, compliance=target, request_timeout=60.0)
            transport = httpx.ASGITransport(app=create_app(gateway, first, outer, channel))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
                law = compliance_pb2_grpc.ComplianceServiceStub(channel)
                yield Opened(http, served.ingest, law, served.database)


async def act(opened: Opened, request_id: str, action: str, status: int = 200, **more: Any) -> Any:
    body = {"action": f"SUBJECT_REQUEST_ACTION_{action}", **more}
    return await opened.post(f"subject-requests/{request_id}/actions", body, status)


async def test_an_access_request_from_intake_to_its_bundle(opened: Opened) -> None:
    taken = {"user_id": "ann", "right": "SUBJECT_RIGHT_ACCESS", "jurisdiction": "DE", "request_id": "r1"}
    one = (await opened.post("subject-requests", taken))["request"]
    assert (one["state"], one["identity"]) == ("SUBJECT_REQUEST_STATE_OPEN", "IDENTITY_STATE_UNCHECKED")
    assert one["duties"][0]["regulation"] == "EU_GDPR"
    assert (await opened.post("subject-requests", taken))["request"] == one

    early = await opened.get("subject-requests/r1/export", 409)
    assert early["reason"] == "STATE_NOT_ALLOWED"
    await act(opened, "r1", "ASK_IDENTITY")
    assert (await act(opened, "r1", "CONFIRM_IDENTITY"))["request"]["identity"] == "IDENTITY_STATE_CONFIRMED"
    assert (await act(opened, "r1", "EXTEND", note="many records"))["request"]["extended"]
    wrong = await act(opened, "r1", "FULFIL", 422)
    assert wrong["errors"][0]["field"] == "action"

    bundle = await opened.http.get("/api/v1/subject-requests/r1/export", headers=ANN)
    assert (bundle.status_code, bundle.headers["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(bundle.content)) as found:
        assert found.testzip() is None
        assert any("rows" in name for name in found.namelist())
    after = (await opened.get("subject-requests/r1"))["request"]
    assert after["state"] == "SUBJECT_REQUEST_STATE_COMPLETED"
    assert (await opened.get("subject-requests"))["requests"] == []
    listed = await opened.get("subject-requests", include_closed="true", user_id="ann")
    assert [request["request_id"] for request in listed["requests"]] == ["r1"]
    assert (await opened.get("subject-requests/none", 404))["reason"] == "REQUEST_UNKNOWN"


async def test_contesting_a_decision_reviews_it_and_labels_it(opened: Opened) -> None:
    taken = {
        "user_id": "ann",
        "right": "SUBJECT_RIGHT_CONTEST",
        "jurisdiction": "DE",
        "event_id": "e1",
        "request_id": "c1",
        "identity_confirmed": True,
    }
    await opened.post("subject-requests", taken)
    unsaid = await act(opened, "c1", "ANSWER", 422, note="looked at by a person")
    assert unsaid["errors"][0]["field"] == "contest"
    done = await act(
        opened, "c1", "ANSWER", note="looked at by a person", contest="CONTEST_OUTCOME_OVERTURNED"
    )
    assert done["request"]["contest"] == "CONTEST_OUTCOME_OVERTURNED"
    (label,) = opened.ingest.labels
    assert (label.subject, label.kind) == ("e1", labels_pb2.LABEL_KIND_FALSE_ALARM)


@pytest.mark.parametrize(
    ("right", "facts", "rule"),
    [
        ("OPT_OUT", {"purpose": "targeted_advertising"}, "ledger.opt_out"),
        (
            "OBJECTION",
            {"purpose": "analytics", "legal_basis_claimed": "legitimate_interests"},
            "ledger.objection",
        ),
        ("RESTRICTION", {"purpose": "analytics", "legal_basis_claimed": "contract"}, "ledger.restriction"),
    ],
)
async def test_a_right_that_is_granted_suppresses_what_later_events_ask_for(
    opened: Opened, right: str, facts: dict[str, str], rule: str
) -> None:
    async def rule_of(time: str, user: str = "ann") -> str:
        event = event_pb2.Event(event_id=f"{user}.{time}", user_id=user, event_type="play")
        event.event_time.FromJsonString(time)
        event.privacy.user_residence = "US-CA"
        for name, value in facts.items():
            setattr(event.privacy, name, value)
        request = compliance_pb2.EvaluateEventsRequest(
            tenant="dev", policy_set=opened.ingest.policy_set, events=[event.SerializeToString()]
        )
        answer = await opened.law.EvaluateEvents(request)
        verdict = decision_pb2.Verdict.FromString(answer.verdicts[answer.verdict_of[0]])
        suppressed = [
            one for one in verdict.processing if one.state == decision_pb2.PROCESSING_STATE_SUPPRESS
        ]
        return next((one.rule for one in suppressed if one.purpose == facts["purpose"]), "")

    after = "2026-03-02T00:00:00Z"
    assert not await rule_of(after)
    taken = {
        "user_id": "ann",
        "right": f"SUBJECT_RIGHT_{right}",
        "jurisdiction": "US-CA",
        "request_id": "o1",
        "identity_confirmed": True,
        "received_time": "2026-03-01T00:00:00Z",
    }
    await opened.post("subject-requests", taken)
    # Without a reason it is not answered, and nothing is written.
    await act(opened, "o1", "ANSWER", 422)
    assert not await rule_of(after)
    await act(opened, "o1", "ANSWER", note="granted")
    assert await rule_of(after) == rule
    assert not await rule_of("2026-02-28T00:00:00Z")
    assert not await rule_of(after, "ben")
    state = (await opened.get("consents/ann"))["states"][0]
    assert (state["status"], state["record"]["proof"]["reference"]) == ("absent", "o1")
    # The viewer takes it back.
    given = {"act": "given", "purpose": state["purpose"], "source": "account", "effective_time": after}
    await opened.post("consents", {"user_id": "ann", "records": [given]})
    assert not await rule_of("2026-03-03T00:00:00Z")


async def test_legal_holds(opened: Opened) -> None:
    placed = {"user_id": "ann", "reason": "lawsuit 7", "hold_id": "h1"}
    await opened.post("legal-holds", placed)
    assert [hold["hold_id"] for hold in (await opened.get("legal-holds"))["holds"]] == ["h1"]
    await opened.post("legal-holds/h1/release", {}, 200)
    assert (await opened.get("legal-holds"))["holds"] == []
    (old,) = (await opened.get("legal-holds", include_released="true"))["holds"]
    assert old["released_by"] == "dpo@example"


async def test_a_breach_from_its_registration_to_its_end(opened: Opened) -> None:
    breach = {
        "breach_id": "b1",
        "description": "A backup was readable.",
        "aware_time": "2026-03-02T08:00:00Z",
        "affected": {"DE": 12},
        "data_kinds": ["email"],
        "risk": "BREACH_RISK_LIKELY",
    }
    one = (await opened.post("breaches", {"breach": breach}))["breach"]
    (duty,) = [
        duty
        for duty in one["duties"]
        if (duty["regulation"], duty["recipient"]) == ("EU_GDPR", "NOTICE_RECIPIENT_REGULATOR")
        and duty["stage"] == "first"
    ]
    # GDPR art. 33(1): 72 hours after having become aware.
    assert duty["due_time"] == "2026-03-05T08:00:00Z"
    assert [item["breach_id"] for item in (await opened.get("breaches"))["breaches"]] == ["b1"]
    text = await opened.get("breaches/b1/draft", regulation="EU_GDPR", recipient="regulator")
    assert "A backup was readable." in text["text"]

    notice = {"regulation": "EU_GDPR", "recipient": "NOTICE_RECIPIENT_REGULATOR", "note": "portal, ref. 9"}
    sent = (await opened.post("breaches/b1/notices", notice, 200))["breach"]
    assert any(duty.get("sent_note") == "portal, ref. 9" for duty in sent["duties"])
    closing = {"breach": {"affected": {"DE": 10}}, "close": True, "note": "no further notices"}
    closed = await opened.http.patch("/api/v1/breaches/b1", json=closing, headers=ANN)
    assert closed.status_code == 200, closed.text
    assert closed.json()["breach"]["affected"] == {"DE": "10"}
    assert (await opened.get("breaches/b1"))["breach"]["closed_time"]


async def test_retention_tells_first_and_reports_what_it_did(opened: Opened) -> None:
    policies = (await opened.get("retention/policies"))["policies"]
    assert {policy["kind"] for policy in policies} >= {"decisions", "failed_events"}
    dry = (await opened.post("retention/runs", {"dry_run": True}))["run"]
    assert dry["dry_run"]
    assert {result["rows"] for result in dry["results"]} == {"3"}
    done = (await opened.post("retention/runs", {}))["run"]
    assert [asked.dry_run for asked in opened.ingest.retained] == [True, False]
    runs = (await opened.get("retention/runs"))["runs"]
    assert {run["run_id"] for run in runs} == {dry["run_id"], done["run_id"]}


async def test_retention_runs_by_itself_once_a_day_for_the_tenants_that_want_it(short_tmp_path: Path) -> None:
    async with served_records(short_tmp_path, retention_tenants=("dev",)) as served:
        store = RecordStore(served.database)
        read = served.database.read

        async def noted() -> list[tuple[str, str]]:
            return [(one.actor, one.action) for one, _ in await read(store.audit_entries, 0, 100)]

        async def is_noted() -> bool:
            return bool(await noted())

        await until(is_noted, 60)
        assert await noted() == [("schedule", "compliance.RunRetention")]
        assert [(run.dry_run, run.failure) for run in await read(store.runs, "dev")] == [(False, "")]
        assert [asked.tenant for asked in served.ingest.retained] == ["dev"]


async def test_a_retention_run_that_fails_is_kept_and_arrives_at_alerts(opened: Opened) -> None:
    opened.ingest.broken = True
    await opened.post("retention/runs", {"dry_run": True}, 409)
    assert (await opened.get("retention/runs"))["runs"] == []
    failed = await opened.post("retention/runs", {}, 409)
    (run,) = (await opened.get("retention/runs"))["runs"]
    assert (run["failure"], run["results"]) == (failed["reason"], [])
    async with asyncio.timeout(60):
        await opened.ingest.raised.wait()
    (told,) = opened.ingest.told
    assert (told.kind, told.entity, told.severity) == (
        "duty.retention_failed",
        "retention",
        alerts_pb2.SEVERITY_HIGH,
    )
    assert failed["reason"] in told.summary
    opened.ingest.broken = False
    done = (await opened.post("retention/runs", {}))["run"]
    assert done["failure"] == ""


async def test_old_requests_lose_the_name_and_young_ones_keep_it(opened: Opened) -> None:
    for number, received in ((1, "2015-01-01T00:00:00Z"), (2, "2026-01-01T00:00:00Z")):
        taken = {
            "user_id": f"user-{number}",
            "right": "SUBJECT_RIGHT_ACCESS",
            "jurisdiction": "DE",
            "request_id": f"r{number}",
            "received_time": received,
        }
        await opened.post("subject-requests", taken)
        await act(opened, f"r{number}", "WITHDRAW")

    def aged(request: records_pb2.SubjectRequest) -> int:
        request.closed_time.FromJsonString("2015-02-01T00:00:00Z")
        return 0

    await opened.database.run(RecordStore(opened.database).change_request, "dev", "r1", aged)
    for dry in (True, False):
        run = (await opened.post("retention/runs", {"dry_run": dry}))["run"]
        (result,) = [one for one in run["results"] if one["policy"]["kind"] == "subject_requests"]
        assert (result["rows"], result["policy"]["action"]) == ("1", "anonymise")
        name = (await opened.get("subject-requests/r1"))["request"]["user_id"]
        assert name == ("user-1" if dry else "")
    assert (await opened.get("subject-requests/r2"))["request"]["user_id"] == "user-2"


async def test_nothing_younger_than_a_statutory_minimum_is_deleted(opened: Opened) -> None:
    await opened.post("legal-holds", {"user_id": "held", "reason": "lawsuit 7"})
    policies = (await opened.get("retention/policies"))["policies"]
    await opened.post("retention/runs", {})
    (asked,) = opened.ingest.retained
    assert list(asked.held_user_ids) == ["held"]
    now = max(
        rule.before_time.seconds + policy["days"] * 86_400
        for rule, policy in zip(
            asked.rules,
            [one for one in policies if one["kind"] in ("decisions", "failed_events")],
            strict=True,
        )
    )
    # Marco Civil da Internet art. 15: an application provider keeps access logs for six months.
    brazil = [
        policy for policy in policies if policy["jurisdiction"] == "BR" and policy["kind"] == "decisions"
    ]
    assert [policy["minimum_days"] for policy in brazil] == [183]
    least = {
        policy["jurisdiction"]: policy["minimum_days"] for policy in policies if policy["kind"] == "decisions"
    }
    for rule in asked.rules:
        if rule.store == "decisions":
            assert now - rule.before_time.seconds >= least[rule.jurisdiction] * 86_400


async def test_evidence_is_one_document_that_verifies(opened: Opened) -> None:
    unbounded = await opened.get("evidence", 422)
    assert unbounded["errors"][0]["field"] == "since_time"
    document = await opened.get("evidence", since="2020-01-01T00:00:00Z")
    assert [row["event_id"] for row in document["decisions"]] == ["e1"]
    key = (await opened.get("evidence/key"))["public_key"]
    public = load_pem_public_key(key.encode())
    assert isinstance(public, Ed25519PublicKey)
    signed.verify(document, public)


async def test_the_law_and_what_it_may_cost(opened: Opened) -> None:
    found = await opened.get("regulations", limit=200)
    packs = {path.stem for path in PACKS.glob("*.yaml")}
    assert (found["policy_set"], len(found["regulations"])) == (opened.ingest.policy_set, len(packs))
    gdpr = next(one for one in found["regulations"] if one["id"] == "EU_GDPR")
    assert gdpr["facts"]
    assert gdpr["rules"][0]["article"]
    refused = await opened.post("impact", {"period": 1}, 400)
    assert refused["reason"] == "IMPACT_INPUTS_INVALID"
    assert (await opened.get("processing-records"))["activities"][0]["retention"]


async def test_every_call_is_in_the_audit_log_with_who_asked(opened: Opened) -> None:
    await opened.get("subject-requests", user_id="ann")
    await opened.get("subject-requests/none", 404)
    entries = (await opened.get("audit"))["entries"]
    told = [(entry["actor"], entry["action"], entry["outcome"]) for entry in entries]
    assert ("dpo@example", "compliance.ListSubjectRequests", "ok") in told
    assert ("dpo@example", "compliance.GetSubjectRequest", "REQUEST_UNKNOWN") in told
    assert "ann" not in json.dumps(entries)
    verified = await opened.get("audit/verification")
    assert verified["intact"]
    assert int(verified["entries"]) >= len(entries)


async def test_what_people_see_and_do_elsewhere_is_written_down_before_it_is_answered(opened: Opened) -> None:
    http = opened.http
    await http.get("/api/v1/consents/ann", headers=ANN)
    await http.get("/api/v1/decisions/evt-ann-1", headers=ANN)
    await http.post("/api/v1/rings/ring_1/status", json={})
    # Not people: a reader who gives no name, and what compliance writes down itself.
    await http.get("/api/v1/consents/ben")
    entries = (await opened.get("audit"))["entries"]
    told = [
        (entry["actor"], entry["action"], entry["object"], bool(entry["subject"]))
        for entry in entries
        if entry["action"].startswith("gateway.")
    ]
    hashed = hashlib.blake2b(b"evt-ann-1", digest_size=16).hexdigest()
    assert told == [
        ("dpo@example", "gateway.GET /api/v1/consents/{user_id}", "", True),
        ("dpo@example", "gateway.GET /api/v1/decisions/{event_id}", hashed, False),
        ("unnamed", "gateway.POST /api/v1/rings/{ring_id}/status", "ring_1", False),
    ]
    assert "ann" not in json.dumps([entry | {"actor": ""} for entry in entries])
    of_ann = (await opened.get("audit", user_id="ann"))["entries"]
    assert "gateway.GET /api/v1/consents/{user_id}" in {entry["action"] for entry in of_ann}
    assert (await opened.get("audit/verification"))["intact"]


async def test_nothing_is_seen_or_done_while_the_audit_log_cannot_be_written(short_tmp_path: Path) -> None:
    outer = Telemetry("gateway", TelemetrySettings(), None)
    nowhere = ClientSettings(f"unix:{short_tmp_path}/nobody.sock", timeout=60.0)
    async with connect(nowhere, telemetry=outer) as channel:
        gateway = GatewaySettings(ingest=nowhere, compliance=nowhere, request_timeout=60.0)
        transport = httpx.ASGITransport(app=create_app(gateway, channel, outer, channel))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            answer = await http.post("/api/v1/rings/ring_1/status", json={})
    assert (answer.status_code, answer.json()["reason"]) == (503, "AUDIT_UNAVAILABLE")


@pytest.mark.parametrize("name", [None, " ", "x" * 129])
async def test_nobody_asks_without_a_name(opened: Opened, name: str | None) -> None:
    headers = {} if name is None else {"x-usher-actor": name}
    answer = await opened.http.get("/api/v1/audit", headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (400, "ACTOR_MISSING")
