"""One decision told to a viewer, an analyst and a regulator."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from services.common.readers import (
    LINES,
    READERS,
    VIEWER_SENTENCES,
    for_analyst,
    for_regulator,
    for_viewer,
    viewer_sentence,
)
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

R = decision_pb2
NEVER_TOLD_A_VIEWER = re.compile(
    r"\d|score|threshold|model|segment|ring|points|fraud|tor\b|stuffing|anomaly|suspicious|block|risk|other account",
    re.IGNORECASE,
)


def event(**changes: Any) -> event_pb2.Event:
    values: dict[str, Any] = {
        "event_id": "e1",
        "event_type": "login",
        # 2026-01-16T12:34:56Z: day 20,469 x 86,400 + 45,296.
        "event_time": {"seconds": 1_768_566_896},
        "phase": event_pb2.PHASE_INTENT,
    }
    return event_pb2.Event(**{**values, **changes})


def decision(**changes: Any) -> decision_pb2.Decision:
    """A sign-in from a new device on a shared device, over the threshold, with one finding and one gap."""
    numbers = [0.0] * 19
    numbers[0:8] = [1.0, 2.5, 0.5, 1.5, 3.0, 5.5, 6.5, 5.0]
    numbers[8] = -1.5
    numbers[12:19] = [0.78, 0.75, 0.81, 0.85, 0.92, 40.0, 0.7]
    values: dict[str, Any] = {
        "event_id": "e1",
        "user_id": "user_42",
        "tenant": "dev",
        "outcome": R.OUTCOME_REVIEW,
        "would_be": R.OUTCOME_REVIEW,
        "mode": R.MODE_ENFORCE,
        "risk_score": 8.5,
        "risk_level": R.RISK_LEVEL_HIGH,
        "segment": R.SEGMENT_STANDARD,
        "event_class": event_pb2.EVENT_CLASS_LOGIN,
        "numbers": numbers,
        "reasons": [
            {"code": R.REASON_CODE_NEW_DEVICE, "values": [3], "points": 2.5},
            {"code": R.REASON_CODE_SHARED_DEVICE, "values": [7], "points": 1.5},
            {"code": R.REASON_CODE_RING_MEMBER, "values": [9, 0.8], "words": ["ring_1"], "points": 1.0},
        ],
        "actions": [
            {
                "kind": R.ACTION_KIND_SECOND_FACTOR,
                "enforced_by": R.ENFORCED_BY_CALLER,
                "viewer_message_key": "account.second_factor",
            }
        ],
        "counterfactual": [R.REASON_CODE_NEW_DEVICE],
        "verdict": {
            "status": R.COMPLIANCE_STATUS_VIOLATION,
            "applicable": ["EU_GDPR", "TH_PDPA"],
            "findings": [
                {
                    "regulation": "EU_GDPR",
                    "article": "art. 6(1)(a)",
                    "reason": "NO_LEGAL_BASIS_CONSENT_ABSENT",
                    "rule": "EU_GDPR.consent_absent",
                    "pack_version": "3",
                    "remedy": "obtain_consent",
                    "verification": "from_knowledge",
                    "severity": 4,
                }
            ],
            "gaps": [
                {
                    "regulation": "EU_GDPR",
                    "article": "art. 5(1)(b)",
                    "rule": "EU_GDPR.purpose",
                    "missing": ["privacy.purpose"],
                }
            ],
            "processing": [
                {"purpose": "*", "state": R.PROCESSING_STATE_SUPPRESS, "rule": "EU_GDPR.consent_absent"},
                {"purpose": "basic_service", "state": R.PROCESSING_STATE_PERMITTED},
                {
                    "purpose": "analytics",
                    "recipient": "ad_partner",
                    "destination": "US",
                    "state": R.PROCESSING_STATE_GAP,
                },
            ],
            "assumptions": ["region=NL -> user_location"],
            "ledger_version": 12,
        },
        "assessment": {
            "signals": [1.0, 0.5, 7.0],
            "evidence": [{"code": R.REASON_CODE_SHARED_DEVICE, "values": [7]}],
            "ring_id": "ring_1",
        },
        "policy_set": "ps_" + "0" * 32,
        "position": 7,
        "stage_us": [100, 200, 300, 400, 500],
        "trace_id": bytes.fromhex("0af7651916cd43dd8448eb211c80319c"),
        "decided_time": {"seconds": 1_768_566_896, "nanos": 123_000_000},
    }
    return decision_pb2.Decision(**{**values, **changes})


def text(reader: str, told: dict[str, Any]) -> str:
    return "\n".join(LINES[reader](told))


@pytest.mark.parametrize("code", decision_pb2.ReasonCode.values())
def test_every_code_has_a_sentence_that_a_viewer_may_read(code: int) -> None:
    told = VIEWER_SENTENCES[code]
    assert told[0].isupper()
    assert told.endswith(".")
    # "ring" is looked for as a word: "during" holds it.
    assert not [word for word in NEVER_TOLD_A_VIEWER.findall(told) if re.search(rf"\b{word}\b", told)]


def test_what_ties_accounts_together_reads_the_same() -> None:
    tied = {R.REASON_CODE_SHARED_DEVICE, R.REASON_CODE_SHARED_PAYMENT, R.REASON_CODE_RING_MEMBER}
    assert len({viewer_sentence(code) for code in tied}) == 1
    assert viewer_sentence(9999) == viewer_sentence(R.REASON_CODE_UNSPECIFIED)


def test_the_viewer_is_told_what_it_means_and_nothing_of_others() -> None:
    told = for_viewer(decision(), event())
    assert told == {
        "headline": "On 2026-01-16 at 12:34 UTC, the sign-in: being looked at.",
        "why": [
            "A device was used that we had not seen with your account before.",
            "Some details of this account fit patterns that we check.",
        ],
        "means": ["What cannot be undone waits until somebody has looked at it."],
        "can_do": [
            "Confirm that it is you when we ask for a second step.",
            "If this was not you, change your password and sign out of devices that you do not know.",
            "Tell customer support if you think that this is wrong: a person will look at it.",
        ],
        "data": [
            "They are not used for anything that needs your consent.",
            "They are not used for analytics, nor given to: ad partner, nor sent to US.",
        ],
    }
    shown = text("viewer", told)
    for secret in ("ring_1", "user_42", "5.5", "REVIEW", "threshold", "GDPR", "7 accounts", "ps_"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("outcome", "event_class", "phase", "headline", "means"),
    [
        (R.OUTCOME_BLOCK, 5, event_pb2.PHASE_INTENT, "not allowed", "It must not go ahead."),
        (
            R.OUTCOME_BLOCK,
            5,
            event_pb2.PHASE_OCCURRED,
            "not allowed",
            "It should not have gone ahead, and may be undone.",
        ),
        (
            R.OUTCOME_REVIEW,
            event_pb2.EVENT_CLASS_PLAYBACK,
            event_pb2.PHASE_INTENT,
            "allowed, and being looked at",
            "You can go on watching while it is looked at.",
        ),
        (
            R.OUTCOME_REVIEW,
            event_pb2.EVENT_CLASS_RIGHTS,
            event_pb2.PHASE_INTENT,
            "being looked at",
            "Your request is kept; it may wait until it is clear that it is yours.",
        ),
        (
            R.OUTCOME_ALLOW,
            1,
            event_pb2.PHASE_INTENT,
            "allowed",
            "It can go ahead. Nothing changes for you.",
        ),
    ],
)
def test_what_an_outcome_means(outcome: int, event_class: int, phase: int, headline: str, means: str) -> None:
    told = for_viewer(decision(outcome=outcome, event_class=event_class), event(phase=phase))
    assert told["headline"].endswith(f": {headline}.")
    assert told["means"] == [means]


def test_an_observed_decision_tells_the_viewer_what_holds() -> None:
    # Enforced it would be a review; nobody was stopped, so nobody is frightened.
    told = for_viewer(decision(outcome=R.OUTCOME_ALLOW, mode=R.MODE_OBSERVE), event())
    assert told["why"] == []
    assert told["can_do"] == ["You need to do nothing."]
    analyst = for_analyst(decision(outcome=R.OUTCOME_ALLOW, mode=R.MODE_OBSERVE), event())
    assert analyst["summary"] == (
        "ALLOW: risk 5.5 against a threshold of 5 (high); observed only, enforced it would be REVIEW."
    )


def test_an_outcome_of_a_newer_version_is_a_review_for_the_viewer() -> None:
    raw = decision(outcome=R.OUTCOME_BLOCK).SerializeToString()
    newer = decision_pb2.Decision.FromString(raw.replace(b"\x08\x04", b"\x08\x11", 1))
    assert for_viewer(newer, event())["headline"].endswith("being looked at.")


def test_the_analyst_is_told_every_number() -> None:
    told = for_analyst(decision(), event())
    assert told["summary"] == "REVIEW: risk 5.5 against a threshold of 5 (high)."
    assert told["counterfactual"] == [
        {
            "code": "NEW_DEVICE",
            "sentence": "This device was never seen for this viewer, who has 3 known devices.",
        }
    ]
    shown = text("analyst", told)
    for piece in (
        "+2.5  NEW_DEVICE: This device was never seen",
        "place 1, anomaly 2.5, segment 0.5, network 1.5, compliance 3; compared 5.5, total 8.5",
        "threshold 5: standard 6.5, night -1.5",
        "anomaly 0.78 of 1 (Isolation Forest 0.75, nearest neighbours 0.7, Local Outlier Factor 0.81)",
        "violation likelihood 0.85, confidence 0.92, events known before 40",
        "place_risk 1, network_risk 0.5, device_accounts 7",
        "ring ring_1",
        "second factor, enforced by caller, message account.second_factor",
        "login (login) of 2026-01-16T12:34:56Z",
        "timings: accept 0.1 ms, queue 0.2 ms, look_up 0.3 ms, ask 0.4 ms, decide 0.5 ms",
        "0af7651916cd43dd8448eb211c80319c",
    ):
        assert piece in shown, piece


def test_a_degraded_decision_says_what_is_unknown() -> None:
    bare = decision_pb2.Decision(
        event_id="e1",
        outcome=R.OUTCOME_REVIEW,
        degraded=[R.SERVICE_SCORING, R.SERVICE_COMPLIANCE, R.SERVICE_FRAUD],
    )
    analyst = text("analyst", for_analyst(bare, event_pb2.Event()))
    assert analyst.startswith("REVIEW: it was not scored.")
    assert "did not answer: scoring, compliance, fraud" in analyst
    assert "fraud did not answer" in analyst
    regulator = for_regulator(bare, event_pb2.Event())
    assert regulator["status"] == "not_evaluated"
    assert regulator["summary"] == "The law was not evaluated: the compliance service did not answer."
    assert for_viewer(bare, event_pb2.Event())["headline"].startswith("At an unknown time, the activity: ")


def test_the_regulator_is_told_the_law_and_how_sure_it_is() -> None:
    told = for_regulator(decision(), event())
    assert told["summary"] == "1 rule violated, 1 rule without a fact that it needs."
    assert told["applicable"][1] == {"regulation": "TH_PDPA", "name": "PDPA"}
    assert told["packs"] == {"EU_GDPR": "3"}
    assert told["certainty"] == {"findings": {"from_knowledge": 1}, "reviewed": 0}
    shown = text("regulator", told)
    for piece in (
        "GDPR (EU_GDPR), PDPA (TH_PDPA)",
        "GDPR art. 6(1)(a): The processing relies on consent, and there is none. Remedy: obtain consent.",
        "EU_GDPR.consent_absent, pack 3, severity 4 of 5; from knowledge, source not re-read, reviewed by nobody",
        "GDPR art. 5(1)(b): privacy.purpose (EU_GDPR.purpose)",
        "every purpose that rests on consent: SUPPRESS (EU_GDPR.consent_absent)",
        "analytics, recipient ad partner, transfer to US: GAP",
        "region=NL was read as user_location",
        "1 of 1 findings from knowledge, source not re-read",
        "not a court's judgement",
        "policy set ps_0",
        "consent ledger as of version 12",
        "by automated means: REVIEW (enforce)",
    ):
        assert piece in shown, piece
    # How abuse is found is not the regulator's question.
    for secret in ("ring_1", "NEW_DEVICE", "threshold", "user_42"):
        assert secret not in shown


def test_the_regulator_is_told_where_laws_differ_and_what_puts_it_right() -> None:
    suppress = decision_pb2.PROCESSING_STATE_SUPPRESS
    verdict = decision_pb2.Verdict(
        status=decision_pb2.COMPLIANCE_STATUS_VIOLATION,
        applicable=["EU_GDPR", "JP_APPI"],
        findings=[
            decision_pb2.Finding(
                regulation="EU_GDPR",
                article="art. 6(1)(a)",
                reason="NO_LEGAL_BASIS_CONSENT_ABSENT",
                rule="EU_GDPR.consent_absent",
                verification="verified",
                severity=4,
                consent_cannot_cure=True,
            )
        ],
        conflicts=[
            decision_pb2.Conflict(
                purpose="targeted_advertising",
                decided_by="EU_GDPR",
                rule="EU_GDPR.consent_absent",
                state=suppress,
                less_strict=["JP_APPI"],
            )
        ],
        remedies=[
            decision_pb2.RemedyAction(
                remedy="obtain_consent",
                rules=["EU_GDPR.consent_absent"],
                severity=4,
                enforced_by=decision_pb2.ENFORCED_BY_CALLER,
            )
        ],
    )
    told = for_regulator(decision(verdict=verdict), event())

    assert told["conflicts"][0]["less_strict"] == ["JP_APPI"]
    assert told["remedies"] == [
        {
            "remedy": "obtain_consent",
            "rules": ["EU_GDPR.consent_absent"],
            "severity": 4,
            "enforced_by": "caller",
        }
    ]
    lines = text("regulator", told)
    assert "SUPPRESS (EU_GDPR.consent_absent): GDPR decides; less strict: APPI" in lines
    assert "obtain consent: EU_GDPR.consent_absent" in lines
    assert "no consent cures it" in lines


@pytest.mark.parametrize("reader", list(READERS))
def test_every_telling_is_json(reader: str) -> None:
    orjson.dumps(READERS[reader](decision(), event()))
    orjson.dumps(READERS[reader](decision_pb2.Decision(), event_pb2.Event()))
    assert LINES[reader](READERS[reader](decision_pb2.Decision(), event_pb2.Event()))
