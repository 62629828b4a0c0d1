"""Decisions as JSON and reasons as sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.common.render import (
    FINDING_SENTENCES,
    SENTENCES,
    decision_to_json,
    factor_sentence,
    finding_sentence,
    outcome_name,
    sentence,
    short_name,
)
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

ORIGINAL = Path(__file__).parents[2] / "data" / "original" / "response.json"


def decision(**changes: Any) -> decision_pb2.Decision:
    """The decision that the original's printed response speaks of."""
    numbers = [0.0] * 18
    numbers[0:8] = [2.0, 2.5, 0.5, 0.5, 3.0, 5.5, 6.5, 5.0]
    numbers[8] = -0.5
    numbers[9] = -1.0
    numbers[12:18] = [0.78, 0.75, 0.81, 0.85, 0.92, 40.0]
    values: dict[str, Any] = {
        "event_id": "evt_20260116_001",
        "user_id": "user_42",
        "tenant": "dev",
        "outcome": decision_pb2.OUTCOME_REVIEW,
        "would_be": decision_pb2.OUTCOME_REVIEW,
        "mode": decision_pb2.MODE_ENFORCE,
        "risk_score": 8.5,
        "risk_level": decision_pb2.RISK_LEVEL_HIGH,
        "segment": decision_pb2.SEGMENT_STANDARD,
        "numbers": numbers,
        "reasons": [
            {"code": decision_pb2.REASON_CODE_ANOMALY, "values": [0.78], "points": 2.5},
            {"code": decision_pb2.REASON_CODE_NIGHT_ACTIVITY, "values": [3], "points": 0.5},
            {"code": decision_pb2.REASON_CODE_DEGRADED, "words": ["fraud"]},
        ],
        "actions": [
            {
                "kind": decision_pb2.ACTION_KIND_REVIEW,
                "enforced_by": decision_pb2.ENFORCED_BY_CALLER,
                "viewer_message_key": "account.review",
                "channels": ["slack"],
                "priority": "high",
            }
        ],
        "counterfactual": [decision_pb2.REASON_CODE_ANOMALY],
        "degraded": [decision_pb2.SERVICE_FRAUD],
        "verdict": {
            "status": decision_pb2.COMPLIANCE_STATUS_VIOLATION,
            "applicable": ["EU_GDPR", "EU_EPRIVACY"],
            "findings": [
                {
                    "regulation": "EU_GDPR",
                    "article": "art. 6(1)(a)",
                    "reason": "NO_LEGAL_BASIS_CONSENT_ABSENT",
                    "rule": "EU_GDPR.consent_absent",
                    "severity": 4,
                }
            ],
            "gaps": [{"regulation": "EU_GDPR", "article": "art. 6", "missing": ["privacy.purpose"]}],
            "processing": [{"purpose": "*", "state": decision_pb2.PROCESSING_STATE_SUPPRESS}],
        },
        "item_flags": 1 << event_pb2.ITEM_FLAG_LATE,
        "stage_us": [10, 20, 30, 40, 50],
        "trace_id": bytes.fromhex("0af7651916cd43dd8448eb211c80319c"),
        # 2026-01-16T12:34:56.123Z: day 20,469 x 86,400 + 45,296.
        "decided_time": {"seconds": 1_768_566_896, "nanos": 123_000_000},
    }
    return decision_pb2.Decision(**{**values, **changes})


def assert_subset(original: Any, ours: Any, path: str = "") -> None:
    """Every name of the original is there, with a value of the same kind."""
    if isinstance(original, dict):
        assert isinstance(ours, dict), path
        for name, value in original.items():
            assert name in ours, f"{path}.{name}"
            assert_subset(value, ours[name], f"{path}.{name}")
    elif isinstance(original, list):
        assert isinstance(ours, list), path
        if original and ours:
            assert_subset(original[0], ours[0], f"{path}[0]")
    elif isinstance(original, bool):
        assert isinstance(ours, bool), path
    elif isinstance(original, int | float):
        assert isinstance(ours, int | float), path
        assert not isinstance(ours, bool), path
    else:
        assert isinstance(ours, type(original)), path


