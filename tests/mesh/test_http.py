"""HTTP and gRPC are two ways to the same receipts, decisions and books."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest

from tests.harness import Mesh
from tests.scenarios import (
    ACCEPTED,
    CONFLICT,
    DECIDED,
    DUPLICATE,
    Refusal,
    answers,
    as_json,
    event,
    takeover,
    until,
)
from tests.scenarios import signal as signal_of
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2, labels_pb2, labels_pb2_grpc

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("mesh-http")]

PROBLEM = "application/problem+json"
MOST = 100
"""Events of a call, and of the queue, in this mesh: few, so that a queue is soon full."""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    prefix = "USHER_INGEST_PIPELINE_"
    env = {
        f"{prefix}MAX_BATCH": "8",
        f"{prefix}MAX_CALL_EVENTS": str(MOST),
        f"{prefix}MAX_QUEUED_EVENTS": str(MOST),
    }
    tenants = ("dev", "books", "full")
    with Mesh(tmp_path_factory.mktemp("http"), env=env, enforcing=tenants, gateway=True) as running:
        yield running


@pytest.fixture
def http(mesh: Mesh) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=mesh.http, timeout=20, trust_env=False) as client:
        yield client


def rich(user: str) -> event_pb2.Event:
    """An event with metadata and nested facts."""
    one = event(user, metadata_json=b'{"app": {"name": "tv", "version": 7}, "tags": ["a", "b"]}')
    one.privacy.user_residence = "DE"
    one.privacy.purpose = "basic_service"
    one.privacy.signals.gpc = True
    return one


def rich_json(one: event_pb2.Event) -> dict[str, Any]:
    return {
        **as_json(one),
        "extra_metadata": {"app": {"name": "tv", "version": 7}, "tags": ["a", "b"]},
        "privacy": {"user_residence": "DE", "purpose": "basic_service", "signals": {"gpc": True}},
    }


def reordered(value: Any) -> Any:
    """The same JSON with the members of every object in the opposite order."""
    if isinstance(value, dict):
        return {name: reordered(item) for name, item in reversed(list(value.items()))}
    return value


def decide(http: httpx.Client, body: Any, **headers: str) -> httpx.Response:
    return http.post("/api/v1/decisions", json=body, headers=headers)


def without_status(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "status"}


def test_receipts_are_the_same_over_http_and_grpc_and_after_a_restart(mesh: Mesh, http: httpx.Client) -> None:
    one = rich("twice")
    other = rich("twice")
    other.event_id, other.device_id = one.event_id, "another-device"
    sent = rich_json(one)
    first = decide(http, sent)
    assert first.status_code == 200
    assert first.json()["status"] == "decided"

    def again() -> None:
        with mesh.ingest() as front:
            [repeat] = front.decide([one])
            [conflict] = front.decide([other])
            [submitted] = front.submit([one])
            kept = front.decision(one.event_id)
        assert (repeat.status, conflict.status, submitted.status) == (DUPLICATE, CONFLICT, DUPLICATE)
        assert repeat.decision == kept
        assert conflict.failure.reason == "EVENT_ID_REUSED"
        for body in (sent, reordered(sent)):
            repeated = decide(http, body)
            assert repeated.status_code == 200
            assert repeated.json()["status"] == "duplicate"
            assert without_status(repeated.json()) == without_status(first.json())
        refused = decide(http, rich_json(other))
        assert refused.status_code == 409
        assert refused.headers["content-type"] == PROBLEM
        assert refused.json()["reason"] == "EVENT_ID_REUSED"
        queued = http.post("/events", json=sent)
        assert queued.status_code == 202
        assert queued.json() == {"status": "queued", "event_id": one.event_id, "duplicate": True}
        assert http.post("/events", json=rich_json(other)).status_code == 409
        read = http.get(f"/api/v1/decisions/{one.event_id}")
        assert read.status_code == 200
        assert read.json()["outcome"] == first.json()["outcome"]

    again()
    assert mesh.process("ingest").stop(signal.SIGTERM) == 0
    mesh.start("ingest")
    until(lambda: http.get("/healthz").status_code == 200)
    again()


def test_first_over_grpc_then_over_http(mesh: Mesh, http: httpx.Client) -> None:
    one = rich("grpc-first")
    with mesh.ingest() as front:
        [first] = front.decide([one])
    assert first.status == DECIDED
    text = json.dumps(reordered(rich_json(one)), indent=3)
    repeat = http.post("/api/v1/decisions", content=text, headers={"content-type": "application/json"})
    assert repeat.json()["status"] == "duplicate"
    assert repeat.json()["event_id"] == one.event_id


def test_the_spelling_of_the_type_and_absent_fields_make_no_other_event(
    mesh: Mesh, http: httpx.Client
) -> None:
    one = event("spelling")
    assert decide(http, {**as_json(one), "event_type": "PLAY"}).json()["status"] == "decided"
    assert decide(http, {**as_json(one), "error_code": None}).json()["status"] == "duplicate"
    with mesh.ingest() as front:
        assert front.decide([one])[0].status == DUPLICATE


def test_events_are_queued_and_decided(mesh: Mesh, http: httpx.Client) -> None:
    one, two = event("queued"), event("queued")
    answer = http.post("/events", json=as_json(one))
    assert answer.status_code == 202
    assert answer.json() == {"status": "queued", "event_id": one.event_id}
    with mesh.ingest() as front:
        [accepted] = front.submit([two])
    assert accepted.status == ACCEPTED
    for each in (one, two):
        found = until(lambda each=each: _found(http, each.event_id))
        assert found["event_id"] == each.event_id
        assert found["outcome"] in ("ALLOW", "ALLOW_WITH_CAUTION")


def _found(http: httpx.Client, event_id: str) -> dict[str, Any] | None:
    answer = http.get(f"/api/v1/decisions/{event_id}")
    assert answer.status_code in (200, 404)
    return answer.json() if answer.status_code == 200 else None


def test_an_attack_is_422_and_says_which_stage_found_it(http: httpx.Client) -> None:
    body = {**as_json(event("attack")), "content_id": "../../etc/passwd", "error_code": "a\u0007"}
    answer = http.post("/api/v1/decisions", json=body)
    assert answer.status_code == 422
    found = {(e["field"], e["stage"]) for e in answer.json()["errors"]}
    assert ("content_id", "security") in found
    assert ("error_code", "sanitising") in found
    listed = http.post("/api/v1/decisions", json={"events": [body, body]}).json()
    stages = {e["stage"] for one in listed["decisions"] for e in one["violations"]}
    assert stages >= {"security", "sanitising"}


def test_a_bad_event_is_422_with_a_failed_id_and_every_error(mesh: Mesh, http: httpx.Client) -> None:
    body = {**as_json(event("wrong")), "ip_address": "999.1.1.1", "region": "germany", "is_eu": "yes"}
    del body["device_id"]
    for path in ("/events", "/api/v1/decisions"):
        answer = http.post(path, json=body)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == PROBLEM
        problem = answer.json()
        assert {(e["field"], e["reason"]) for e in problem["errors"]} == {
            ("ip_address", "IP_ADDRESS_INVALID"),
            ("region", "REGION_INVALID"),
            ("is_eu", "WRONG_TYPE"),
            ("device_id", "MISSING"),
        }
        assert {e["stage"] for e in problem["errors"]} == {"schema"}
        assert problem["failed_id"].startswith("failed_")
        assert problem["event_id"] == body["event_id"]
        with mesh.ingest() as front:
            request = ingest_pb2.GetFailedEventRequest(tenant="dev", failed_id=problem["failed_id"])
            kept = front.stub.GetFailedEvent(request, timeout=10).failed_event
        # What the sender wrote is kept for replay.
        assert json.loads(event_pb2.Event.FromString(kept.payload).unmapped.payload) == body
    # Corrected, it may come again under its id.
    good = {**body, "ip_address": "192.0.2.7", "region": "DE", "is_eu": True, "device_id": "d1"}
    assert decide(http, good).json()["status"] == "decided"


def test_a_review_over_http_says_what_to_do(mesh: Mesh, http: httpx.Client) -> None:
    *before, last = takeover("http-victim")
    assert decide(http, {"events": [as_json(one) for one in before]}).status_code == 200
    body = decide(http, as_json(last)).json()
    assert body["outcome"] == "REVIEW"
    for name in ("processing", "risk_score", "risk_level", "compliance", "anomaly", "violation"):
        assert name in body, name


def test_the_books_are_the_same_over_both(mesh: Mesh, http: httpx.Client) -> None:
    tenant = {"x-usher-tenant": "books"}
    one, two = event("books"), event("books")
    assert decide(http, [as_json(one), as_json(two)], **tenant).status_code == 200
    assert decide(http, as_json(one), **tenant).json()["status"] == "duplicate"
    assert decide(http, {**as_json(one), "region": "FR"}, **tenant).status_code == 409
    assert decide(http, {**as_json(event("books")), "region": "x"}, **tenant).status_code == 422
    old = as_json(event("books")) | {"timestamp": "2020-01-01T00:00:00Z"}
    too_old = decide(http, old, **tenant)
    assert (too_old.status_code, too_old.json()["reason"]) == (422, "TOO_OLD")
    [account] = http.get("/api/v1/accounting", headers=tenant).json()["accounts"]
    assert account == {
        "tenant": "books",
        "received": 6,
        "accepted": 3,
        "duplicate": 1,
        "conflict": 1,
        "refused": 1,
        "decided": 2,
        "failed": 1,
        "superseded": 0,
        "pending": 0,
        "refused_by_reason": {"TOO_OLD": 1},
        "balanced": True,
        "oldest_pending_ms": 0,
    }
    with mesh.ingest(tenant="books") as front:
        books = front.accounting()
    assert (books.received, books.decided, books.balanced) == (6, 2, True)


def test_fraud_that_was_confirmed_speaks_against_who_shares_the_device(mesh: Mesh) -> None:
    near = decision_pb2.SIGNAL_INDEX_CONFIRMED_NEIGHBOURS
    with mesh.ingest() as front:
        bad = event("mallory", device_id="shared-box")
        front.decide([bad])
        assert signal_of(answers(front, event("trent", device_id="shared-box")), near) == 0
        label = labels_pb2.Label(
            label_id="case-1",
            subject_kind=labels_pb2.LABEL_SUBJECT_EVENT,
            subject=bad.event_id,
            kind=labels_pb2.LABEL_KIND_FRAUD_CONFIRMED,
            source="incident",
            label_time=bad.event_time,
        )
        stub = labels_pb2_grpc.LabelServiceStub(front.channel)
        stub.RecordLabels(labels_pb2.RecordLabelsRequest(tenant="dev", labels=[label]), timeout=20)

        def told() -> Any:
            decision = answers(front, event("trent", device_id="shared-box"))
            return decision if signal_of(decision, near) else None

        decision = until(told, 60)
        codes = {reason.code for reason in decision.assessment.evidence}
        assert decision_pb2.REASON_CODE_CONFIRMED_NEIGHBOURS in codes


def test_health_follows_ingest(mesh: Mesh, http: httpx.Client) -> None:
    assert http.get("/healthz").json() == {"status": "ready"}
    assert mesh.process("ingest").stop(signal.SIGTERM) == 0
    down = until(lambda: (a := http.get("/healthz")).status_code == 503 and a)
    assert down.json()["reason"] == "NOT_READY"
    answer = decide(http, as_json(event("nobody-there")))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    mesh.start("ingest")
    until(lambda: http.get("/healthz").status_code == 200)
    assert decide(http, as_json(event("somebody"))).status_code == 200


def test_the_documentation_is_served(http: httpx.Client) -> None:
    page = http.get("/docs")
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    document = http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.")
    assert document["paths"].keys() >= {
        "/events",
        "/api/v1/decisions",
        "/api/v1/decisions/{event_id}",
        "/api/v1/accounting",
        "/healthz",
        "/metrics",
    }
    metrics = http.get("/metrics")
    assert metrics.status_code == 200
    assert "usher_http_requests_total" in metrics.text


def test_a_full_queue_is_429_with_a_delay_and_nothing_of_the_refused_is_kept(
    mesh: Mesh, http: httpx.Client
) -> None:
    """Scoring hangs, so the batches in flight (2 of 8 events) wait for it and the queue fills."""
    first = [event(f"full{i}") for i in range(MOST)]
    rest = [as_json(event(f"full{i}")) for i in range(50)]
    pid = mesh.process("scoring").pid
    answered: list[Any] = []

    def fill() -> None:
        with mesh.ingest(tenant="full") as front:
            answered.extend(front.decide(first, timeout=60))

    filling = threading.Thread(target=fill)
    os.kill(pid, signal.SIGSTOP)
    try:
        filling.start()
        # The larger call first: it takes up the batches in flight and most of the queue.
        time.sleep(0.2)
        refused = until(
            lambda: (
                (a := decide(http, {"events": rest}, **{"x-usher-tenant": "full"})).status_code == 429 and a
            ),
            5,
        )
        with mesh.ingest(tenant="full") as front, pytest.raises(grpc.RpcError) as error:
            front.decide([event("over")] * MOST)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert refused.headers["content-type"] == PROBLEM
    assert refused.json()["reason"] == "QUEUE_FULL"
    assert int(refused.headers["retry-after"]) >= 1
    over = Refusal(error.value)
    assert over.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert over.reason == "QUEUE_FULL"
    assert over.retry_seconds is not None
    assert over.retry_seconds > 0
    filling.join(60)
    assert {result.status for result in answered} == {DECIDED}
    until(lambda: decide(http, as_json(event("waiter"))).json().get("degraded") in (None, []))
    [account] = http.get("/api/v1/accounting", headers={"x-usher-tenant": "full"}).json()["accounts"]
    assert account["balanced"]
    assert account["decided"] == MOST
    assert account["refused"] == account["refused_by_reason"]["QUEUE_FULL"]
    assert account["refused"] % 50 == 0
    assert account["refused"] >= 150
    assert decide(http, {"events": rest}, **{"x-usher-tenant": "full"}).status_code == 200


def test_consent_that_was_withdrawn_over_http_binds_the_next_event(http: httpx.Client) -> None:
    asked = {
        **as_json(event("consenting")),
        "privacy": {
            "user_residence": "DE",
            "purpose": "targeted_advertising",
            "legal_basis_claimed": "consent",
            "consent": {"status": "granted", "scope": ["targeted_advertising"]},
        },
    }
    recorded = http.post(
        "/api/v1/consents",
        json={
            "user_id": "consenting",
            "records": [
                {
                    "act": act,
                    "purpose": "targeted_advertising",
                    "source": "call_centre",
                    "effective_time": time,
                }
                for act, time in (
                    ("given", "2025-01-01T00:00:00Z"),
                    ("withdrawn", "2025-02-01T00:00:00Z"),
                )
            ],
        },
    )
    assert recorded.status_code == 201, recorded.text
    decided = http.post("/api/v1/decisions", json=asked).json()
    kept = http.get(f"/api/v1/decisions/{decided['event_id']}").json()
    assert "PROCESSING_AFTER_WITHDRAWAL" in {finding["reason"] for finding in kept["findings"]}
    assert kept["consent"]["ledger_version"] == recorded.json()["receipts"][-1]["seq"]
    assert kept["consent"]["ledger"]["status"] == "withdrawn"
    assert kept["consent"]["conflicts"][0]["overruled"] == ["event=granted"]
