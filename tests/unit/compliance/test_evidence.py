"""The evidence document: what was decided, under which text, and what callers confirmed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.timestamp_pb2 import Timestamp

from services.common import signed
from services.compliance import evidence
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import enforcement_pb2

DONE, NOT_DONE = (
    enforcement_pb2.ENFORCEMENT_RESULT_CARRIED_OUT,
    enforcement_pb2.ENFORCEMENT_RESULT_NOT_CARRIED_OUT,
)
SUPPRESS = decision_pb2.ACTION_KIND_SUPPRESS_PROCESSING


def decision() -> decision_pb2.Decision:
    found = decision_pb2.Decision(event_id="e1", policy_set="ps_1")
    found.decided_time.FromJsonString("2026-03-01T00:00:00Z")
    found.verdict.applicable.append("EU_GDPR")
    for purpose, state in (
        ("targeted_advertising", decision_pb2.PROCESSING_STATE_SUPPRESS),
        ("basic_service", decision_pb2.PROCESSING_STATE_PERMITTED),
    ):
        found.verdict.processing.add(purpose=purpose, state=state, rule="EU_GDPR.consent_absent")
    return found


def said(
    result: int, component: str = "ads", purpose: str = "targeted_advertising", action: int = SUPPRESS
) -> Any:
    return enforcement_pb2.Enforcement(
        event_id="e1",
        action=action,  # type: ignore[arg-type]
        purpose=purpose,
        result=result,  # type: ignore[arg-type]
        component=component,
        enforced_time=Timestamp(seconds=1_772_323_201),
    )


def document(*told: enforcement_pb2.Enforcement) -> dict[str, Any]:
    return evidence.document(
        tenant="acme",
        subject="ann",
        since="2026-01-01T00:00:00Z",
        until="2026-04-01T00:00:00Z",
        made="2026-04-02T00:00:00Z",
        decisions=[decision()],
        truncated=False,
        packs={"ps_1": {"EU_GDPR": b"id: EU_GDPR\n", "US_VPPA": b"id: US_VPPA\n"}},
        consents=[],
        requests=[],
        audit_head="00",
        enforcements=told,
    )


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ([], "not observed"),
        ([said(DONE)], "carried out"),
        ([said(DONE, purpose="*")], "carried out"),
        ([said(DONE), said(NOT_DONE, "recommender")], "not carried out"),
        ([said(DONE, purpose="analytics")], "not observed"),
    ],
)
def test_a_suppression_is_what_callers_confirmed(told: list[enforcement_pb2.Enforcement], word: str) -> None:
    [suppression] = document(*told)["suppressions"]
    assert (suppression["purpose"], suppression["confirmed"]) == ("targeted_advertising", word)
    assert len(suppression["confirmations"]) == (0 if word == "not observed" else len(told))


def test_other_actions_stand_by_themselves() -> None:
    block = said(DONE, "player", "", decision_pb2.ACTION_KIND_BLOCK)
    [action] = document(block, said(DONE))["actions"]
    assert (action["event_id"], action["action"], action["confirmed"]) == ("e1", "block", "carried out")
    assert action["confirmations"][0]["enforced"] == "2026-03-01T00:00:01Z"


def test_the_law_is_there_in_its_words_where_it_applied_and_as_a_hash_elsewhere() -> None:
    law = {part["pack"]: part for part in document()["law"]}
    assert law["EU_GDPR"]["text"] == "id: EU_GDPR\n"
    assert "text" not in law["US_VPPA"]
    assert law["US_VPPA"]["sha256"] == hashlib.sha256(b"id: US_VPPA\n").hexdigest()


def test_what_is_signed_verifies_and_what_was_altered_does_not() -> None:
    key = Ed25519PrivateKey.generate()
    content = json.loads(json.dumps(signed.sign(document(said(DONE)), key)))
    signed.verify(content, key.public_key())
    content["suppressions"][0]["confirmed"] = "not observed"
    with pytest.raises(signed.SignatureError):
        signed.verify(content, key.public_key())