def test_the_original_response_is_a_subset() -> None:
    original = json.loads(ORIGINAL.read_text())
    ours = decision_to_json(decision())
    assert_subset(original, ours)
    for name in ("event_id", "user_id", "risk_level", "risk_score", "processed_at"):
        assert ours[name] == original[name]
    assert ours["compliance"]["is_compliant"] is False
    assert ours["compliance"]["applicable_regulations"] == ["GDPR", "ePrivacy"]
    assert ours["compliance"]["violations"][0]["regulation"] == "GDPR"
    assert ours["anomaly"]["is_anomaly"] is True
    assert ours["anomaly"]["ensemble_score"] == 0.78
    assert ours["violation"]["violation_likelihood"] == 0.85
    assert ours["violation"]["confidence"] == 0.92


def test_what_a_decision_carries_besides() -> None:
    ours = decision_to_json(decision())
    assert ours["outcome"] == ours["would_be"] == "REVIEW"
    assert ours["mode"] == "enforce"
    assert ours["anomaly"]["flags"] == ["anomaly", "night_activity"]
    assert ours["violation"]["risk_factors"] == [
        "anomaly",
        "night_activity",
        "no_legal_basis_consent_absent",
    ]
    assert ours["risk"] == {
        "total": 8.5,
        "compared": 5.5,
        "components": {"place": 2.0, "anomaly": 2.5, "segment": 0.5, "network": 0.5, "compliance": 3.0},
    }
    assert ours["threshold"] == {
        "base": 6.5,
        "value": 5.0,
        "adjustments": [{"name": "night", "points": -0.5}, {"name": "young_account", "points": -1.0}],
    }
    assert ours["processing"][0]["state"] == "SUPPRESS"
    assert ours["gaps"][0]["missing"] == ["privacy.purpose"]
    assert ours["actions"] == [
        {
            "kind": "review",
            "enforced_by": "caller",
            "until": None,
            "viewer_message_key": "account.review",
            "channels": ["slack"],
            "priority": "high",
        }
    ]
    assert ours["counterfactual"] == ["ANOMALY"]
    assert (ours["factors"], ours["explanation_failed"]) == ([], False)
    assert ours["degraded"] == ["fraud"]
    assert ours["flags"] == ["late"]
    assert ours["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert ours["stage_us"] == {"accept": 10, "queue": 20, "look_up": 30, "ask": 40, "decide": 50}
    assert ours["network"] is None
    orjson.dumps(ours)


@pytest.mark.parametrize(
    ("status", "is_compliant", "name"),
    [
        (decision_pb2.COMPLIANCE_STATUS_COMPLIANT, True, "compliant"),
        (decision_pb2.COMPLIANCE_STATUS_VIOLATION, False, "violation"),
        (decision_pb2.COMPLIANCE_STATUS_GAP, None, "gap"),
        (decision_pb2.COMPLIANCE_STATUS_UNSPECIFIED, None, "not_evaluated"),
    ],
)
def test_compliance_has_three_answers(status: int, is_compliant: bool | None, name: str) -> None:
    ours = decision_to_json(decision(verdict={"status": status}))
    assert ours["compliance"]["is_compliant"] is is_compliant
    assert ours["compliance"]["status"] == name


def test_what_is_unknown_is_null() -> None:
    ours = decision_to_json(decision_pb2.Decision(event_id="e", numbers=[float("nan")]))
    assert ours["compliance"]["is_compliant"] is None
    assert ours["anomaly"]["is_anomaly"] is None
    assert ours["anomaly"]["ensemble_score"] is None
    assert ours["risk"]["components"]["place"] is None
    assert ours["processed_at"] is None
    assert ours["outcome"] == "UNSPECIFIED"


def test_values_of_a_newer_version_err_on_the_strict_side() -> None:
    assert outcome_name(17) == "REVIEW"
    raw = decision_pb2.Decision(outcome=decision_pb2.OUTCOME_BLOCK).SerializeToString()
    newer = decision_pb2.Decision.FromString(raw.replace(b"\x08\x04", b"\x08\x11"))
    newer.verdict.processing.add(purpose="x")
    newer.verdict.MergeFromString(b"\x2a\x02\x20\x63")
    ours = decision_to_json(newer)
    assert ours["outcome"] == "REVIEW"
    assert ours["processing"][1]["state"] == "SUPPRESS"


def test_the_event_stands_beside_when_given() -> None:
    event = event_pb2.Event(event_id="evt_20260116_001", event_type="PLAY")
    assert decision_to_json(decision(), event)["event"] == {
        "event_id": "evt_20260116_001",
        "event_type": "PLAY",
    }
    assert "event" not in decision_to_json(decision())


def test_every_reason_code_has_a_sentence() -> None:
    assert set(SENTENCES) == set(decision_pb2.ReasonCode.values())
    seen = set()
    for code in decision_pb2.ReasonCode.values():
        text = sentence(decision_pb2.Reason(code=code, values=[1234.5, 2.0, 3.0], words=["one", "two"]))
        assert text.endswith(".")
        assert text[0].isupper() or text[0].isdigit()
        assert "unknown" not in text
        seen.add(text)
        bare = sentence(decision_pb2.Reason(code=code))
        assert bare.endswith(".")
    assert len(seen) == len(SENTENCES)


@pytest.mark.parametrize(
    ("code", "values", "words", "expected"),
    [
        (
            decision_pb2.REASON_CODE_IMPOSSIBLE_TRAVEL,
            [9_000.4, 60, 9_000.4],
            [],
            "Seen 9,000 km apart within 60 minutes: that takes 9,000 km/h.",
        ),
        (
            decision_pb2.REASON_CODE_REGION_MISMATCH,
            [],
            ["US", "NL"],
            "The address lies in US; the platform says NL.",
        ),
        (
            decision_pb2.REASON_CODE_AUTHENTICATION_FAILURES,
            [1],
            [],
            "This viewer had 1 failed sign-in within an hour.",
        ),
        (
            decision_pb2.REASON_CODE_CREDENTIAL_STUFFING,
            [12, 30],
            [],
            "From this address 30 sign-ins failed within an hour, over 12 accounts.",
        ),
        (
            decision_pb2.REASON_CODE_RING_MEMBER,
            [6, 0.5],
            ["ring_1"],
            "The account belongs to ring_1, a ring of 6 accounts that share devices or payment instruments "
            "(score 0.50 of 1).",
        ),
        (decision_pb2.REASON_CODE_NIGHT_ACTIVITY, [3], [], None),
        (
            decision_pb2.REASON_CODE_DATA_VOLUME,
            [45e9, 2e6],
            [],
            "It moves 45.0 GB; 2.0 MB are usual.",
        ),
        (
            decision_pb2.REASON_CODE_ACT_FORBIDDEN,
            [],
            ["EU_GDPR", "art. 8"],
            "Under GDPR, art. 8, this act is forbidden.",
        ),
        (
            decision_pb2.REASON_CODE_REGION_MISMATCH,
            [],
            ["US"],
            "The address lies in US; the platform says unknown.",
        ),
    ],
)
def test_sentences(code: int, values: list[float], words: list[str], expected: str | None) -> None:
    text = sentence(decision_pb2.Reason(code=code, values=values, words=words))
    assert text == (expected or "It happened at about 03:00 local time, in this viewer's night.")


def test_short_names() -> None:
    assert short_name("TH_PDPA") == "PDPA"
    assert short_name("US_VA_VCDPA") == "VCDPA"
    assert short_name("US_CA_CCPA") == "CCPA"
    assert short_name("MARS_LAW") == "MARS_LAW"


def test_finding_sentences() -> None:
    assert all(text.endswith(".") for text in FINDING_SENTENCES.values())
    assert finding_sentence("SOMETHING_NEW") == "Something new."


def test_factors_are_told_with_value_normal_and_direction() -> None:
    factor = decision_pb2.Factor(
        model=decision_pb2.FACTOR_MODEL_ANOMALY,
        feature="devices_24h",
        value=5,
        normal=1,
        own_normal=True,
        contribution=0.25,
    )
    named = [decision_pb2.RISK_FACTOR_REPEATED_AUTH_FAILURES]
    ours = decision_to_json(decision_pb2.Decision(factors=[factor], risk_factors=named))
    assert ours["factors"] == [
        {
            "model": "anomaly",
            "feature": "devices_24h",
            "value": 5,
            "normal": 1,
            "normal_of": "viewer",
            "contribution": 0.25,
            "direction": "against",
        }
    ]
    assert ours["violation"]["risk_factors"] == ["repeated_auth_failures"]
    assert factor_sentence(ours["factors"][0]) == (
        "devices 24h is 5, for this viewer 1 is usual: speaks against it (+0.25 score, anomaly model)"
    )
